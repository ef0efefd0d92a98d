"""A line model that is sampled from and trained: the same constraints in both.

What `engine.models.decoding` forbids a line model to write is forbidden here too, so that the
probabilities that the policy gradient sees are those that completions are drawn with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.line_format import LINE_TOKENS, MARKER_TOKENS, PAD_TOKEN
from engine.training.network import mixed_precision
from engine.training.packed import Pack, lay, read
from engine.training.tokenizer import load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, PreTrainedTokenizerFast, Qwen2ForCausalLM

MAX_EDIT_TOKENS = 48
"""Longer edits are cut off and so end as unusable; nine in ten repairs have at most 33 tokens."""

ROWS_TOGETHER = 256
"""How many completions are written side by side."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion; `ids` ends with the closing token unless it was cut off."""

    text: str
    ids: tuple[int, ...]


class Policy:
    """A model with its tokenizer."""

    def __init__(self, model: "Qwen2ForCausalLM", tokenizer: "PreTrainedTokenizerFast") -> None:
        """Take a loaded model."""
        import torch

        self.model = model
        self.tokenizer = tokenizer
        vocabulary = int(model.config.vocab_size)
        lines = tokenizer.convert_tokens_to_ids(list(LINE_TOKENS))
        marks = tokenizer.convert_tokens_to_ids([*MARKER_TOKENS, PAD_TOKEN])
        self._is_line = torch.zeros(vocabulary, dtype=torch.bool)
        self._is_line[lines] = True
        self._is_text = ~self._is_line
        self._is_text[marks] = False
        self._is_text[len(tokenizer) :] = False

    @property
    def pad(self) -> int:
        """The id that fills rows up."""
        return int(self.tokenizer.pad_token_id)

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Prompts in tokens."""
        found: list[list[int]] = self.tokenizer(list(prompts), add_special_tokens=False)[
            "input_ids"
        ]
        return found

    def allowed(self, prompts: "torch.Tensor") -> "torch.Tensor":
        """What may stand at place 0, 1 and later, of shape (rows, 3, vocabulary), boolean.

        `prompts` has shape (rows, tokens): a line that a prompt does not show cannot be named.
        """
        import torch

        shown = torch.zeros(len(prompts), len(self._is_line), dtype=torch.bool)
        shown.scatter_(1, prompts, value=True)
        shown &= self._is_line
        text = self._is_text.expand_as(shown)
        return torch.stack([shown, shown | text, text], 1)

    def sample(
        self, prompts: Sequence[str], n: int, temperature: float, generator: "torch.Generator"
    ) -> list[list[Sampled]]:
        """`n` completions of every prompt."""
        import torch

        ids = self.encode(prompts)
        found: list[list[Sampled]] = [[] for _ in prompts]
        order = sorted(range(len(ids)), key=lambda k: len(ids[k]))
        together = max(1, ROWS_TOGETHER // n)
        self.model.train(mode=False)
        with torch.inference_mode(), mixed_precision():
            for at in range(0, len(order), together):
                group = order[at : at + together]
                written = self._write([ids[k] for k in group], n, temperature, generator)
                for k, texts in zip(group, written, strict=True):
                    found[k] = texts
        return found

    def _write(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        generator: "torch.Generator",
    ) -> list[list[Sampled]]:
        """Completions of prompts of like length, written side by side."""
        import torch
        from transformers import DynamicCache

        width = max(map(len, prompts))
        padded = torch.full((len(prompts), width), self.pad)
        seen = torch.zeros(len(prompts), width, dtype=torch.bool)
        for row, ids in enumerate(prompts):
            padded[row, width - len(ids) :] = torch.tensor(ids)
            seen[row, width - len(ids) :] = True
        cache = DynamicCache()
        allowed = self.allowed(padded).repeat_interleave(n, 0)
        hidden = self.model.model(
            input_ids=padded,
            attention_mask=seen,
            position_ids=(seen.long().cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        cache.batch_repeat_interleave(n)
        writing = _Writing(cache, seen.repeat_interleave(n, 0), allowed)
        logits = self.model.lm_head(hidden).float().repeat_interleave(n, 0)
        texts: list[list[int]] = [[] for _ in range(len(prompts) * n)]
        open_rows = list(range(len(texts)))
        for place in range(MAX_EDIT_TOKENS):
            chosen = _draw(logits, writing.allowed[:, min(place, 2)], temperature, generator)
            for row, token in zip(open_rows, chosen.tolist(), strict=True):
                texts[row].append(token)
            kept = [k for k, token in enumerate(chosen.tolist()) if token != self.eos]
            if not kept:
                break
            open_rows = [open_rows[k] for k in kept]
            writing.keep(kept)
            logits = self._step(writing, chosen[kept])
        done = [Sampled(self._decode(ids), tuple(ids)) for ids in texts]
        return [done[at : at + n] for at in range(0, len(done), n)]

    def _step(self, writing: "_Writing", tokens: "torch.Tensor") -> "torch.Tensor":
        """Read one token a row; logits of shape (rows, vocabulary)."""
        import torch

        writing.seen = torch.cat([writing.seen, torch.ones_like(writing.seen[:, :1])], 1)
        out = self.model.model(
            input_ids=tokens[:, None],
            attention_mask=writing.seen,
            position_ids=writing.seen.long().sum(1, keepdim=True) - 1,
            past_key_values=writing.cache,
            use_cache=True,
        )
        logits: torch.Tensor = self.model.lm_head(out.last_hidden_state[:, -1]).float()
        return logits

    @property
    def eos(self) -> int:
        """The id that closes a completion."""
        return int(self.tokenizer.eos_token_id)

    def _decode(self, ids: Sequence[int]) -> str:
        kept = ids[:-1] if ids and ids[-1] == self.eos else ids
        return str(self.tokenizer.decode(list(kept), clean_up_tokenization_spaces=False))

    def log_likelihoods(self, packs: Sequence[Pack], temperature: float = 1.0) -> "torch.Tensor":
        """What each completion was likely to be drawn with, in nats, shape (completions,)."""
        import torch

        rows = lay(packs, self.pad)
        states = read(self.model.model, rows)
        row, place = torch.from_numpy(rows.row), torch.from_numpy(rows.place)
        logits = self.model.lm_head(states[row, torch.from_numpy(rows.predictor)]).float()
        allowed = self.allowed(_prompts(packs, self.pad))
        logits = logits.masked_fill(~allowed[row, place.clamp(max=2)], float("-inf"))
        told = torch.log_softmax(logits / temperature, -1)
        told = told.gather(1, torch.from_numpy(rows.target)[:, None])[:, 0]
        return torch.zeros(len(rows.lasts)).index_add(0, torch.from_numpy(rows.owner), told)


@dataclass(slots=True)
class _Writing:
    """The rows that are still being written: their cache, what they see, what they may say."""

    cache: "DynamicCache"
    seen: "torch.Tensor"
    allowed: "torch.Tensor"

    def keep(self, rows: list[int]) -> None:
        """Drop all but these rows."""
        import torch

        if len(rows) < len(self.seen):
            self.cache.batch_select_indices(torch.tensor(rows))
            self.seen, self.allowed = self.seen[rows], self.allowed[rows]


def _prompts(packs: Sequence[Pack], pad: int) -> "torch.Tensor":
    """The prompts' ids padded at the right."""
    import torch

    width = max(len(pack.prompt) for pack in packs)
    found = torch.full((len(packs), width), pad)
    for row, pack in enumerate(packs):
        found[row, : len(pack.prompt)] = torch.tensor(list(pack.prompt))
    return found


def _draw(
    logits: "torch.Tensor",
    allowed: "torch.Tensor",
    temperature: float,
    generator: "torch.Generator",
) -> "torch.Tensor":
    """One token a row; temperature 0 takes the likeliest."""
    import torch

    logits = logits.masked_fill(~allowed, float("-inf"))
    if temperature <= 0:
        return logits.argmax(-1)
    shares = torch.softmax(logits / temperature, -1)
    return torch.multinomial(shares, 1, generator=generator)[:, 0]


def load_policy(folder: Path) -> Policy:
    """A line model's folder, in float32.

    Raises:
        BadInputError: the folder holds no line model, or torch is not installed.
    """
    try:
        import torch
        from transformers import Qwen2ForCausalLM
    except ImportError as error:
        msg = "training needs torch and transformers; pip install 'evoscale[train]'"
        raise BadInputError(msg) from error
    try:
        model = Qwen2ForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        return Policy(model, load_tokenizer(folder))
    except (OSError, ValueError) as error:
        msg = f"{folder} holds no model to go on from: {error}; train the stage before it first"
        raise BadInputError(msg) from error


def seeded(seed: int) -> "torch.Generator":
    """A generator of its own, so that no other draw moves it."""
    import torch

    return torch.Generator().manual_seed(seed)
