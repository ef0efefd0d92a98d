"""Where a stage's examples come from: fresh bugs in the corpus, or rows that were written down."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from engine.training.corpus import read_corpus
from engine.training.data import SHARE_PREVIOUS, RepairRow, read_rows, rows

Draw = Callable[[int, int, int], Iterator[RepairRow]]
"""(seed, first, count) to the examples number `first`.. of a seed's endless sequence."""


@dataclass(frozen=True, slots=True)
class FreshBugs:
    """A fresh bug for every example, in functions of one split of the corpus.

    `previous_share` says how many examples show wrong edits that were tried before.
    """

    corpus: Path
    split: str = "train"
    previous_share: float = SHARE_PREVIOUS

    def load(self) -> Draw | None:
        """Read the corpus; None when it has no function of the split.

        Raises:
            BadInputError: the file is missing or no corpus.
        """
        functions = [f for f in read_corpus(self.corpus) if f.split == self.split]
        if not functions:
            return None
        share = self.previous_share
        return lambda seed, first, count: rows(functions, seed, first, count, previous_share=share)


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """Rows of a file, every epoch in another order."""

    path: Path

    def load(self) -> Draw | None:
        """Read the file; None when it is empty.

        Raises:
            BadInputError: the file is missing or a line is no example.
        """
        written = read_rows(self.path)
        return (lambda *drawn: _epochs(written, *drawn)) if written else None


def _epochs(written: list[RepairRow], seed: int, first: int, count: int) -> Iterator[RepairRow]:
    """Examples number `first`.. of endless epochs."""
    order: list[int] = []
    shuffled = -1
    for number in range(first, first + count):
        epoch, place = divmod(number, len(written))
        if epoch != shuffled:
            order = list(range(len(written)))
            Random(f"{seed}/{epoch}").shuffle(order)
            shuffled = epoch
        yield written[order[place]]


RowSource = FreshBugs | WrittenRows
