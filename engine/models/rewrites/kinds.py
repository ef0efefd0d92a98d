"""The kinds of single rewrites and how often each is drawn.

The kinds and their shares follow the published description of HumanEvalFix (value misuse, missing
logic, excess logic, operator, variable and function misuse), not its rows. Run on a clean function
they are bugs to train on; on a buggy one they are blind repairs, the baseline a model must beat.
"""

import ast
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from engine.line_format import LineEdit, split_lines
from engine.models.rewrites import held_out, logic, repairs, values
from engine.models.rewrites.spans import ParsedFunction, Splice, make

Rewrite = Callable[[ParsedFunction, Random], Splice | None]

MAX_TRIES = 16
TRIES_PER_GROUP = 4
REMEMBERED_TEXTS = 2048


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of rewrite: its group in HumanEvalFix's words, its share, and how it is made."""

    group: str
    share: float
    rewrite: Rewrite


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A function after one rewrite of the named kind."""

    kind: str
    source: str


KINDS = (
    Kind("value misuse", 4.0, values.int_constant),
    Kind("value misuse", 1.5, values.negated_number),
    Kind("value misuse", 2.0, values.flag_constant),
    Kind("value misuse", 2.0, values.string_constant),
    Kind("value misuse", 2.0, values.wrong_start),
    Kind("value misuse", 3.5, values.wrong_return),
    Kind("value misuse", 3.0, values.index),
    Kind("value misuse", 2.0, values.slice_bound),
    Kind("value misuse", 2.5, values.range_bound),
    Kind("value misuse", 3.0, values.other_expression),
    Kind("operator misuse", 4.0, values.binary_operator),
    Kind("operator misuse", 4.5, values.compare_operator),
    Kind("operator misuse", 1.2, values.membership),
    Kind("operator misuse", 2.0, values.boolean_operator),
    Kind("operator misuse", 2.5, values.augmented_operator),
    Kind("operator misuse", 1.0, values.accumulate_for_assign),
    Kind("variable misuse", 7.0, values.wrong_variable),
    Kind("variable misuse", 1.0, values.wrong_target),
    Kind("variable misuse", 0.7, values.wrong_attribute),
    Kind("variable misuse", 1.2, values.swapped_operands),
    Kind("variable misuse", 0.8, values.swapped_pair),
    Kind("variable misuse", 0.8, values.swapped_branches),
    Kind("function misuse", 3.0, logic.wrong_call),
    Kind("function misuse", 1.0, logic.swapped_arguments),
    Kind("missing logic", 1.0, logic.dropped_argument),
    Kind("missing logic", 2.0, values.dropped_one),
    Kind("missing logic", 3.0, logic.dropped_call),
    Kind("missing logic", 2.0, logic.dropped_method),
    Kind("missing logic", 5.0, logic.dropped_operand),
    Kind("missing logic", 1.0, logic.dropped_clause),
    Kind("missing logic", 2.0, logic.dropped_statement),
    Kind("missing logic", 1.0, logic.dropped_guard),
    Kind("missing logic", 2.0, logic.negated_condition),
    Kind("excess logic", 3.5, values.off_by_one),
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

REPAIRS = (
    Kind("forgotten", 3.0, repairs.compared),
    Kind("forgotten", 2.0, repairs.precondition),
    Kind("forgotten", 3.0, repairs.named_argument),
    Kind("forgotten", 2.0, repairs.bounded),
    Kind("forgotten", 2.0, repairs.other_receiver),
    Kind("forgotten", 0.5, repairs.own_type),
    Kind("forgotten", 1.0, repairs.near_name),
    Kind("forgotten", 2.0, repairs.early_return),
    Kind("forgotten", 0.5, repairs.forgotten_return),
    Kind("forgotten", 1.5, repairs.iterated),
    Kind("forgotten", 0.5, repairs.caught_too),
)
"""What repairs add and injected bugs do not take away; never a bug to train on."""

HELD_OUT = (
    Kind("held out", 1.0, held_out.swapped_bodies),
    Kind("held out", 1.0, held_out.reset_in_loop),
)
"""Drawn by neither `rewrite` nor `repair`: bugs that a model meets for the first time."""

GROUP_SHARES = {
    "value misuse": 27.0,
    "missing logic": 21.0,
    "excess logic": 17.0,
    "operator misuse": 17.0,
    "variable misuse": 13.0,
    "function misuse": 5.0,
}
"""How often a rewrite of each group is drawn, in per cent."""

_GROUPS = {name: [kind for kind in KINDS if kind.group == name] for name in GROUP_SHARES}


def rewrite(function: ParsedFunction, rng: Random) -> Rewritten | None:
    """One random rewrite that parses; None when `MAX_TRIES` of them led nowhere."""
    kinds: Sequence[Kind] = ()
    for attempt in range(MAX_TRIES):
        if attempt % TRIES_PER_GROUP == 0:
            kinds = _GROUPS[rng.choices(list(GROUP_SHARES), list(GROUP_SHARES.values()))[0]]
        made = _rewrite(function, kinds, rng)
        if made is not None:
            return made
    return None


def rewrite_held_out(function: ParsedFunction, rng: Random) -> Rewritten | None:
    """One rewrite of the kinds that are held out, to measure transfer to unseen bugs."""
    made = (_rewrite(function, HELD_OUT, rng) for _ in range(TRIES_PER_GROUP))
    return next((one for one in made if one is not None), None)


def repair(function: ParsedFunction, rng: Random, repair_share: float) -> Rewritten | None:
    """One random rewrite to try on a function with a bug: of any kind, `REPAIRS` this often."""
    if rng.random() >= repair_share:
        return rewrite(function, rng)
    made = (_rewrite(function, REPAIRS, rng) for _ in range(TRIES_PER_GROUP))
    return next((one for one in made if one is not None), None)


def _rewrite(function: ParsedFunction, kinds: Sequence[Kind], rng: Random) -> Rewritten | None:
    """Try one of these kinds, drawn by share; None when it leads nowhere."""
    kind = rng.choices(kinds, [k.share for k in kinds])[0]
    splice = kind.rewrite(function, rng)
    if splice is None:
        return None
    source = make(function.source, splice)
    if source == function.source or not is_python(source):
        return None
    return Rewritten(kind.rewrite.__name__, source)


@lru_cache(REMEMBERED_TEXTS)
def is_python(source: str) -> bool:
    """Whether a text parses; random draws repeat themselves, so answers are remembered."""
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
