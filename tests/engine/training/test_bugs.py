import ast
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.line_format import LineEdit, apply
from engine.models.rewrites.kinds import (
    GROUP_SHARES,
    HELD_OUT,
    KINDS,
    edit_between,
    repair,
    rewrite,
)
from engine.models.rewrites.spans import ParsedFunction, make
from engine.training.bugs import inject, inject_held_out

RICH = """\
def count(items, limit=3, flag=True):
    total = 0
    found = []
    for k, item in enumerate(items):
        if item is None or not item.ok:
            continue
        if k > limit and item.size >= total and flag:
            break
        elif item.name in found:
            pass
        total += item.size - 1
        found.append(item.name.lower())
        found.append(' ')
    while total < -1:
        total = total * 2
    for i in range(1, len(found) + 1):
        total = max(total, i)
        flag, total = total, flag
    low = [x for x in found[1:limit] if x]
    if not low:
        return None
    ends = (low[0], low[-1], str(total, limit))
    value = total if flag else limit
    size = 0
    for name in found:
        size += len(name)
    if size > limit:
        flag = False
    else:
        value = size
    return sorted(found, key=len, reverse=True)
"""


@pytest.mark.parametrize("kind", KINDS + HELD_OUT, ids=lambda kind: kind.rewrite.__name__)
def test_every_kind_finds_a_place_and_leaves_its_other_lines_alone(kind):
    parsed = ParsedFunction(RICH)
    made = [kind.rewrite(parsed, Random(seed)) for seed in range(80)]
    texts = {make(RICH, splice) for splice in made if splice is not None} - {RICH}
    assert texts
    assert any(_parses(text) for text in texts)
    for text in texts:
        edit = edit_between(text, RICH)
        assert edit is not None
        assert apply(edit, text) == RICH


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def test_there_are_enough_kinds_and_every_group_has_some():
    assert len(KINDS) >= 25
    assert {kind.group for kind in KINDS} == set(GROUP_SHARES)
    assert sum(GROUP_SHARES.values()) == 100


@given(st.integers())
def test_an_injected_bug_parses_differs_and_is_taken_back_by_its_repair(seed):
    bug = inject(ParsedFunction(RICH), Random(seed))
    assert bug is not None
    ast.parse(bug.source)
    assert bug.source != RICH
    assert apply(bug.repair, bug.source) == RICH


def test_the_same_seed_injects_the_same_bug():
    assert inject(ParsedFunction(RICH), Random(7)) == inject(ParsedFunction(RICH), Random(7))


def test_a_function_without_any_place_for_a_bug_gives_none():
    assert inject(ParsedFunction("..."), Random(0)) is None


def test_columns_are_only_trusted_for_ascii():
    with pytest.raises(ValueError, match="ASCII"):
        ParsedFunction("def f():\n    return 'ü'\n")


def test_the_insides_of_f_strings_are_left_alone():
    source = "def f(x):\n    return f'{x + 1} of {len(x)}'\n"
    assert not ParsedFunction(source).of(ast.BinOp, ast.Call)


def test_a_missing_line_is_put_back_through_the_line_before():
    assert edit_between("a\nc", "a\nb\nc") == LineEdit(0, 0, ("a", "b"))
    assert edit_between("b\nc", "a\nb\nc") == LineEdit(0, 0, ("a", "b"))
    assert edit_between("a\nb\nc", "a\nc") == LineEdit(1, 1, ())
    assert edit_between("a\nb", "a\nb\n") is None


def test_kinds_that_are_held_out_are_never_drawn_by_training_or_by_a_pool():
    parsed = ParsedFunction(RICH)
    names = {kind.rewrite.__name__ for kind in HELD_OUT}
    drawn = [
        made
        for seed in range(300)
        for made in (rewrite(parsed, Random(seed)), repair(parsed, Random(seed), 0.5))
    ]
    held_out = [bug for seed in range(100) if (bug := inject_held_out(parsed, Random(seed)))]
    assert not names & {made.kind for made in drawn if made}
    assert {bug.kind for bug in held_out} == names
    assert not {bug.source for bug in held_out} & {made.source for made in drawn if made}


def test_a_bug_that_is_held_out_is_taken_back_by_its_repair():
    for seed in range(50):
        bug = inject_held_out(ParsedFunction(RICH), Random(seed))
        assert bug is not None
        ast.parse(bug.source)
        assert apply(bug.repair, bug.source) == RICH


def test_bodies_change_places_and_a_start_slips_into_its_loop():
    branches = "def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n"
    loops = "def f(xs):\n    n = 0\n    for x in xs:\n        n += x\n    return n\n"
    made = [inject_held_out(ParsedFunction(text), Random(0)) for text in (branches, loops)]
    assert [bug.source for bug in made if bug] == [
        "def f(x):\n    if x:\n        return 2\n    else:\n        return 1\n",
        "def f(xs):\n    for x in xs:\n        n = 0\n        n += x\n    return n\n",
    ]
