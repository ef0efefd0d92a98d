"""What commands write: whole or not at all, and a sentence where it cannot be."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import cli
from bot.cli.files import check_writable, write_whole
from engine.errors import BadInputError
from tests.bot.test_cli import RUN, script
from tests.engine import projects
from tests.small_disk import SmallDisk

Disk = Callable[[int], SmallDisk]


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "fix.patch"
    path.write_text("old")
    path.chmod(0o640)
    write_whole(path, "new é\n")
    assert path.read_text(encoding="utf-8") == "new é\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["fix.patch"]


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "patch")
    assert os.read(reader, 99) == b"patch"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no folder"):
        check_writable(tmp_path / "none" / "fix.patch")
    with pytest.raises(BadInputError, match="is a folder"):
        check_writable(tmp_path)
    check_writable(tmp_path / "fix.patch")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write wherever it likes")
def test_a_folder_of_somebody_else_is_told_before_the_work() -> None:
    with pytest.raises(BadInputError, match="permission denied"):
        check_writable(Path("/fix.patch"))


def test_a_full_disk_keeps_what_was_there(small_disk: Disk) -> None:
    disk = small_disk(1)
    path = disk.path / "fix.patch"
    path.write_text("old")
    disk.fill()
    with pytest.raises(BadInputError, match="No space left on device; make room"):
        write_whole(path, "x" * 10_000)
    assert path.read_text() == "old"
    assert len(list(disk.path.iterdir())) == 2


def test_solve_refuses_a_place_that_is_none_before_it_searches(tmp_path: Path) -> None:
    issue = tmp_path / "ISSUE.md"
    issue.write_text("# t")
    arguments = ["solve", str(issue), "--repo", str(tmp_path), "--out", str(tmp_path / "no" / "p")]
    result = RUN.invoke(cli.app, arguments)
    assert isinstance(result.exception, BadInputError)
    assert "make it first" in str(result.exception)


def test_solve_still_prints_the_patch_that_a_full_disk_did_not_take(
    tmp_path: Path, small_disk: Disk
) -> None:
    disk = small_disk(1)
    disk.fill()
    issue = tmp_path / "ISSUE.md"
    issue.write_text(f"# {projects.ISSUE_TITLE}\n\n{projects.ISSUE_BODY}")
    repo = projects.receipts(tmp_path / "repo")
    arguments = ["solve", str(issue), "--repo", str(repo), "--sandbox", "bubblewrap", "--json"]
    arguments += ["--model", script(tmp_path, projects.FIX), "--iterations", "1"]
    result = RUN.invoke(cli.app, [*arguments, "--out", str(disk.path / "fix.patch")])
    assert isinstance(result.exception, BadInputError)
    assert "No space left on device" in str(result.exception)
    assert json.loads(result.stdout.splitlines()[-1])["patch"]


@pytest.mark.parametrize("leave", [32_768, 400_000], ids=["at once", "later"])
@pytest.mark.parametrize("command", ["demo", "solve"])
def test_a_disk_that_fills_up_on_the_way_is_one_sentence(
    command: str, leave: int, tmp_path: Path, small_disk: Disk
) -> None:
    disk = small_disk(2)
    disk.fill(leave)
    (tmp_path / "ISSUE.md").write_text(f"# {projects.ISSUE_TITLE}\n\n{projects.ISSUE_BODY}")
    projects.receipts(tmp_path / "repo")
    solving = ["solve", "ISSUE.md", "--repo", "repo", "--candidates", "64", "--model"]
    wide = script(tmp_path, *(projects.HARMLESS + " " * n * 2000 for n in range(64)))
    arguments = ["demo", "--offline"] if command == "demo" else [*solving, wide]
    ended = subprocess.run(
        [sys.executable, "-m", "bot.cli", *arguments, "--sandbox", "bubblewrap"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "TMPDIR": str(disk.path), "HOME": str(tmp_path), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 2, ended.stderr
    assert "room" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert not list(disk.path.glob("evoscale-*"))
