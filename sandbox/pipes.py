"""The pipes to the warden of a box that is a process of ours, not an engine's."""

import os
import select
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Protocol

from sandbox.errors import SandboxUnavailableError
from sandbox.session import Ending, Session
from sandbox.stops import at_once_s

CHUNK = 65536
EXIT_S = 1.0  # for a process whose pipe has ended to be gone as well


class Jail(Protocol):
    """What is around the warden: it can be asked and ended."""

    def exited(self, within_s: float) -> bool:
        """Wait at most so long for its process 1 to end; says whether it has."""
        ...

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for memory."""
        ...

    def destroy(self) -> None:
        """Kill what is in it and take it down; may be called more than once."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Our ends of a box's pipes, and the file that its errors went to."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    errors: IO[bytes]


class PipeWalls:
    """See `sandbox.session.Walls`."""

    def __init__(self, isolation: str, line: Line, jail: Jail) -> None:
        self.isolation = isolation
        self._errors = line.errors
        self._jail = jail
        self._stdin = line.stdin
        self._stdout = line.stdout
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
        box_exited = self._jail.exited(EXIT_S)
        return Ending(
            host_gave_up,
            out_of_memory=self._jail.out_of_memory(),
            engine_answers=True,
            box_exited=box_exited,
        )

    def greet(self, session: Session) -> None:
        """Have the box come up.

        Raises:
            SandboxUnavailableError: it did not; in the words of whatever failed.
        """
        try:
            session.greet()
        except SandboxUnavailableError as error:
            self._errors.seek(0)
            said = self._errors.read(4000).decode(errors="replace").strip()
            complaint = (said or error.reason)[-1500:]
            raise SandboxUnavailableError(self.isolation, complaint) from error

    def destroy(self) -> None:
        """Close the line and take the box down."""
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # what is still in the buffer has nobody to go to
                pipe.close()
        self._jail.destroy()

    @staticmethod
    def _await(pipe: IO[bytes], event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(pipe.fileno(), event)
        while (left := deadline - time.monotonic()) > 0:
            if poll.poll(at_once_s(left) * 1000):
                return
        raise TimeoutError("its time ran out")
