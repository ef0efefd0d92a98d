"""How process 1 of a box runs a program of ours: in a copy of itself, which starts at once.

Sent in front of `sandbox.warden`; never for anything that is not ours, as the copy knows what
process 1 knows. Nothing else runs in the box meanwhile.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
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


PR_SET_DUMPABLE = 4


class Fork:
    """A copy of this process that runs a program, and our ends of its pipes."""

    def __init__(self, pid: int, stdin: "IO[bytes]", stdout: "IO[bytes]") -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.returncode: int | None = None


def fork(program: "str | CodeType", folder: str, env: dict[str, str]) -> Fork:
    """Start a program in a copy of this process, in a folder, with an environment."""
    reading, fed = os.pipe2(os.O_CLOEXEC)
    said, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        try:
            let_go(reading, writing)
            go_first()
            os.chdir(folder)
            os.environ.clear()  # noqa: TID251  # its own copy of the box's environment
            os.environ.update(env)  # noqa: TID251  # a program of its own, with its own environment
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


def go_first() -> None:
    """Be the first that the kernel kills for memory, as commands are, so process 1 can report it.

    What lies in /proc of a process that is not dumpable is root's, so it is that for a moment.
    """
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with contextlib.suppress(OSError):  # gVisor has no such file
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def run(program: "str | CodeType") -> int:
    """Run it as a main program; its exit status."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115  # open until it ends
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115  # open until it ends
    sys.stderr = sys.stdout
    status = 0
    try:
        # Not by way of `compile`, which first makes a type for each kind of syntax: 1.3 ms.
        exec(program, {"__name__": "__main__"})  # noqa: S102  # ours
    except BaseException:  # noqa: BLE001  # said where the host reads it
        import traceback

        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    return status
