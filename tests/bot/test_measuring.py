"""`evoscale bench humanevalfix`: what it keeps on the way, and the command that repeats it."""

import json
from pathlib import Path

from bot import cli
from engine.errors import BadInputError
from tests.bot.test_cli import RUN
from tests.engine.training.test_benchmark import ROW, write

REPEAT = "--iterations 1 --candidates 2 --proposer random --seed 0 --sandbox bubblewrap"


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
