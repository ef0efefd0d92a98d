"""A causal language model in this process, by transformers: the embedded one or any folder."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ModelUnavailableError, PromptTooLongError
from engine.line_format import EOS_TOKEN, LINE_TOKENS, MARKER_TOKENS, PAD_TOKEN
from engine.models.base import Completion, EditFormat, Profile, Prompt, Sampling
from engine.models.scores import Scores

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REQUIRED_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")
MIN_ROOM_TOKENS = 16
"""A prompt must leave at least this much of the context for a completion."""

SCORED_TOGETHER = 64
"""How many completions one forward pass scores."""

_FORBIDDEN = float("-inf")


class TransformersLocal:
    """A model folder on disk, loaded at first use; float32 on CPU, the stored type on a GPU."""

    def __init__(
        self, folder: Path | str, *, name: str, profile: Profile, threads: int | None = None
    ) -> None:
        """Name the folder; nothing is read before the first sample."""
        self._folder = Path(folder)
        self._name = name
        self._profile = profile
        self._threads = threads

    @property
    def name(self) -> str:
        """The name to write in evidence and results."""
        return self._name

    @property
    def profile(self) -> Profile:
        """How this model wants to be prompted."""
        return self._profile

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        """Yield exactly `sampling.n` completions, each as soon as it is finished.

        The prompt is read once and its cache repeated `n` times; the generator is seeded per call,
        so the same call gives the same texts on the same machine.

        Raises:
            ModelUnavailableError: a file of the folder is missing or cannot be read.
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        ids = self._encode(prompt)
        room = self._profile.context_tokens - len(ids)
        if room < MIN_ROOM_TOKENS:
            raise PromptTooLongError(len(ids), self._profile.context_tokens)
        return self._decode(ids, sampling, min(sampling.max_tokens, room))

    def score(self, prompt: Prompt, completions: Sequence[str], *, closed: bool = True) -> Scores:
        """The log-likelihood of each completion after the prompt.

        `closed` counts the closing token in; without it the texts are beginnings.

        Raises:
            ModelUnavailableError: a file of the folder is missing or cannot be read.
            PromptTooLongError: prompt and longest completion exceed the context.
        """
        ids = self._encode(prompt)
        encode = self._tokenizer.encode
        end = [self._eos] if closed else []
        texts = [[*encode(c, add_special_tokens=False), *end] for c in completions]
        longest = len(ids) + max(map(len, texts), default=0)
        if longest > self._profile.context_tokens:
            raise PromptTooLongError(longest, self._profile.context_tokens)
        return Scores(len(ids), tuple(map(len, texts)), tuple(self._likelihoods(ids, texts)))

    def _likelihoods(self, ids: list[int], texts: list[list[int]]) -> list[float]:
        """Log-likelihoods of some completions, in nats; the prompt is read once.

        Completions lie side by side in one row: each sees the prompt and itself. Measured, that is
        several times as fast as a row each, which copies the prompt's keys and values.
        """
        import torch

        device = self._model.device
        found: list[float] = []
        with torch.inference_mode():
            read = self._model(torch.tensor([ids], device=device), use_cache=True)
            start = read.logits[0, -1].float().log_softmax(-1)
            for at in range(0, len(texts), SCORED_TOGETHER):
                row = _side_by_side(texts[at : at + SCORED_TOGETHER], len(ids), device)
                told = start[row.first].clone()
                if row.width:
                    out = self._model(
                        row.read,
                        attention_mask=row.mask,
                        position_ids=row.positions,
                        past_key_values=read.past_key_values,
                        use_cache=True,
                    )
                    read.past_key_values.crop(-row.width)
                    chances = out.logits[0].float().log_softmax(-1)
                    told.index_add_(0, row.owner, chances.gather(-1, row.next[:, None])[:, 0])
                found += told.tolist()
        return found

    def _encode(self, prompt: Prompt) -> list[int]:
        """The prompt's token ids: raw text for a line model, the chat template otherwise."""
        if self._profile.edit_format is EditFormat.LINE:
            return list(self._tokenizer.encode(prompt.user, add_special_tokens=False))
        turns = [{"role": "system", "content": prompt.system}] if prompt.system else []
        turns.append({"role": "user", "content": prompt.user})
        text = self._tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        )
        return list(self._tokenizer.encode(str(text), add_special_tokens=False))

    def _decode(self, ids: list[int], sampling: Sampling, longest: int) -> Iterator[Completion]:
        """Sample `n` rows from one shared prefill; a row leaves as soon as it closes."""
        import torch

        generator = torch.Generator().manual_seed(sampling.seed)
        masks = self._line_masks(ids)
        done = [False] * sampling.n
        texts: list[list[int]] = [[] for _ in range(sampling.n)]
        with torch.inference_mode():
            out = self._model(torch.tensor([ids], device=self._model.device), use_cache=True)
            cache = out.past_key_values
            cache.batch_repeat_interleave(sampling.n)
            logits = out.logits[:, -1].float().repeat(sampling.n, 1)
            for step in range(longest):
                chosen = pick(
                    logits + masks[min(step, 2)] if masks else logits,
                    sampling.temperature,
                    generator,
                )
                for row in self._close(chosen.tolist(), texts, done, last=step == longest - 1):
                    yield self._completion(row, texts[row], len(ids))
                if all(done):
                    return
                out = self._model(
                    chosen[:, None].to(self._model.device), past_key_values=cache, use_cache=True
                )
                logits = out.logits[:, -1].float()

    def _close(
        self, chosen: list[int], texts: list[list[int]], done: list[bool], *, last: bool
    ) -> list[int]:
        """Write the chosen tokens down; the rows that this step finished."""
        closed = []
        for row, token in enumerate(chosen):
            if done[row]:
                continue
            if token != self._eos:
                texts[row].append(token)
            if token == self._eos or last:
                done[row] = True
                closed.append(row)
        return closed

    def _completion(self, row: int, tokens: list[int], tokens_in: int) -> Completion:
        """One finished row as text."""
        text = str(self._tokenizer.decode(tokens, clean_up_tokenization_spaces=False))
        return Completion(row, text, tokens_in, len(tokens) + 1)

    def _line_masks(self, ids: list[int]) -> "tuple[torch.Tensor, ...]":
        """What a line model may say at token 0 (a line of the prompt), 1 (text or a line), later.

        Three tensors of shape (vocabulary,) to add to the logits; none for other models.
        """
        import torch

        if self._profile.edit_format is not EditFormat.LINE:
            return ()
        lines = [self._id(token) for token in LINE_TOKENS]
        shown = [i for i in lines if i in set(ids)]
        marks = [self._id(token) for token in (*MARKER_TOKENS, PAD_TOKEN)]
        first = torch.full((self._model.config.vocab_size,), _FORBIDDEN)
        first[shown] = 0.0
        text = torch.zeros(self._model.config.vocab_size)
        text[[*lines, *marks]] = _FORBIDDEN
        text[len(self._tokenizer) :] = _FORBIDDEN
        second = text.clone()
        second[shown] = 0.0
        return first, second, text

    @cached_property
    def _eos(self) -> int:
        """The id that ends a completion."""
        if self._profile.edit_format is EditFormat.LINE:
            return self._id(EOS_TOKEN)
        return int(self._tokenizer.eos_token_id)

    def _id(self, token: str) -> int:
        """The id of one added token."""
        found = self._tokenizer.convert_tokens_to_ids([token])
        return int(found[0] if isinstance(found, list) else found)

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        """The folder's tokenizer."""
        from transformers import AutoTokenizer

        self._check_files()
        try:
            return AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise self._unavailable("tokenizer.json", error) from error

    @cached_property
    def _model(self) -> "PreTrainedModel":
        """The folder's weights, ready to be asked."""
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM

        self._check_files()
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        gpu = torch.cuda.is_available()
        try:
            model = AutoModelForCausalLM.from_pretrained(
                self._folder, local_files_only=True, dtype="auto" if gpu else torch.float32
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise self._unavailable("model.safetensors", error) from error
        torch.nn.Module.to(model, "cuda" if gpu else "cpu")
        model.train(mode=False)
        return model

    def _check_files(self) -> None:
        """Name the first file that is missing or no JSON, before a library says it less clearly."""
        for file in REQUIRED_FILES:
            try:
                json.loads((self._folder / file).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise self._unavailable(file, error) from error
        if not any((self._folder / file).is_file() for file in WEIGHT_FILES):
            raise ModelUnavailableError(self._name, f"{self._folder / WEIGHT_FILES[0]} is missing")

    def _unavailable(self, file: str, error: Exception) -> ModelUnavailableError:
        """The error that names the file and what was wrong with it."""
        return ModelUnavailableError(self._name, f"{self._folder / file} cannot be read: {error}")


@dataclass(frozen=True, slots=True)
class _Row:
    """Completions of one prompt, side by side. `width` is the tokens read, last ones left out.

    `read` and `positions` have shape (1, width), `next` and `owner` (width,), `mask` (1, 1, width,
    prompt tokens + width), `first`, each completion's first token, (completions,).
    """

    width: int
    first: "torch.Tensor"
    read: "torch.Tensor"
    next: "torch.Tensor"
    owner: "torch.Tensor"
    positions: "torch.Tensor"
    mask: "torch.Tensor"


def _side_by_side(texts: list[list[int]], prompt: int, device: "torch.device") -> _Row:
    """Lay completions into one row in which each sees the prompt and its own beginning only."""
    import torch

    def tensor(values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    owner = tensor([k for k, text in enumerate(texts) for _ in text[1:]])
    width = len(owner)
    own = (owner[:, None] == owner[None]).tril()
    seen = torch.cat([torch.ones(width, prompt, dtype=torch.bool, device=device), own], 1)
    return _Row(
        width,
        tensor([text[0] for text in texts]),
        tensor([token for text in texts for token in text[:-1]])[None],
        tensor([token for text in texts for token in text[1:]]),
        owner,
        tensor([prompt + k for text in texts for k in range(len(text) - 1)])[None],
        seen[None, None],
    )


def pick(
    logits: "torch.Tensor", temperature: float, generator: "torch.Generator"
) -> "torch.Tensor":
    """Choose one token a row from logits of shape (n, vocabulary); temperature 0 takes the best."""
    import torch

    if temperature <= 0:
        return logits.argmax(-1).cpu()
    shares = (logits.cpu() / temperature).softmax(-1)
    return torch.multinomial(shares, 1, generator=generator)[:, 0]
