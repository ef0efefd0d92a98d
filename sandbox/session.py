"""The host's end of the line to a box's warden: frames, deadlines, and whose failure an ending was.

What comes over the line is hostile: sizes are checked against what was asked for before anything
is read, and an answer that breaks the rules ends the box. Each request carries a word that its
answer must repeat: where code in a box can write to the line (gVisor lets it), it cannot know it.
"""

import json
import posixpath
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.bytecode import KIND, bytecode
from sandbox.contract import REPO, ExecResult, Limits
from sandbox.errors import ImageBuildError, SandboxUnavailableError

GRACE_S = 10.0  # what the warden gets to end a command and answer, beyond the command's own time
OPEN_S = 60.0  # from start to the warden's first word; includes copying the repository
HEADER_BYTES = 4096
CHUNK = 65536
TMP_BYTES = 256 * 1024**2
SHM_BYTES = 64 * 1024**2
OPEN_FILES = 4096
FILE_BYTES = 2 * 1024**3
BUILD_MEMORY_BYTES = 4 * 1024**3
BUILD_PIDS = 512
GVISOR_PIDS = 160  # threads of gVisor's own kernel; over all of them together the box ends
BUILD_RESERVE_BYTES = 1024**3  # a build ends when the disk has no more than this left
RESERVE_REACHED = b"less disk space is left than is kept in reserve"  # the warden's words
WRITABLE = (REPO, "/tmp")  # noqa: S108  # inside the box
BOX_UID = 10001
BOX_PATH = "/opt/env/bin:/opt/project/bin:/usr/local/bin:/usr/bin:/bin"
ENV: Mapping[str, str] = {
    "PATH": BOX_PATH,
    "HOME": "/tmp/home",  # noqa: S108  # the box's own
    "TMPDIR": "/tmp",  # noqa: S108  # the box's own
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
"""The whole environment of a command in a box: nothing of the host's gets in."""


@dataclass(frozen=True, slots=True)
class Spaces:
    """Bytes that a box's three writable places may hold, and files that each may."""

    repo: int
    tmp: int
    shm: int
    repo_files: int = 200_000
    tmp_files: int = 50_000


def spaces(limits: Limits, disk_bytes: int) -> Spaces:
    """Sizes that together leave memory to run in: what is written there is memory."""
    memory = limits.memory_bytes
    return Spaces(
        repo=min(disk_bytes, memory // 2),
        tmp=min(TMP_BYTES, memory // 4),
        shm=min(SHM_BYTES, memory // 8),
    )


def warden_argv(orders: Mapping[str, object]) -> list[str]:
    """The command that is process 1 of a box: the base image's Python, and the program."""
    names = ("warden_files.py", "warden_fork.py", "warden.py")
    parts = (Path(__file__).with_name(name) for name in names)
    source = "".join(part.read_text(encoding="utf-8") for part in parts)
    return ["python3", "-I", "-S", "-c", source, json.dumps({"env": dict(ENV), **orders})]


class Blame(Enum):
    """Whose failure it was that a command did not come back."""

    COMMAND = "command"
    BOX = "box"


def must_have_built(isolation: str, script: Sequence[str], result: ExecResult) -> None:
    """Raise unless a build's script ended well, by whose failure it was.

    Raises:
        ImageBuildError: the script failed.
        SandboxUnavailableError: this machine's disk is full, which is nobody's repository's fault.
    """
    if result.exit_code == 0:
        return
    if RESERVE_REACHED in result.output[-500:]:
        gib = BUILD_RESERVE_BYTES // 1024**3
        reason = f"less than {gib} GiB of disk is free; make room, or run `evoscale sandbox prune`"
        raise SandboxUnavailableError(isolation, reason)
    raise ImageBuildError.of_script(script[0], result.exit_code, result.output)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known when the line to a box broke while a command ran."""

    host_gave_up: bool
    out_of_memory: bool
    engine_answers: bool
    box_exited: bool


def blame(ending: Ending) -> Blame:
    """Say whose failure an ending was.

    A command that ran out of memory did it itself. An engine that does not answer could have
    stalled the line as well as lost the box, so then nothing is said about the command. While the
    engine is well, a command that ran out of time did it itself, and so did one whose box exited:
    nothing but the code in it, or the kernel on its account, ends a box. One that stands and does
    not speak is our side's failure.
    """
    if ending.out_of_memory:
        return Blame.COMMAND
    if ending.engine_answers and (ending.host_gave_up or ending.box_exited):
        return Blame.COMMAND
    return Blame.BOX


class Walls(Protocol):
    """A hardened process with a line to it; what a back end has to provide for a box."""

    isolation: str

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it before the deadline (`time.monotonic`).

        Raises:
            OSError: the line is broken; TimeoutError when time ran out.
        """
        ...

    def receive(self, size: int, deadline: float) -> bytes:
        """Read up to `size` bytes; empty at the end of the line.

        Raises:
            OSError: the line is broken; TimeoutError when time ran out.
        """
        ...

    def ending(self, *, host_gave_up: bool) -> Ending:
        """What is known of the box now that the line broke; never raises."""
        ...


class Header(BaseModel):
    """The one line of JSON in front of every answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = 0
    token: str = ""
    error: str | None = None
    ready: str | None = None
    found: bool = False
    exit_code: int | None = None
    truncated: bool = False
    duration_s: float = 0.0
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of the warden."""

    header: Header
    data: bytes


class BrokenLineError(Exception):
    """The line to the warden ended; never leaves this module."""


class NonsenseError(BrokenLineError):
    """What came over the line is no answer of the warden's, so code in the box wrote it."""


def inside(path: str) -> str:
    """The absolute form of a path in the box.

    Raises:
        ValueError: it is not below the repository or /tmp.
    """
    absolute = posixpath.normpath(posixpath.join(REPO, path))
    below = any(absolute.startswith(place + "/") for place in WRITABLE)
    if not below or "\0" in path or ".." in path.split("/"):
        raise ValueError(f"the path {path!r} leaves {REPO} and /tmp; name a file below one of them")
    return absolute


class Session:
    """A box: implements `sandbox.contract.Box` over any walls."""

    def __init__(self, walls: Walls, limits: Limits) -> None:
        self._walls = walls
        self._limits = limits
        self._buffer = bytearray()
        self._gone: str | None = None
        self._reads_bytecode = False

    def greet(self) -> None:
        """Wait until the warden says that the box is ready.

        Raises:
            SandboxUnavailableError: it did not come up.
        """
        try:
            header = self._answer(time.monotonic() + OPEN_S, 0).header
        except (BrokenLineError, OSError) as error:
            raise self._unavailable(f"the box did not come up ({error})") from error
        if header.error is not None:
            raise self._unavailable(f"the box could not be laid out: {header.error}")
        self._reads_bytecode = header.ready == KIND

    def exec(
        self, argv: Sequence[str], *, stdin: bytes = b"", wall_clock_s: float | None = None
    ) -> ExecResult:
        """Run a command in the repository and wait for it; see `Box.exec`.

        Raises:
            SandboxUnavailableError: the box, not the command, failed.
        """
        return self._run({"op": "exec", "argv": list(argv)}, stdin, wall_clock_s)

    def run_program(self, source: str, *, stdin: bytes, wall_clock_s: float) -> ExecResult:
        """Run a Python program of ours in a copy of process 1; see `Box.run_program`.

        Raises:
            SandboxUnavailableError: the box, not the program, failed.
        """
        form = {"bytecode": bytecode(source)} if self._reads_bytecode else {"source": source}
        return self._run({"op": "program", **form}, stdin, wall_clock_s)

    def _run(
        self, asked: Mapping[str, object], stdin: bytes, wall_clock_s: float | None
    ) -> ExecResult:
        wall = min(wall_clock_s or self._limits.wall_clock_s, self._limits.wall_clock_s)
        keep = self._limits.output_bytes
        request = {**asked, "wall_clock_s": wall, "keep": keep}
        begun = time.monotonic()
        try:
            answer = self._ask(request, stdin, begun + wall + GRACE_S, keep)
        except (BrokenLineError, OSError) as error:
            return self._post_mortem(error, time.monotonic() - begun)
        header = answer.header
        return ExecResult(
            header.exit_code, answer.data, header.truncated, header.duration_s, header.out_of_memory
        )

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file below `REPO` or `/tmp`; see `Box.write_file`.

        Raises:
            SandboxUnavailableError: the box failed.
            ValueError: the path leaves those two, goes through a link, or its place is full.
        """
        request = {"op": "write", "path": inside(path)}
        header = self._file(request, data, 0).header
        if header.error is not None:
            raise ValueError(f"{path!r} cannot be written in the box: {header.error}")

    def read_file(self, path: str, limit_bytes: int) -> bytes | None:
        """Read a regular file, never through a link; see `Box.read_file`.

        Raises:
            SandboxUnavailableError: the box failed.
            ValueError: the path leaves the box's writable places.
        """
        request = {"op": "read", "path": inside(path), "limit": limit_bytes}
        answer = self._file(request, b"", limit_bytes)
        return answer.data if answer.header.found else None

    def _file(self, request: Mapping[str, object], data: bytes, limit: int) -> Answer:
        deadline = time.monotonic() + OPEN_S
        try:
            return self._ask(request, data, deadline, limit)
        except (BrokenLineError, OSError) as error:
            raise self._unavailable(f"the box stopped answering ({error})") from error

    def _ask(
        self, request: Mapping[str, object], data: bytes, deadline: float, limit: int
    ) -> Answer:
        if self._gone is not None:
            raise self._unavailable(self._gone)
        token = secrets.token_hex(16)
        line = json.dumps({**request, "token": token, "size": len(data)}).encode() + b"\n"
        self._walls.send(line + data, deadline)
        return self._answer(deadline, limit, token)

    def _answer(self, deadline: float, limit: int, token: str = "") -> Answer:
        while b"\n" not in self._buffer:
            if len(self._buffer) > HEADER_BYTES:
                raise NonsenseError("a header without an end")
            self._fill(CHUNK, deadline)
        line, _, rest = bytes(self._buffer).partition(b"\n")
        try:
            header = Header.model_validate_json(line)
        except ValidationError as error:
            raise NonsenseError("a header that makes no sense") from error
        if not secrets.compare_digest(header.token, token):
            raise NonsenseError("an answer to nothing that was asked")
        if not 0 <= header.size <= limit:
            raise NonsenseError(f"{header.size} bytes where at most {limit} were asked for")
        self._buffer = bytearray(rest)
        while len(self._buffer) < header.size:
            self._fill(header.size - len(self._buffer), deadline)
        data = bytes(self._buffer[: header.size])
        del self._buffer[: header.size]
        return Answer(header, data)

    def _fill(self, size: int, deadline: float) -> None:
        piece = self._walls.receive(size, deadline)
        if not piece:
            raise BrokenLineError("the line ended")
        self._buffer += piece

    def _post_mortem(self, error: Exception, duration_s: float) -> ExecResult:
        gave_up = isinstance(error, TimeoutError)
        ending = self._walls.ending(host_gave_up=gave_up)
        self._gone = "its box ended with the last command; open another"
        if blame(ending) is Blame.BOX and not isinstance(error, NonsenseError):
            raise self._unavailable(f"the box was lost under a command ({error})") from error
        exit_code = None if gave_up else 137
        note = f"[the box ended with this command: {error}]\n".encode()
        return ExecResult(
            exit_code,
            note,
            truncated=False,
            duration_s=duration_s,
            out_of_memory=ending.out_of_memory,
            box_ended=True,
        )

    def _unavailable(self, reason: str) -> SandboxUnavailableError:
        return SandboxUnavailableError(self._walls.isolation, reason)
