"""The embedded model's byte-level BPE, cut as Qwen2 cuts: a word with its sign, single digits."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.line_format import EOS_TOKEN, LINE_TOKENS, MARKER_TOKENS, PAD_TOKEN
from engine.training.corpus import read_corpus

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZER_FUNCTIONS = 40_000
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How text is cut before merging: Qwen2's rule, because transformers applies it, and NFC, to every
folder whose model is a Qwen2, whatever its tokenizer.json says."""


def train_tokenizer(sources: Iterable[str], vocabulary: int) -> "PreTrainedTokenizerFast":
    """Train on functions' text, line by line as prompts show it and whole as edits do.

    Line numbers and markers are ordinary added tokens, so that no decoder drops them.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    marks = [*MARKER_TOKENS, *LINE_TOKENS]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(marks) - 2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(sources), trainer)
    tokenizer.add_special_tokens([EOS_TOKEN, PAD_TOKEN])
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in marks])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers
        tokenizer_object=tokenizer,
        eos_token=EOS_TOKEN,
        unk_token=EOS_TOKEN,
        pad_token=PAD_TOKEN,
        clean_up_tokenization_spaces=False,
    )


def make_tokenizer(corpus: Path, folder: Path, vocabulary: int, seed: int) -> None:
    """Train a tokenizer on functions drawn from the corpus and save it.

    Raises:
        BadInputError: the corpus is missing, unreadable, or has nothing to train on.
    """
    functions = [f for f in read_corpus(corpus) if f.split == "train"]
    if not functions:
        msg = f"{corpus} holds no function to train on; build it again"
        raise BadInputError(msg)
    weights = [f.weight for f in functions]
    drawn = Random(seed).choices(functions, weights, k=TOKENIZER_FUNCTIONS)
    train_tokenizer((f.raw for f in drawn), vocabulary).save_pretrained(folder)


def _texts(sources: Iterable[str]) -> Iterator[str]:
    """Every line on its own, and every eighth function whole."""
    for number, source in enumerate(sources):
        yield from source.split("\n")
        if number % 8 == 0:
            yield source


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer saved in a folder."""
    from transformers import PreTrainedTokenizerFast

    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
        folder, local_files_only=True
    )
    return loaded
