"""A bwrap process and the pipes to the warden in it."""

import os
import select
import subprocess
import time
from contextlib import suppress
from typing import IO, cast

from sandbox.cgroups import ControlGroup
from sandbox.session import Ending

CHUNK = 65536
CLOSE_S = 10.0
EXIT_S = 1.0  # for a process whose pipe has ended to be gone as well


class ProcessWalls:
    """See `sandbox.session.Walls`."""

    isolation = "bubblewrap"

    def __init__(
        self, process: subprocess.Popen[bytes], errors: IO[bytes], group: ControlGroup | None
    ) -> None:
        self._process = process
        self._errors = errors
        self._group = group
        self._stdin = cast("IO[bytes]", process.stdin)
        self._stdout = cast("IO[bytes]", process.stdout)
        os.set_blocking(self._stdin.fileno(), False)

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it; see `Walls.send`."""
        view = memoryview(data)
        while view:
            self._await(self._stdin, select.POLLOUT, deadline)
            with suppress(BlockingIOError):
                view = view[os.write(self._stdin.fileno(), view[:CHUNK]) :]

    def receive(self, size: int, deadline: float) -> bytes:
        """Read some of the warden's output; see `Walls.receive`."""
        self._await(self._stdout, select.POLLIN, deadline)
        return os.read(self._stdout.fileno(), size)

    def ending(self, *, host_gave_up: bool) -> Ending:
        """Look at the process; see `Walls.ending`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_S)
        return Ending(
            host_gave_up,
            out_of_memory=self._group is not None and self._group.out_of_memory(),
            engine_answers=True,
            box_exited=self._process.poll() is not None,
        )

    def complaint(self) -> str:
        """What bwrap or the warden said before it failed."""
        self._errors.seek(0)
        return self._errors.read(4000).decode(errors="replace").strip()

    def destroy(self) -> None:
        """Kill the process, which takes the box's whole process namespace along."""
        self._process.kill()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # what is still in the buffer has nobody to go to
                pipe.close()
        self._process.wait(CLOSE_S)

    @staticmethod
    def _await(pipe: IO[bytes], event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(pipe.fileno(), event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError("its time ran out")
