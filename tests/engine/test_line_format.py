import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.line_format import (
    MAX_LINES,
    LineEdit,
    apply,
    hidden_lines,
    neutralise,
    parse,
    render_edit,
    render_prompt,
    restore,
)

SOURCE = "def add(a, b):\n    total = a - b\n    return total\n"

text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)
line = text.map(lambda t: t.replace("\n", ""))
tokens = st.sampled_from(
    ["<L3>", "<eos>", "<prev>", "<\u2060L3>", "<\u2060\u2060edit>", "x<", "L1>"]
)
hostile = st.lists(st.one_of(tokens, line), max_size=6).map("".join)


def test_a_prompt_numbers_every_line_and_ends_where_the_model_goes_on():
    prompt = render_prompt(SOURCE, issue="adds wrongly", previous=["<L2>    return a"])
    assert prompt == (
        "<issue>adds wrongly<code><L0>def add(a, b):<L0><L1>    total = a - b<L1>"
        "<L2>    return total<L2><prev><L2>    return a<edit>"
    )


def test_blank_lines_and_the_docstring_are_numbered_but_not_shown():
    source = 'def f(x):\n    """Say.\n\n    More.\n    """\n\n    return x\n'
    assert hidden_lines(source) == {1, 2, 3, 4, 5}
    assert (
        render_prompt(source, issue="", previous=())
        == "<issue><code><L0>def f(x):<L0><L6>    return x<L6><edit>"
    )


def test_text_that_is_no_python_still_becomes_a_prompt():
    assert render_prompt("while (", issue="", previous=()) == "<issue><code><L0>while (<L0><edit>"


def test_a_source_with_too_many_lines_is_refused():
    with pytest.raises(ValueError, match=str(MAX_LINES + 1)):
        render_prompt("x\n" * (MAX_LINES + 1), issue="", previous=())


def test_an_issue_is_one_short_line():
    prompt = render_prompt("x", issue="a\n  b " + "c" * 1000, previous=())
    assert prompt.startswith("<issue>a b cc")
    assert len(prompt) < 300


def test_the_edit_is_applied_where_it_says():
    assert apply(LineEdit(1, 1, ("    total = a + b",)), SOURCE) == SOURCE.replace("-", "+")
    assert (
        apply(LineEdit(1, 2, ("    return a + b",)), SOURCE) == "def add(a, b):\n    return a + b\n"
    )


def test_an_empty_body_deletes_and_two_lines_insert():
    deleted = parse("<L1>")
    assert deleted == LineEdit(1, 1, ())
    assert apply(deleted, SOURCE) == "def add(a, b):\n    return total\n"
    inserted = parse("<L1>    total = a\n    total += b")
    assert inserted is not None
    assert (
        apply(inserted, SOURCE)
        == "def add(a, b):\n    total = a\n    total += b\n    return total\n"
    )


def test_no_op_and_out_of_range_edits_are_no_result():
    assert apply(LineEdit(2, 2, ("    return total",)), SOURCE) is None
    assert apply(LineEdit(3, 3, ("x",)), SOURCE) is None


def test_completions_that_are_no_line_edit_are_told_apart():
    refused = [
        "",
        "return a",
        "<L2><L1>x",
        "<L64>x",
        "<L1>x<L2>y",
        "<L1>a<prev>b",
        "<L1><L99>x",
        "x<L1>y",
    ]
    assert [parse(completion) for completion in refused] == [None] * len(refused)
    assert parse("<L1>x<eos><L2>more") == LineEdit(1, 1, ("x",))


@given(hostile)
def test_special_tokens_in_repository_text_are_escaped_and_come_back(raw):
    escaped = neutralise(raw)
    assert restore(escaped) == raw
    for token in ("<L3>", "<eos>", "<prev>", "<edit>"):
        assert token not in escaped


@given(st.integers(0, MAX_LINES - 1), st.integers(0, 3), st.lists(hostile, min_size=1, max_size=4))
def test_every_edit_survives_being_written_and_read(start, more, lines):
    end = min(start + more, MAX_LINES - 1)
    edit = LineEdit(start, end, tuple(lines) if lines != [""] else ())
    assert parse(render_edit(edit)) == edit


@given(st.text(max_size=200))
def test_reading_a_completion_never_raises(completion):
    edit = parse(completion)
    assert edit is None or edit.start <= edit.end
