from pathlib import Path
from random import Random

import pytest

from engine.errors import BadInputError
from engine.line_format import apply, hidden_lines, parse
from engine.training.corpus import Function
from engine.training.data import make_row, read_rows, rows, write_rows


def test_every_row_is_repaired_by_its_patch_and_by_no_previous_edit(functions):
    made = list(rows(functions, seed=3, first=0, count=400))
    assert len(made) > 300
    for row in made:
        edit = parse(row.patch)
        assert edit is not None
        assert edit.start not in hidden_lines(row.source)
        assert apply(edit, row.source) == row.fixed
        assert row.patch not in row.previous
        assert row.prompt.endswith("<edit>")
        for text in row.previous:
            wrong = parse(text)
            assert wrong is not None
            assert apply(wrong, row.source) not in {None, row.fixed}


def test_rows_show_issues_previous_edits_and_gaps_in_some_examples_only(functions):
    made = list(rows(functions, seed=4, first=0, count=400))
    for share in (
        [row for row in made if row.previous],
        [row for row in made if row.problem_statement],
        [row for row in made if "\n\n" in row.source],
    ):
        assert 20 < len(share) < 300
    assert max(len(row.previous) for row in made) <= 5


def test_the_sequence_depends_on_seed_and_position_only(functions):
    assert list(rows(functions, 1, 0, 50)) == list(rows(functions, 1, 0, 50))
    assert list(rows(functions, 1, 0, 50)) != list(rows(functions, 1, 50, 50))


def test_a_function_that_does_not_stand_alone_gives_no_row():
    text = "def f():\n    return (yield\n"
    function = Function("demo", "train", "f", text, text, "", 1.0)
    assert make_row(function, Random(0), "demo-0") is None


def test_rows_survive_a_file(functions, tmp_path: Path):
    made = list(rows(functions, 5, 0, 20))
    write_rows(tmp_path / "rows.jsonl", made)
    assert read_rows(tmp_path / "rows.jsonl") == made
    (tmp_path / "bad.jsonl").write_text('{"source": 1}\n')
    for name in ("bad.jsonl", "missing.jsonl"):
        with pytest.raises(BadInputError, match=name):
            read_rows(tmp_path / name)
