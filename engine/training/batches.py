"""Token batches of training examples, made ahead of the trainer by a process of their own."""

import multiprocessing as mp
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.line_format import LINE_TOKENS
from engine.training.data import RepairRow
from engine.training.row_sources import Draw, RowSource
from engine.training.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK_ROWS = 2048
MAX_TOKENS = 640
QUEUE_BATCHES = 96
FEEDER_PATIENCE_S = 600.0
LOOK_AFTER_TRAINER_S = 5.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples padded at the right: `ids` of shape (rows, tokens).

    Per row, tokens before `code_ends` are issue and code, `edit_starts`..`lengths` is the repair.
    `line_ids` holds the ids of the first and the last line number.
    """

    ids: NDArray[np.int32]
    code_ends: NDArray[np.int32]
    edit_starts: NDArray[np.int32]
    lengths: NDArray[np.int32]
    line_ids: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example in tokens."""

    ids: list[int]
    code_end: int
    edit_start: int


def encode(examples: Sequence[RepairRow], tokenizer: "PreTrainedTokenizerFast") -> list[Encoded]:
    """Examples in tokens, those longer than `MAX_TOKENS` left out."""
    if not examples:
        return []
    previous = tokenizer.convert_tokens_to_ids("<prev>")
    edit = tokenizer.convert_tokens_to_ids("<edit>")
    eos = tokenizer.eos_token_id
    prompts = tokenizer([row.prompt for row in examples], add_special_tokens=False)["input_ids"]
    patches = tokenizer([row.patch for row in examples], add_special_tokens=False)["input_ids"]
    found = []
    for prompt, patch in zip(prompts, patches, strict=True):
        ids = [*prompt, *patch, eos]
        if len(ids) <= MAX_TOKENS:
            code_end = prompt.index(previous if previous in prompt else edit)
            found.append(Encoded(ids, code_end, len(prompt)))
    return found


def line_ids(tokenizer: "PreTrainedTokenizerFast") -> tuple[int, int]:
    """The ids of the first and the last line number; those between are in order."""
    first, last = tokenizer([LINE_TOKENS[0], LINE_TOKENS[-1]], add_special_tokens=False)[
        "input_ids"
    ]
    return int(first[0]), int(last[0])


def batches(
    examples: Sequence[Encoded], tokens: int, tokenizer: "PreTrainedTokenizerFast", rng: Random
) -> Iterator[Batch]:
    """Batches of about `tokens` tokens from examples of like length, in random order."""
    ordered = sorted(examples, key=lambda e: len(e.ids))
    groups: list[list[Encoded]] = [[]]
    for example in ordered:
        if groups[-1] and (len(groups[-1]) + 1) * len(example.ids) > tokens:
            groups.append([])
        groups[-1].append(example)
    rng.shuffle(groups)
    for group in groups:
        if group:
            yield _pad(group, tokenizer.pad_token_id, line_ids(tokenizer))


def _pad(group: Sequence[Encoded], pad: int, numbers: tuple[int, int]) -> Batch:
    """One batch from examples of like length."""
    ids = np.full((len(group), max(len(e.ids) for e in group)), pad, dtype=np.int32)
    for row, example in enumerate(group):
        ids[row, : len(example.ids)] = example.ids
    return Batch(
        ids,
        np.array([e.code_end for e in group], dtype=np.int32),
        np.array([e.edit_start for e in group], dtype=np.int32),
        np.array([len(e.ids) for e in group], dtype=np.int32),
        numbers,
    )


def training_batches(
    draw: Draw,
    tokenizer: "PreTrainedTokenizerFast",
    *,
    tokens: int,
    seed: int,
    first: int,
) -> Iterator[Batch]:
    """An endless sequence of batches, from example number `first` on."""
    while True:
        encoded = encode(list(draw(seed, first, CHUNK_ROWS)), tokenizer)
        yield from batches(encoded, tokens, tokenizer, Random(f"{seed}/{first}/order"))
        first += CHUNK_ROWS


class Feeder:
    """Batches from a background process; a context manager, so that the process always ends."""

    def __init__(
        self, source: RowSource, tokenizer: Path, *, tokens: int, seed: int, first: int
    ) -> None:
        """Say what to feed; the process starts with the context."""
        spawn = mp.get_context("spawn")
        self._queue: mp.Queue[Batch] = spawn.Queue(maxsize=QUEUE_BATCHES)
        self._process = spawn.Process(
            target=_feed, args=(self._queue, source, tokenizer, tokens, seed, first), daemon=True
        )

    def __enter__(self) -> "Feeder":
        """Start the process."""
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()
        self._queue.close()
        self._queue.cancel_join_thread()

    def __iter__(self) -> Iterator[Batch]:
        """The batches as they come.

        Raises:
            RuntimeError: the process ended.
        """
        while True:
            try:
                yield self._queue.get(timeout=FEEDER_PATIENCE_S)
            except Empty as error:
                msg = f"the process that feeds batches gave none for {FEEDER_PATIENCE_S} s"
                raise RuntimeError(msg) from error


def _feed(
    queue: "mp.Queue[Batch]",
    source: RowSource,
    tokenizer: Path,
    tokens: int,
    seed: int,
    first: int,
) -> None:
    """The background process: write batches into the queue until it is ended."""
    os.nice(5)
    draw = source.load()
    if draw is None:
        return
    loaded = load_tokenizer(tokenizer)
    for batch in training_batches(draw, loaded, tokens=tokens, seed=seed, first=first):
        if not _put(queue, batch):
            queue.cancel_join_thread()
            return


def _put(queue: "mp.Queue[Batch]", batch: Batch) -> bool:
    """Wait for room in the queue; false when the trainer is gone, killed perhaps."""
    trainer = mp.parent_process()
    while trainer is None or trainer.is_alive():
        try:
            queue.put(batch, timeout=LOOK_AFTER_TRAINER_S)
        except Full:
            continue
        return True
    return False
