import pytest

from engine.line_format import LineEdit
from engine.reach import reaches, whole_statements

SOURCE = """\
def f(a,
      b):
    if (a and
            b):
        a = g(
            b)

    return a"""


@pytest.mark.parametrize(
    ("ran", "whole"),
    [({1}, {1, 2}), ({4}, {3, 4}), ({5}, {5, 6}), ({6, 8}, {5, 6, 8}), (set(), set())],
)
def test_lines_that_ran_are_widened_to_whole_statements(ran, whole):
    assert whole_statements(SOURCE, ran) == whole


BLOCKS = """\
@cached
@named(
    "f")
def f(a=1):
    try:
        for x in a:
            y = x
        else:
            y = 2
    finally:
        z = 3"""


@pytest.mark.parametrize(
    ("ran", "whole"),
    [({1}, {1, 2, 3, 4}), ({6}, {6, 8}), ({5, 9}, {5, 9, 10}), ({7}, {7})],
)
def test_decorators_and_the_words_between_blocks_belong_to_their_statement(ran, whole):
    assert whole_statements(BLOCKS, ran) == whole


def test_a_handler_that_did_not_run_is_not_reached_with_its_try():
    source = "try:\n    a = 1\nexcept ValueError:\n    a = 2\nelse:\n    a = 3\nfinally:\n    a = 4"
    assert whole_statements(source, {1, 2, 6, 8}) == {1, 2, 5, 6, 7, 8}


def test_what_does_not_parse_has_no_statements():
    assert whole_statements("def f(:", {1}) is None


@pytest.mark.parametrize(
    ("edit", "reached", "may_matter"),
    [
        (LineEdit(4, 5, ("        a = b",)), {5}, True),
        (LineEdit(4, 5, ("        a = b",)), {7}, False),
        (LineEdit(4, 5, ("        a = b",)), None, True),
        (LineEdit(7, 7, ()), {7}, True),
        (LineEdit(5, 5, ("            b)", "    a = 1")), {7}, True),
        (LineEdit(5, 5, ("            b)", "    a = 1")), {0, 2}, False),
        (LineEdit(5, 5, ("            a)", "    a = 1")), {7}, False),
        (LineEdit(7, 7, ("    return a", "    a = 1")), {0}, False),
        (LineEdit(90, 91, ("x",)), {7}, False),
    ],
)
def test_an_edit_matters_only_where_it_touches_what_ran(edit, reached, may_matter):
    assert reaches(edit, SOURCE, reached) is may_matter
