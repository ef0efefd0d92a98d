"""`evoscale bench humanevalfix`: what it keeps on the way, and the command that repeats it."""

import json
from pathlib import Path

import pytest

from bot import cli
from engine.errors import BadInputError
from tests.bot.test_cli import RUN
from tests.engine.training import test_refactory
from tests.engine.training.test_benchmark import ROW, write

REPEAT = (
    "--iterations 1 --candidates 2 --proposer random --seed 0 --sandbox bubblewrap --together 8"
    " --traced"
)


def test_every_function_is_on_disk_and_the_whole_report_at_the_end(tmp_path: Path) -> None:
    data, out = write(tmp_path, ROW, {**ROW, "task_id": "Python/1"}), tmp_path / "fix.json"
    given = ["bench", "humanevalfix", "--data", str(data), *REPEAT.split(), "--json"]
    result = RUN.invoke(cli.app, [*given, "--out", str(out)])
    assert result.exit_code == 0, result.output
    told, kept = json.loads(result.stdout.splitlines()[-1]), json.loads(out.read_text())
    assert kept.pop("command") == f"evoscale bench humanevalfix --data {data} {REPEAT}"
    assert kept == told
    assert [each["task_id"] for each in kept["tasks"]] == ["Python/0", "Python/1"]
    assert "to repeat it: evoscale bench humanevalfix" in result.stderr


def test_a_place_that_is_none_is_told_before_the_work(tmp_path: Path) -> None:
    data = write(tmp_path, ROW)
    given = ["bench", "humanevalfix", "--data", str(data), "--proposer", "random"]
    result = RUN.invoke(cli.app, [*given, "--out", str(tmp_path / "none" / "fix.json")])
    assert isinstance(result.exception, BadInputError)


def test_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    rows = [{**test_refactory.ROW, "instance_id": f"refactory__7-wrong_7_00{k}"} for k in range(3)]
    data, out = test_refactory.write(tmp_path, *rows), tmp_path / "refactory.json"
    given = ["bench", "refactory", "--data", str(data), *REPEAT.split(), "--out", str(out)]
    assert RUN.invoke(cli.app, given).exit_code == 0
    whole = json.loads(out.read_text())
    kept = {"command": whole["command"], "tasks": [{**whole["tasks"][1], "candidates": 77}]}
    out.write_text(json.dumps(kept))
    again = RUN.invoke(cli.app, given)
    assert again.exit_code == 0, again.output
    assert "refactory__7-wrong_7_001" not in again.stderr
    assert [task["candidates"] == 77 for task in json.loads(out.read_text())["tasks"]] == [
        False,
        True,
        False,
    ]
    assert "each group counted alike" in again.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [("{no", "holds no results"), ('{"command": "another", "tasks": []}', "made by `another`")],
)
def test_a_file_of_something_else_is_not_gone_on_with(tmp_path: Path, text: str, said: str) -> None:
    data, out = write(tmp_path, ROW), tmp_path / "fix.json"
    out.write_text(text)
    given = ["bench", "humanevalfix", "--data", str(data), "--proposer", "random"]
    result = RUN.invoke(cli.app, [*given, "--out", str(out)])
    assert isinstance(result.exception, BadInputError)
    assert said in str(result.exception)
    assert out.read_text() == text


def test_mutants_that_were_not_made_are_asked_for(tmp_path: Path) -> None:
    result = RUN.invoke(cli.app, ["bench", "mutants", "--data", str(tmp_path / "none.jsonl")])
    assert "evoscale train executable" in str(result.exception)


def test_untraced_searches_may_edit_what_no_failing_check_ran(tmp_path: Path) -> None:
    solution = "    if x > 9:\n        y = x * 7 + 2 - 1\n        return y * 2 + x\n    return x\n"
    data = write(
        tmp_path, {**ROW, "buggy_solution": solution, "example_test": "assert double(1) == 77"}
    )
    spent = {}
    for option in ("--traced", "--untraced"):
        given = ["bench", "humanevalfix", "--data", str(data), *REPEAT.split(), option]
        given += ["--candidates", "8", "--json"]
        result = RUN.invoke(cli.app, given)
        assert result.exit_code == 0, result.output
        assert ("--together 8 --untraced" in result.stderr) == (option == "--untraced")
        spent[option] = json.loads(result.stdout.splitlines()[-1])["completions"]
    assert spent["--traced"] > spent["--untraced"]


def test_the_page_of_environments_says_how_long_a_command_was_given(tmp_path: Path) -> None:
    page = tmp_path / "environments.md"
    options = "--only none-of-them --sandbox bubblewrap --seconds 77"
    given = ["bench", "environments", *options.split(), "--page", str(page)]
    result = RUN.invoke(cli.app, given)
    assert result.exit_code == 0, result.output
    assert f"to repeat it: evoscale bench environments {options}\n" in result.stderr
    told = page.read_text()
    assert f"Written by `evoscale bench environments {options}`" in told
    assert "was given 77 s; a job gives it 120 s unless" in told
