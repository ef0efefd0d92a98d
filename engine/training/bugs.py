"""Realistic bugs, one at a time: every kind edits a function's text where one node stands.

The kinds and their shares follow the published description of HumanEvalFix (value misuse, missing
logic, excess logic, operator, variable and function misuse), not its rows. Run on a buggy function
the same kinds are blind rewrites, which is the baseline a model must beat.
"""

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from engine.line_format import LineEdit, split_lines
from engine.training import logic_rewrites as logic
from engine.training import value_rewrites as value
from engine.training.spans import ParsedFunction, Splice, make

Rewrite = Callable[[ParsedFunction, Random], Splice | None]

MAX_TRIES = 16
TRIES_PER_GROUP = 4
MAX_EDIT_LINES = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of bug: its group in HumanEvalFix's words, its share, and how it is made."""

    group: str
    share: float
    rewrite: Rewrite


@dataclass(frozen=True, slots=True)
class Bug:
    """A function with one bug in it; `repair` takes it back."""

    kind: str
    source: str
    repair: LineEdit


KINDS = (
    Kind("value misuse", 4.0, value.int_constant),
    Kind("value misuse", 1.5, value.negated_number),
    Kind("value misuse", 2.0, value.flag_constant),
    Kind("value misuse", 2.0, value.string_constant),
    Kind("value misuse", 2.0, value.wrong_start),
    Kind("value misuse", 3.5, value.wrong_return),
    Kind("value misuse", 3.0, value.index),
    Kind("value misuse", 2.0, value.slice_bound),
    Kind("value misuse", 2.5, value.range_bound),
    Kind("value misuse", 3.0, value.other_expression),
    Kind("operator misuse", 4.0, value.binary_operator),
    Kind("operator misuse", 4.5, value.compare_operator),
    Kind("operator misuse", 1.2, value.membership),
    Kind("operator misuse", 2.0, value.boolean_operator),
    Kind("operator misuse", 2.5, value.augmented_operator),
    Kind("operator misuse", 1.0, value.accumulate_for_assign),
    Kind("variable misuse", 7.0, value.wrong_variable),
    Kind("variable misuse", 1.0, value.wrong_target),
    Kind("variable misuse", 0.7, value.wrong_attribute),
    Kind("variable misuse", 1.2, value.swapped_operands),
    Kind("variable misuse", 0.8, value.swapped_pair),
    Kind("variable misuse", 0.8, value.swapped_branches),
    Kind("function misuse", 3.0, logic.wrong_call),
    Kind("function misuse", 1.0, logic.swapped_arguments),
    Kind("missing logic", 1.0, logic.dropped_argument),
    Kind("missing logic", 2.0, value.dropped_one),
    Kind("missing logic", 3.0, logic.dropped_call),
    Kind("missing logic", 2.0, logic.dropped_method),
    Kind("missing logic", 5.0, logic.dropped_operand),
    Kind("missing logic", 1.0, logic.dropped_clause),
    Kind("missing logic", 2.0, logic.dropped_statement),
    Kind("missing logic", 1.0, logic.dropped_guard),
    Kind("missing logic", 2.0, logic.negated_condition),
    Kind("excess logic", 3.5, value.off_by_one),
    Kind("excess logic", 3.0, logic.added_operand),
    Kind("excess logic", 2.5, logic.added_condition),
    Kind("excess logic", 1.0, logic.filter_of_comprehension),
    Kind("excess logic", 2.0, logic.added_call),
    Kind("excess logic", 1.5, logic.added_method),
    Kind("excess logic", 2.0, logic.added_statement),
    Kind("excess logic", 0.7, logic.repeated_statement),
    Kind("excess logic", 0.4, logic.extra_argument),
    Kind("missing logic", 0.7, logic.moved_statement),
    Kind("missing logic", 1.5, logic.wrong_indentation),
    Kind("value misuse", 0.8, logic.loop_exit),
    Kind("value misuse", 0.5, logic.wrong_keyword),
    Kind("value misuse", 1.2, logic.other_condition),
)

GROUP_SHARES = {
    "value misuse": 27.0,
    "missing logic": 21.0,
    "excess logic": 17.0,
    "operator misuse": 17.0,
    "variable misuse": 13.0,
    "function misuse": 5.0,
}
"""How often a bug of each group is injected, in per cent."""

_GROUPS = {name: [kind for kind in KINDS if kind.group == name] for name in GROUP_SHARES}

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
    """Put one bug into a function; None when `MAX_TRIES` rewrites led nowhere."""
    group = ""
    for attempt in range(MAX_TRIES):
        if attempt % TRIES_PER_GROUP == 0:
            group = rng.choices(list(GROUP_SHARES), list(GROUP_SHARES.values()))[0]
        kinds = _GROUPS[group]
        kind = rng.choices(kinds, [k.share for k in kinds])[0]
        splice = kind.rewrite(function, rng)
        if splice is None:
            continue
        source = make(function.source, splice)
        repair = edit_between(source, function.source)
        if repair is not None and len(repair.lines) <= MAX_EDIT_LINES and is_python(source):
            return Bug(kind.rewrite.__name__, source, repair)
    return None


def is_python(source: str) -> bool:
    """Whether a text parses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as `1 is x`, which a rewrite may well write
            ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def edit_between(before: str, after: str) -> LineEdit | None:
    """The smallest line edit from one text to another; None when they are equal."""
    old, new = split_lines(before), split_lines(after)
    if old == new:
        return None
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    if head + tail == len(old):  # nothing to replace: write the line before once more
        head, tail = (head - 1, tail) if head else (head, tail - 1)
    return LineEdit(head, len(old) - tail - 1, tuple(new[head : len(new) - tail]))


def complaint(kind: str, name: str, rng: Random) -> str:
    """What somebody who met the bug might write, in one short line."""
    told = rng.choice(_COMPLAINTS.get(kind, _GENERAL) if rng.random() < 0.6 else _GENERAL)
    return rng.choice([told, f"{name} {told}", f"{name}() {told}", f"{name}: {told}"])
