"""`evoscale bench realbugs`: what is kept after each bug, and how a run goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bot import cli
from bot.cli.real_bugs import NOT_TRIED, Result, Results, as_markdown, read_results, run_all
from bot.demo import cases
from engine.contract import Budget
from engine.errors import BadInputError
from sandbox.settings import SandboxSettings
from tests.bot.test_cli import RUN

SOLVED = Result("one", "p 1.0", "MIT", "a sign", "resolved", True, True, 3, 1, 2.5, "")
LOST = replace(SOLVED, name="two", status="no_patch", checked=False, note="nothing kept the tests")
COMMAND = "evoscale bench realbugs --iterations 6 --candidates 16 --minutes 5 --sandbox bubblewrap"
FIELDS = {
    "name", "release", "licence", "change", "status", "checked", "same", "candidates",
    "iterations", "seconds", "note",
}  # fmt: skip


def everything() -> Results:
    """As if every bug of the list had been tried."""
    results = Results(command=COMMAND)
    for case in cases.load():
        results = results.plus(replace(SOLVED, name=case.name))
    return results


def test_a_bug_counts_once_and_its_last_try_counts() -> None:
    results = Results(command="c").plus(LOST).plus(SOLVED).plus(replace(SOLVED, name="two"))
    assert (results.solved, results.of) == (2, 2)
    assert [each.name for each in results.bugs] == ["one", "two"]
    assert results.has("two")
    assert not results.plus(replace(LOST, status=NOT_TRIED)).has("two")


def test_the_fields_of_the_json_are_those_that_were_published() -> None:
    told = json.loads(Results(command="c").plus(LOST).model_dump_json())
    assert set(told) == {"solved", "of", "command", "bugs"}
    assert set(told["bugs"][0]) == FIELDS


def test_what_was_written_down_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "bugs.json"
    assert read_results(path, "c") == Results(command="c")
    assert read_results(None, "c") == Results(command="c")
    results = Results(command="c").plus(SOLVED).plus(LOST)
    path.write_text(results.model_dump_json(indent=2))
    assert read_results(path, "c") == results
    with pytest.raises(BadInputError, match="was made by `c`"):
        read_results(path, "another")


@pytest.mark.parametrize("content", ["", "# Real bugs", "[]", '{"solved": 1}'])
def test_a_file_that_is_none_of_ours_is_not_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bugs.json"
    path.write_text(content)
    with pytest.raises(BadInputError, match="name another file"):
        read_results(path, "c")
    assert path.read_text() == content


def test_bugs_that_are_known_are_not_tried_again() -> None:
    heard: list[Result] = []
    known = everything()
    again = run_all(
        [], Budget(), SandboxSettings(), known=known, say=lambda one, _all: heard.append(one)
    )
    assert again == known
    assert heard == []


def test_each_bug_is_on_disk_before_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a registry no bug can be fetched, which is a result of its own and tried again."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    path, table = tmp_path / "bugs.json", tmp_path / "bugs.md"
    first = cases.load()[0].name
    kept = Results(command=COMMAND).plus(SOLVED)
    path.write_text(kept.model_dump_json())
    arguments = ["bench", "realbugs", "--only", first, "--sandbox", "bubblewrap", "--json"]
    result = RUN.invoke(cli.app, [*arguments, "--out", str(path), "--table", str(table)])
    assert result.exit_code == 0, result.output
    told = Results.model_validate_json(result.stdout.splitlines()[-1])
    assert told == Results.model_validate_json(path.read_bytes())
    assert [(each.name, each.status) for each in told.bugs] == [
        ("one", "resolved"),
        (first, NOT_TRIED),
    ]
    assert f"to repeat it: {COMMAND}" in result.stderr
    assert COMMAND in table.read_text()


def test_the_table_says_why_a_bug_was_not_solved() -> None:
    table = as_markdown(Results(command="c").plus(SOLVED).plus(LOST))
    assert "**1 of 2 solved.** The command: `c`" in table
    assert "- **two**: nothing kept the tests" in table
