"""A causal language model in this process, by transformers: any folder; a GPU is used."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ModelUnavailableError
from engine.models.base import EditFormat, Prompt
from engine.models.decoding import Decoder, Floats, Ints, TokenTree, closing_token
from engine.models.folder import WEIGHTS
from engine.models.local import LocalModel

if TYPE_CHECKING:
    import torch
    from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase


class TransformersLocal(LocalModel):
    """A model folder on disk; float32 on CPU, the stored type on a GPU."""

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

    def _load(self) -> Decoder:
        """Read the folder, whose files are there."""
        closing = closing_token(self._profile, self._tokenizer.eos_token)
        codec = _Codec(self._tokenizer, closing)
        return Decoder(_TorchNetwork(self._weights()), codec, self._profile)

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        """The folder's tokenizer."""
        try:
            from transformers import AutoTokenizer
        except ImportError as error:
            reason = "transformers is not installed; pip install 'evoscale[transformers]'"
            raise ModelUnavailableError(self.name, reason) from error

        self._folder.check()
        try:
            return AutoTokenizer.from_pretrained(self._folder.path, local_files_only=True)
        except (OSError, ValueError) as error:
            raise self._folder.unavailable("tokenizer.json", error) from error

    def _weights(self) -> "PreTrainedModel":
        """The folder's weights, ready to be asked."""
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        gpu = torch.cuda.is_available()
        try:
            model = AutoModelForCausalLM.from_pretrained(
                self._folder.path, local_files_only=True, dtype="auto" if gpu else torch.float32
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise self._folder.unavailable(WEIGHTS, error) from error
        torch.nn.Module.to(model, "cuda" if gpu else "cpu")
        model.train(mode=False)
        return model


class _TorchNetwork:
    """A model of transformers."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self._model = model
        self.vocabulary = int(model.config.vocab_size)

    def read(self, ids: Sequence[int]) -> "_TorchReading":
        """Read a prompt."""
        import torch

        with torch.inference_mode():
            out = self._model(_tensor([list(ids)], self._model), use_cache=True)
        return _TorchReading(self._model, out.past_key_values, _floats(out.logits[0, -1]))


class _TorchReading:
    """A prompt's cache, and what came after it."""

    def __init__(self, model: "PreTrainedModel", cache: "Cache", logits: Floats) -> None:
        self._model = model
        self._cache = cache
        self.logits = logits

    def repeat(self, n: int) -> None:
        """Go on in `n` rows that begin alike."""
        self._cache.batch_repeat_interleave(n)

    def step(self, tokens: Ints) -> Floats:
        """Read one token a row; logits of shape (n, vocabulary)."""
        import torch

        with torch.inference_mode():
            ids = _tensor(tokens[:, None], self._model)
            out = self._model(ids, past_key_values=self._cache, use_cache=True)
        return _floats(out.logits[:, -1])

    def branches(self, tree: TokenTree) -> Floats:
        """Logits of shape (nodes, vocabulary) after each node of a tree; nothing is kept."""
        import torch

        with torch.inference_mode():
            out = self._model(
                _tensor(tree.read[None], self._model),
                attention_mask=_tensor(tree.mask[None, None], self._model),
                position_ids=_tensor(tree.positions[None], self._model),
                past_key_values=self._cache,
                use_cache=True,
            )
        self._cache.crop(-tree.read.size)
        return _floats(out.logits[0])


def _tensor(values: object, model: "PreTrainedModel") -> "torch.Tensor":
    """An array where the model is."""
    import torch

    return torch.as_tensor(values, device=model.device)


def _floats(logits: "torch.Tensor") -> Floats:
    """Logits as an array of float32."""
    found: Floats = logits.float().cpu().numpy().astype(np.float32, copy=False)
    return found


class _Codec:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", closing: str) -> None:
        self._tokenizer = tokenizer
        self.eos = self.id_of(closing)
        self.size = len(tokenizer)

    def encode(self, text: str) -> list[int]:
        """Text in tokens, nothing added."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens as text, added tokens as they are written."""
        return str(self._tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))

    def id_of(self, token: str) -> int:
        """The id of one added token."""
        found = self._tokenizer.convert_tokens_to_ids([token])
        return int(found[0] if isinstance(found, list) else found)
