"""`evoscale demo` as a person runs it, and interrupted at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.stories import write_script
from tests.engine import projects

FIX = projects.FIX.replace("receipts.py", "receipts/__init__.py")
LIMIT_S = 120.0
DEMO = [sys.executable, "-m", "bot.cli", "demo", "--offline", "--sandbox", "bubblewrap"]


def environment(tmp_path: Path) -> dict[str, str]:
    script = write_script(tmp_path / "script.json", [[FIX]])
    return {**os.environ, **script, "TMPDIR": str(tmp_path)}  # noqa: TID251 - a child of ours


def left_running(tmp_path: Path) -> list[str]:
    """Processes whose working folder or command line lies below the demo's folder."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            here = str((process / "cwd").readlink())
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if not command:  # it is ending: its memory is gone already
            continue
        if str(tmp_path) in here or (str(tmp_path) in command and "pytest" not in command):
            found.append(command)
    return found


@pytest.mark.slow
def test_it_ends_with_a_tested_pull_request_and_exit_code_0(tmp_path):
    done = subprocess.run(
        [*DEMO, "--json"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == "patched"
    assert "/pull/" in told["url"]
    assert "(100 - percent)" in told["patch"]
    assert set(told["seconds"]) >= {"start", "search", "publish", "total"}
    assert left_running(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["starting fakehub", "opened issue", "baseline", "search"])
def test_an_interrupt_at_any_moment_leaves_nothing_running(tmp_path, moment):
    log = tmp_path / "out.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            DEMO, env=environment(tmp_path), stdout=out, stderr=out, start_new_session=True
        )
    deadline = time.monotonic() + LIMIT_S
    while not reached(tmp_path, log, moment):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 130
    assert left_running(tmp_path) == []
    assert not list(tmp_path.glob("evoscale-demo-*"))


def reached(tmp_path: Path, log: Path, moment: str) -> bool:
    if moment in log.read_text():
        return True
    return any(
        moment.encode() in path.read_bytes()
        for path in tmp_path.glob("evoscale-demo-*/evoscale.sqlite3-wal")
    )


def test_a_parent_that_is_killed_takes_its_children_along(tmp_path):
    process = subprocess.Popen(
        DEMO,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b"opened issue" in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while left_running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_running(tmp_path) == []
