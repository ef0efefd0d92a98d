"""The nouns of the search: context, candidate, conditioning example, score, iteration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.contract import Patch
from sandbox.grading import Grade


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it is at base_commit; `path` is relative and uses slashes."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """A function (or a window of one): lines `start`..`end` of a file, 1-based, both included."""

    path: str
    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CodeContext:
    """What the model is shown: files, most suspicious first, and the functions worth editing.

    `executed` holds the lines that the failing reproduction ran, per path; empty when unknown.
    """

    files: tuple[SourceFile, ...]
    focus: tuple[Span, ...] = ()
    executed: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def text(self, path: str) -> str | None:
        """The text of a file of this context, or None."""
        return next((file.text for file in self.files if file.path == path), None)

    def reached(self, span: Span) -> frozenset[int] | None:
        """The lines of a span that ran, 0-based from its start; None where that is unknown."""
        executed = self.executed.get(span.path, frozenset())
        inside = range(span.start, span.end + 1)
        return frozenset(line - span.start for line in inside if line in executed) or None

    def lines(self, span: Span) -> str:
        """The text of a span, indentation kept."""
        lines = (self.text(span.path) or "").splitlines(keepends=True)
        return "".join(lines[span.start - 1 : span.end])


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sampled patch; `patch` is None when no completion was usable, and `note` says why.

    `key` is the patched code's normalised form: equal keys mean the same program.
    """

    iteration: int
    sample: int
    completion: str
    patch: Patch | None
    key: str | None = None
    focus: Span | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class ConditioningExample:
    """An earlier candidate shown to the model; `feedback` is what its tests said, or None."""

    candidate: Candidate
    feedback: str | None = None


Select = Callable[[Sequence[Candidate], int], Sequence[ConditioningExample]]
"""Chooses at most K conditioning examples from an iteration's candidates."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its reward in 0..1 and, once tested, its grade and feedback."""

    candidate: Candidate
    reward: float
    grade: Grade | None = None
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Iteration:
    """One round of EvoScale: what the model was shown and what it sampled."""

    index: int
    conditioning_examples: tuple[ConditioningExample, ...]
    candidates: tuple[Candidate, ...]
