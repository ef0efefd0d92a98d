"""A container and the line to its process 1."""

import socket
import struct
import time
from contextlib import suppress
from typing import Protocol, cast

import docker.errors

from sandbox.docker.engine import FAILURES, KILL_S, Engine, unavailable
from sandbox.session import Ending
from sandbox.stops import at_once_s

FRAME = struct.Struct(">BxxxL")  # Docker's multiplexing: stream number, length
STDOUT = 1


class Socket(Protocol):
    """The part of a socket used here; the SDK wraps different transports differently."""

    def sendall(self, data: bytes) -> None:
        """Send all."""
        ...

    def recv(self, size: int) -> bytes:
        """Receive some."""
        ...

    def settimeout(self, seconds: float) -> None:
        """Bound both."""
        ...

    def shutdown(self, how: int) -> None:
        """End both directions now."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class ContainerWalls:
    """The stream attached to a container's process 1; see `sandbox.session.Walls`."""

    def __init__(self, engine: Engine, name: str) -> None:
        """Attach to a container that is not started yet.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        self.isolation = engine.isolation
        self._engine = engine
        self._name = name
        self._left_in_frame = 0
        self._is_stdout = True
        self._client = engine.connect()
        try:
            streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            self._file = self._client.attach_socket(name, params=streams)
        except FAILURES as error:
            self._client.close()
            raise unavailable(self.isolation, error) from error
        # The SDK wraps the connection in a file object whose close() keeps the descriptor.
        self._socket = cast("Socket", getattr(self._file, "_sock", self._file))

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it; see `Walls.send`."""
        self._socket.settimeout(_left_s(deadline))
        self._socket.sendall(data)

    def receive(self, size: int, deadline: float) -> bytes:
        """Read some of the warden's output out of Docker's frames; see `Walls.receive`."""
        while True:
            if not self._left_in_frame:
                header = self._exactly(FRAME.size, deadline)
                if not header:
                    return b""
                stream, self._left_in_frame = FRAME.unpack(header)
                self._is_stdout = stream == STDOUT
                continue
            data = self._some(min(size, self._left_in_frame), deadline)
            self._left_in_frame -= len(data)
            if self._is_stdout or not data:
                return data

    def ending(self, *, host_gave_up: bool) -> Ending:
        """Ask the engine what became of the container; see `Walls.ending`."""
        client = None
        try:
            client = self._engine.connect(KILL_S)
            state = client.inspect_container(self._name)["State"]
        except docker.errors.NotFound:
            return Ending(host_gave_up, out_of_memory=False, engine_answers=True, box_exited=True)
        except FAILURES:
            return Ending(host_gave_up, out_of_memory=False, engine_answers=False, box_exited=False)
        finally:
            if client is not None:
                client.close()
        return Ending(
            host_gave_up,
            out_of_memory=bool(state["OOMKilled"]),
            engine_answers=True,
            box_exited=not state["Running"],
        )

    def hang_up(self) -> None:
        """End the stream before anything else: a stalled reader makes the engine's kill hang."""
        with suppress(OSError):  # closed already, which is what is wanted
            self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._socket.close()
        with suppress(OSError):
            self._file.close()
        self._client.close()

    def _exactly(self, size: int, deadline: float) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._some(size - len(data), deadline)
            if not piece:
                return b""
            data += piece
        return data

    def _some(self, size: int, deadline: float) -> bytes:
        """What comes next; a look at whether it is still waited for loses nothing of it."""
        while True:
            self._socket.settimeout(at_once_s(_left_s(deadline)))
            with suppress(TimeoutError):
                return self._socket.recv(size)


def _left_s(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("its time ran out")
    return left
