"""Completions of one prompt side by side in one row, for losses over many samples of few prompts.

Each completion sees the prompt and itself, so the prompt is read once however many completions it
has. With 8 samples a prompt that is a fifth of the tokens of a row each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from transformers import Qwen2Model

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pack:
    """One prompt's ids and its completions' ids, each completion with its closing token."""

    prompt: Sequence[int]
    completions: tuple[Sequence[int], ...]

    @property
    def tokens(self) -> int:
        """How many tokens the row has."""
        return len(self.prompt) + sum(map(len, self.completions))


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Packs padded at the right.

    `ids` and `positions` have shape (rows, tokens), `mask` (rows, 1, tokens, tokens) and says what
    each token sees. The others have one entry a completion token, packs and completions in order:
    its row, the column that predicts it, itself, the number of its completion counted over all
    rows, and its place in the completion. `lasts` has each completion's row and last column, shape
    (completions, 2).
    """

    ids: Ints
    positions: Ints
    mask: NDArray[np.bool_]
    row: Ints
    predictor: Ints
    target: Ints
    owner: Ints
    place: Ints
    lasts: Ints


def lay(packs: Sequence[Pack], pad: int) -> PackedRows:
    """Lay packs into rows."""
    width = max(pack.tokens for pack in packs)
    ids = np.full((len(packs), width), pad, np.int64)
    positions = np.zeros((len(packs), width), np.int64)
    mask = np.zeros((len(packs), 1, width, width), np.bool_)
    mask[:, 0, np.arange(width), np.arange(width)] = True  # padding sees itself, so no row is empty
    told: list[tuple[int, int, int, int, int]] = []
    lasts: list[tuple[int, int]] = []
    for row, pack in enumerate(packs):
        length = len(pack.prompt)
        ids[row, :length] = pack.prompt
        positions[row, :length] = np.arange(length)
        mask[row, 0, :length, :length] = np.tril(np.ones((length, length), np.bool_))
        at = length
        for completion in pack.completions:
            end = at + len(completion)
            ids[row, at:end] = completion
            positions[row, at:end] = length + np.arange(len(completion))
            mask[row, 0, at:end, :length] = True
            mask[row, 0, at:end, at:end] = np.tril(np.ones((end - at, end - at), np.bool_))
            before = [length - 1, *range(at, end - 1)]
            told += [
                (row, column, token, len(lasts), place)
                for place, (column, token) in enumerate(zip(before, completion, strict=True))
            ]
            lasts.append((row, end - 1))
            at = end
    row_of, predictor, target, owner, place_of = np.array(told, np.int64).reshape(-1, 5).T
    ends = np.array(lasts, np.int64).reshape(-1, 2)
    return PackedRows(ids, positions, mask, row_of, predictor, target, owner, place_of, lasts=ends)


def read(network: "Qwen2Model", rows: PackedRows) -> "torch.Tensor":
    """The last layer's states, of shape (rows, tokens, hidden)."""
    import torch

    out = network(
        input_ids=torch.from_numpy(rows.ids),
        position_ids=torch.from_numpy(rows.positions),
        attention_mask=torch.from_numpy(rows.mask),
        use_cache=False,
    )
    states: torch.Tensor = out.last_hidden_state
    return states


def grouped(packs: Sequence[Pack], tokens: int) -> list[list[int]]:
    """The packs' numbers in groups of at most `tokens` padded tokens, like lengths together.

    A pack that is longer than that is a group of its own.
    """
    order = sorted(range(len(packs)), key=lambda k: packs[k].tokens)
    groups: list[list[int]] = []
    for k in order:
        if groups and (len(groups[-1]) + 1) * packs[k].tokens <= tokens:
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups
