"""Box and Sandbox protocols, and the values that cross them.

A sandbox opens boxes; a box is single use: one candidate, never reset, never reused. Whatever runs
in it has no network, is not root, and sees a writable copy of the repository at `REPO` that ends
with it.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NewType, Protocol

Patch = NewType("Patch", str)
"""A unified diff against base_commit, paths prefixed `a/` and `b/`, as `git diff` writes it."""

REPO = "/repo"
"""Where every box shows the repository; commands start there."""


class TestStatus(StrEnum):
    """SWE-bench's five words for what became of a test."""

    __test__ = False

    PASSED = "PASSED"
    FAILED = "FAILED"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    XFAIL = "XFAIL"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one box may use. There is no network switch: it is off."""

    wall_clock_s: float = 120.0
    memory_bytes: int = 2 * 1024**3
    cpus: float = 1.0
    pids: int = 256
    output_bytes: int = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command did. `exit_code` is None when its time ran out; output is both streams.

    `box_ended` says that the command took its box along: there is nothing to read from it any more.
    """

    exit_code: int | None
    output: bytes
    truncated: bool
    duration_s: float
    out_of_memory: bool = False
    box_ended: bool = False


@dataclass(frozen=True, slots=True)
class TestFile:
    """A trusted file laid over the patched tree before the tests run: a reproduction test."""

    __test__ = False

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class TestCommand:
    """How a repository runs its tests. `{tests}` in argv is replaced by test ids, or dropped."""

    __test__ = False

    runner: str
    argv: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class TestSpec:
    """The tests to run on a candidate and what is known of them at base_commit.

    `skipped` are tests that were skipped at base_commit and may stay so; `churn` are paths of
    trusted files that the suite itself changes when it runs; `named` are the words by which the
    issue lifts a protection (`sandbox.policy.named_in`). `canaries` is false where the suite does
    not bear tests of ours; `backwards` asks for the opposite order, where the runner has one.
    `masked` are the shapes by which tests are known whose names differ from run to run
    (`sandbox.masking`).
    """

    __test__ = False

    image: str
    command: TestCommand
    fail_to_pass: tuple[str, ...] = ()
    pass_to_pass: tuple[str, ...] = ()
    files: tuple[TestFile, ...] = ()
    skipped: tuple[str, ...] = ()
    churn: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()
    canaries: bool = True
    backwards: bool = False
    masked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TestReport:
    """What the tests said. `refused` is a reason why the patch was never run, or None.

    `details` holds the failure text of tests that did not pass, capped; `ran` is false where the
    suite gave no trustworthy report (crash, missing report, exit code that contradicts it), and
    `tampered` then says how it is known that the results are made up. `changed` are the trusted
    files that were not what they had been when the tests were over.
    """

    __test__ = False

    applied: bool
    timed_out: bool
    ran: bool
    statuses: Mapping[str, TestStatus] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    log_tail: str = ""
    duration_s: float = 0.0
    refused: str | None = None
    tampered: str | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image on this machine by its back end's own name for it; when it was last opened or made.

    `used_at` is in seconds since the epoch; `size_bytes` is what it adds to its base.
    """

    name: str
    size_bytes: int
    used_at: float


class Box(Protocol):
    """One running sandbox."""

    def exec(
        self, argv: Sequence[str], *, stdin: bytes = b"", wall_clock_s: float | None = None
    ) -> ExecResult:
        """Run a command in `REPO` as the unprivileged user and wait for it.

        Raises:
            SandboxUnavailableError: the box, not the command, failed.
        """
        ...

    def run_program(self, source: str, *, stdin: bytes, wall_clock_s: float) -> ExecResult:
        """Run a Python program of ours in `REPO`, in a copy of process 1, and wait for it.

        It saves an interpreter's start. Never for a program that is not ours, or while anything
        else runs: the copy knows what process 1 knows.

        Raises:
            SandboxUnavailableError: the box, not the program, failed.
        """
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file below `REPO` or `/tmp`.

        Raises:
            SandboxUnavailableError: the box failed.
            ValueError: the path leaves the box's writable places.
        """
        ...

    def read_file(self, path: str, limit_bytes: int) -> bytes | None:
        """Read a regular file, never through a link; None when absent, not regular or too large.

        Raises:
            SandboxUnavailableError: the box failed.
        """
        ...


class Sandbox(Protocol):
    """Opens boxes from images. `isolation` is named in every piece of evidence."""

    @property
    def isolation(self) -> str:
        """What keeps the code in: `docker/runc`, `docker/runsc`, `runc`, `runsc`, `bubblewrap`.

        `bubblewrap/user` is bubblewrap for anybody but root, where less holds.
        """
        ...

    @property
    def engine(self) -> str:
        """Which engine makes the boxes, and with what; empty where this machine itself does."""
        ...

    @property
    def watched(self) -> Mapping[str, str]:
        """Promises that no kernel mechanism holds here, and why: somebody looks, and kills.

        The words are those of `EVOSCALE_SANDBOX_REQUIRE`.
        """
        ...

    def open(self, image: str, limits: Limits) -> AbstractContextManager[Box]:
        """Open a fresh box of an image; it is gone when the context ends, whatever happened.

        Raises:
            SandboxUnavailableError: no box can be opened.
        """
        ...

    def has_image(self, image: str) -> bool:
        """Whether an image of this name can be opened.

        Raises:
            SandboxUnavailableError: the back end does not answer.
        """
        ...

    def python(self, version: str) -> str | None:
        """The name of an image with a Python of this version (`3.9`) to build on, of a registry.

        None where the back end knows no registry, or none has one.

        Raises:
            SandboxUnavailableError: the back end does not answer.
        """
        ...

    def build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        """Make `image`: a base image (None: the one that everything starts from) plus a layer.

        `layer` is a directory whose tree is laid over the root: `opt/env`, `opt/project` and
        `opt/repo`, of which the last is what boxes show at `REPO`. `script` is an argv that then
        runs in the new image, unprivileged for the outside, without network, under build limits.

        Raises:
            ImageBuildError: the script failed; carries the log's end.
            SandboxUnavailableError: the back end does not answer.
        """
        ...

    def reap(self) -> int:
        """Remove what killed processes left behind (boxes past their deadline); says how many.

        Raises:
            SandboxUnavailableError: the back end does not answer.
        """
        ...

    def images(self) -> Sequence[StoredImage]:
        """All images that this back end made on this machine, but the base it starts from.

        Raises:
            SandboxUnavailableError: the back end does not answer.
        """
        ...

    def discard(self, name: str) -> bool:
        """Remove an image by its name in `images`; false where a box or another image needs it.

        Raises:
            SandboxUnavailableError: the back end does not answer.
        """
        ...
