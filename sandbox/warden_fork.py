"""How process 1 of a box runs a program of ours: in a copy of itself, which starts at once.

Sent in front of `sandbox.warden`; never for anything that is not ours, as the copy knows what
process 1 knows. Nothing else runs in the box meanwhile.
"""

import os
import resource
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import IO, Protocol


class Process(Protocol):
    """What is supervised: a started command, or a fork."""

    pid: int
    returncode: int | None

    @property
    def stdin(self) -> IO[bytes] | None:
        """Where it is fed."""
        ...

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it says."""
        ...


@dataclass
class Fork:
    """A copy of this process that runs a program."""

    pid: int
    stdin: IO[bytes]
    stdout: IO[bytes]
    returncode: int | None = None


def fork(program: str, folder: str, env: dict[str, str]) -> Fork:
    """Start a program in a copy of this process, in a folder, with an environment."""
    reading, fed = os.pipe2(os.O_CLOEXEC)
    said, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        try:
            let_go(reading, writing)
            os.chdir(folder)
            os.environ.clear()  # noqa: TID251  # its own copy of the box's environment
            os.environ.update(env)  # noqa: TID251
            os._exit(run(program))
        finally:  # whatever happened, no copy of this process may go on as process 1 does
            os._exit(1)
    os.close(reading)
    os.close(writing)
    return Fork(pid, os.fdopen(fed, "wb", 0), os.fdopen(said, "rb", 0))


def let_go(reading: int, writing: int) -> None:
    """Leave the host's line, all else that is open, and what signals meant to process 1."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for place, end in enumerate((reading, writing, writing)):
        os.dup2(end, place)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def run(program: str) -> int:
    """Run it as a main program; its exit status."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stderr = sys.stdout
    status = 0
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102  # ours
    except BaseException:  # noqa: BLE001  # said where the host reads it
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    return status
