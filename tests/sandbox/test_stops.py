"""Stopping what waits for a box or a program: it ends at the next look, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import stops
from sandbox.contract import Sandbox
from sandbox.errors import StoppedError
from sandbox.stops import stoppable
from tests.sandbox.conftest import LIMITS


class Later:
    """Says that the work is stopped from the second question on."""

    def __init__(self) -> None:
        self.questions = 0

    def __call__(self) -> bool:
        self.questions += 1
        return self.questions > 1


def test_a_command_in_a_box_is_given_up_and_the_next_box_is_well(
    sandbox: Sandbox, bare: str
) -> None:
    with pytest.raises(StoppedError), sandbox.open(bare, LIMITS) as box, stoppable(Later()):
        box.exec(["sleep", "infinity"])
    with sandbox.open(bare, LIMITS) as box, stoppable(lambda: False):
        assert box.exec(["echo", "well"]).output == b"well\n"


def test_what_nobody_stops_waits_as_long_as_it_may() -> None:
    assert stops.at_once_s(600.0) == 600.0
    with stoppable(lambda: False):
        assert stops.at_once_s(600.0) == stops.LOOK_S
        assert stops.at_once_s(0.1) == 0.1


def test_a_program_of_this_machine_is_killed_with_a_stop_and_heard_without(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; print('said'); sys.stderr.write('x' * 10**6)"]
    endless = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    with stoppable(lambda: False):
        done = stops.run(argv, cwd=tmp_path, env={}, timeout_s=60.0)
    assert (done.returncode, done.stdout, len(done.stderr)) == (0, "said\n", 10**6)
    with pytest.raises(StoppedError), stoppable(Later()):
        stops.run(endless, cwd=tmp_path, env={}, timeout_s=60.0)
    with pytest.raises(subprocess.TimeoutExpired):
        stops.run(endless, cwd=tmp_path, env={}, timeout_s=0.01)


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    """Its child holds a pipe open for writing: the pipe's reader hears the end once it is gone."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    program = ["sh", "-c", "sleep infinity >pipe & echo on >pipe; wait"]
    with pytest.raises(subprocess.TimeoutExpired):
        stops.run(program, cwd=tmp_path, env={"PATH": os.defpath}, timeout_s=3.0)
    os.set_blocking(reader, True)
    assert os.read(reader, 16) == b"on\n"
    assert os.read(reader, 16) == b""
    os.close(reader)


def test_the_question_is_put_once_in_a_while_however_often_somebody_waits() -> None:
    asked: list[None] = []
    with stoppable(lambda: bool(asked.append(None))):
        for _ in range(1000):
            stops.at_once_s(600.0)
        first = len(asked)
    assert 1 <= first < 1000
