"""Realistic bugs, one at a time, each with the edit that takes it back and a complaint about it."""

from dataclasses import dataclass
from random import Random

from engine.line_format import LineEdit
from engine.models.rewrites.kinds import edit_between, rewrite
from engine.models.rewrites.spans import ParsedFunction

MAX_EDIT_LINES = 4


@dataclass(frozen=True, slots=True)
class Bug:
    """A function with one bug in it; `repair` takes it back."""

    kind: str
    source: str
    repair: LineEdit


_COMPLAINTS = {
    "index": ("IndexError: list index out of range", "KeyError"),
    "range_bound": ("IndexError: list index out of range", "the last element is missing"),
    "slice_bound": ("the result is cut off", "the last element is missing"),
    "dropped_argument": ("TypeError: missing 1 required positional argument",),
    "extra_argument": ("TypeError: takes too many positional arguments",),
    "dropped_guard": ("fails on empty input", "ZeroDivisionError: division by zero"),
    "dropped_statement": (
        "returned None",
        "UnboundLocalError: local variable referenced before assignment",
    ),
    "wrong_target": ("NameError: name is not defined",),
    "wrong_keyword": ("never returns",),
    "loop_exit": ("stops too early", "never returns"),
    "wrong_start": ("off by one", "TypeError: unsupported operand type(s)"),
    "off_by_one": ("off by one",),
    "dropped_one": ("off by one",),
    "flag_constant": ("returned True, expected False", "returned False, expected True"),
    "compare_operator": ("wrong at the boundary", "returned True, expected False"),
}
_GENERAL = (
    "returns a wrong result",
    "gives an unexpected value",
    "is broken",
    "AssertionError",
    "",
)


def inject(function: ParsedFunction, rng: Random) -> Bug | None:
    """Put one bug into a function; None when no rewrite with a short repair was found."""
    for _ in range(2):
        found = rewrite(function, rng)
        repair = edit_between(found.source, function.source) if found else None
        if found is not None and repair is not None and len(repair.lines) <= MAX_EDIT_LINES:
            return Bug(found.kind, found.source, repair)
    return None


def complaint(kind: str, name: str, rng: Random) -> str:
    """What somebody who met the bug might write, in one short line."""
    told = rng.choice(_COMPLAINTS.get(kind, _GENERAL) if rng.random() < 0.6 else _GENERAL)
    return rng.choice([told, f"{name} {told}", f"{name}() {told}", f"{name}: {told}"])
