"""Work that somebody may stop: whatever waits for a box or a program asks meanwhile whether to.

Who may stop it is told by the context and not through every signature: it concerns each wait on the
way down to a socket, and only one caller. A wait that is given up unwinds as a failure does, so the
box under it is closed and the program killed.
"""

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from sandbox.errors import StoppedError

LOOK_S = 0.5
"""Between two questions, each of which may be one to a database."""
LOOK_SHARE = 4
"""How many times as long as a look took is waited before the next: it may read many folders."""
_ASKED: ContextVar[Callable[[], bool] | None] = ContextVar("asked", default=None)


@contextmanager
def stoppable(stopped: Callable[[], bool]) -> Iterator[None]:
    """Whatever this thread waits for in the block ends soon after `stopped()` says so.

    Raises:
        StoppedError: it did.
    """
    token = _ASKED.set(_now_and_then(stopped))
    try:
        yield
    finally:
        _ASKED.reset(token)


def _now_and_then(stopped: Callable[[], bool]) -> Callable[[], bool]:
    """The same question, put once in `LOOK_S` at most: who reads a stream asks at each part."""
    answered = -math.inf

    def asked() -> bool:
        nonlocal answered
        if time.monotonic() - answered < LOOK_S:
            return False
        said = stopped()
        answered = -math.inf if said else time.monotonic()
        return said

    return asked


def at_once_s(left_s: float) -> float:
    """How many of the seconds that are left may be waited before this is asked again.

    Raises:
        StoppedError: the work is not wanted any more.
    """
    stopped = _ASKED.get()
    if stopped is None:
        return left_s
    if stopped():
        raise StoppedError
    return min(left_s, LOOK_S)


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float,
    watch: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine with nothing to read, and keep what it says.

    It has a session of its own: what it started ends with it when it is killed.

    `watch` is called every now and then while it runs, and once when it has ended: whatever that
    raises ends the program and is raised here.

    Raises:
        StoppedError: the work is not wanted any more; the program was killed.
        TimeoutExpired: it took too long and was killed.
        OSError: it cannot be started.
    """
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(
        list(argv), cwd=cwd, env=dict(env), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said = _said(process, deadline, watch)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, *said)


def _said(
    process: subprocess.Popen[str], deadline: float, watch: Callable[[], None] | None
) -> tuple[str, str]:
    """Its output and its errors, once it has ended; what was read is kept from look to look."""
    look_at = time.monotonic() + LOOK_S if watch else math.inf
    while True:
        began = time.monotonic()
        left, unwatched = max(deadline - began, 0.0), max(look_at - began, 0.0)
        try:
            said = process.communicate(timeout=min(at_once_s(left), unwatched))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise
            said = None
        began = time.monotonic()
        if watch and (said or began >= look_at):
            watch()
            ended = time.monotonic()
            look_at = ended + max(LOOK_S, LOOK_SHARE * (ended - began))
        if said:
            return said
