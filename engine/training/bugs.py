"""Realistic bugs, one at a time, each with the edit that takes it back."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from engine.line_format import LineEdit
from engine.models.rewrites.kinds import Rewritten, edit_between, rewrite, rewrite_held_out
from engine.models.rewrites.spans import ParsedFunction

MAX_EDIT_LINES = 4

Draw = Callable[[ParsedFunction, Random], Rewritten | None]


@dataclass(frozen=True, slots=True)
class Bug:
    """A function with one bug in it; `repair` takes it back."""

    kind: str
    source: str
    repair: LineEdit


def inject(function: ParsedFunction, rng: Random) -> Bug | None:
    """Put one bug into a function; None when no rewrite with a short repair was found."""
    return _inject(function, rng, rewrite)


def inject_held_out(function: ParsedFunction, rng: Random) -> Bug | None:
    """Put in a bug of the kinds that no training ever draws; None where there is no place."""
    return _inject(function, rng, rewrite_held_out)


def _inject(function: ParsedFunction, rng: Random, draw: Draw) -> Bug | None:
    for _ in range(2):
        found = draw(function, rng)
        repair = edit_between(found.source, function.source) if found else None
        if found is not None and repair is not None and len(repair.lines) <= MAX_EDIT_LINES:
            return Bug(found.kind, found.source, repair)
    return None
