"""Boxes that are started before they are asked for; each is still used once and thrown away.

It hides the start of a box where cores are idle, between the candidates of one search. Where as
many boxes run as there are cores it starts none: the work is the same, only earlier, so there it
would take its time from tests that run. Where boxes wait long for their candidates, the next one is
started when a verdict is there, for the same reason. It hides the end of a box as well, which costs
Docker some 60 ms: the verdict is there before.
"""

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from sandbox.contract import Box, Limits, Sandbox, StoredImage
from sandbox.errors import SandboxError

logger = logging.getLogger(__name__)

IDLE_S = 120.0
"""Seconds that a box may wait; far below the deadline after which it would be reaped."""
UNHURRIED_S = 0.5
"""Candidates for which a box has waited so long leave time to start one between them."""
STARTED_S = 60.0
"""Seconds that boxes which are being started or ended are waited for when all are to be closed."""
ASKED_FOR = "/tmp/evoscale"  # noqa: S108  # the box's own; whether it is there does not matter
FAILURES = (SandboxError, OSError, subprocess.SubprocessError)
"""How a box can fail to start or end; no file descriptor or process left is one of them."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A box that waits: whose kind it is, how it is closed, and since when it waits."""

    kind: tuple[str, Limits]
    closing: AbstractContextManager[Box]
    box: Box
    since: float

    def alive(self) -> bool:
        """Whether it still answers: somebody may have removed it meanwhile."""
        try:
            self.box.read_file(ASKED_FOR, 1)  # starts no process, as a command would
        except FAILURES:
            return False
        return True

    def close(self) -> None:
        """Throw it away."""
        try:
            self.closing.__exit__(None, None, None)
        except FAILURES as error:
            logger.warning("a box of the pool could not be closed: %s", error)


class PooledSandbox:
    """Another sandbox with some boxes ahead of time; see `sandbox.contract.Sandbox`."""

    def __init__(self, sandbox: Sandbox, size: int, cores: int | None = None) -> None:
        """Keep up to `size` boxes ready; `cores` is how many may run at once (None: all)."""
        self.inner = sandbox
        self._size = size
        self._cores = cores or len(os.sched_getaffinity(0))
        self._lock = threading.Lock()
        self._ready: list[Ready] = []
        self._starting = 0
        self._running = 0
        self._work: SimpleQueue[Callable[[], object]] = SimpleQueue()
        # One thread that stays: a bubblewrap box ends with the thread that started it.
        threading.Thread(target=self._serve, name="pool", daemon=True).start()

    @property
    def isolation(self) -> str:
        """The other's: a box is the same whenever it was started."""
        return self.inner.isolation

    @property
    def engine(self) -> str:
        """The other's; see `Sandbox.engine`."""
        return self.inner.engine

    @property
    def watched(self) -> Mapping[str, str]:
        """The other's; see `Sandbox.watched`."""
        return self.inner.watched

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        """Give a box that waits, else a fresh one; see `Sandbox.open`.

        Raises:
            SandboxUnavailableError: no box can be opened.
        """
        kind = (image, limits)
        with self._lock:
            self._running += 1
        with ExitStack() as stack:
            stack.callback(self._ended, kind)
            ready = self._take(kind)
            opened = _handed_over(ready) if ready else self.inner.open(image, limits)
            if ready is None or time.monotonic() - ready.since < UNHURRIED_S:
                self._fill(kind)
            box = opened.__enter__()
            stack.pop_all()
            try:
                yield box
            finally:  # whoever waits for the verdict need not wait for the box to be thrown away
                ended = Ready(kind, opened, box, time.monotonic())
                self._work.put(lambda: self._end(ended))

    def has_image(self, image: str) -> bool:
        """Whether an image of this name can be opened; see `Sandbox.has_image`."""
        return self.inner.has_image(image)

    def python(self, version: str) -> str | None:
        """The other's; see `Sandbox.python`."""
        return self.inner.python(version)

    def build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        """Make an image; see `Sandbox.build`."""
        self.inner.build(image, base, layer, script)

    def reap(self) -> int:
        """Close boxes that waited too long, and have the other reap; see `Sandbox.reap`."""
        return self._close(self._expired()) + self.inner.reap()

    def images(self) -> Sequence[StoredImage]:
        """All images; see `Sandbox.images`."""
        return self.inner.images()

    def discard(self, name: str) -> bool:
        """Remove an image that nothing needs; see `Sandbox.discard`."""
        return self.inner.discard(name)

    def empty(self) -> int:
        """Close all boxes that wait, are being started or are not thrown away yet.

        Says how many waited.
        """
        for _ in range(2):  # what ends first may have one more started
            done = threading.Event()
            self._work.put(done.set)
            if not done.wait(STARTED_S):
                logger.warning("a box is still being started or ended; it ends with this process")
                break
        with self._lock:
            ready, self._ready = self._ready, []
        return self._close(ready)

    def waiting(self) -> int:
        """How many boxes wait."""
        with self._lock:
            return len(self._ready)

    def starting(self) -> int:
        """How many boxes are being started."""
        with self._lock:
            return self._starting

    def _take(self, kind: tuple[str, Limits]) -> Ready | None:
        """A living box of this kind that waited."""
        self._close(self._expired())
        while True:
            with self._lock:
                found = next((ready for ready in self._ready if ready.kind == kind), None)
                if found is None:
                    return None
                self._ready.remove(found)
            if found.alive():
                return found
            found.close()

    def _fill(self, kind: tuple[str, Limits]) -> None:
        """Start one more box of this kind beside what runs, where there is a core for it."""
        with self._lock:
            others = [ready for ready in self._ready if ready.kind != kind]
            self._ready = [ready for ready in self._ready if ready.kind == kind]
            busy = self._running + self._starting >= self._cores
            wanted = not busy and len(self._ready) + self._starting < self._size
            self._starting += wanted
        if others:
            self._work.put(lambda: self._close(others))
        if wanted:
            self._work.put(lambda: self._start(kind))

    def _end(self, used: Ready) -> None:
        used.close()
        self._ended(used.kind)

    def _ended(self, kind: tuple[str, Limits]) -> None:
        """A box runs no more, so another may be started ahead."""
        with self._lock:
            self._running -= 1
        self._fill(kind)

    def _serve(self) -> None:
        while True:
            self._work.get()()

    def _start(self, kind: tuple[str, Limits]) -> None:
        closing = self.inner.open(*kind)
        made: Ready | None = None
        try:
            made = Ready(kind, closing, closing.__enter__(), time.monotonic())
        except FAILURES as error:  # whoever asks next opens one itself and is told
            logger.warning("no box could be started ahead of time: %s", error)
        finally:
            with self._lock:
                self._starting -= 1
                self._ready += [made] if made else []

    def _expired(self) -> list[Ready]:
        before = time.monotonic() - IDLE_S
        with self._lock:
            old = [ready for ready in self._ready if ready.since < before]
            self._ready = [ready for ready in self._ready if ready.since >= before]
        return old

    @staticmethod
    def _close(ready: Sequence[Ready]) -> int:
        for each in ready:
            each.close()
        return len(ready)


def empty(sandbox: Sandbox) -> None:
    """Close the boxes that wait, where a sandbox has any."""
    if isinstance(sandbox, PooledSandbox):
        sandbox.empty()


@contextmanager
def emptied(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox for one block, after which no box of it waits."""
    try:
        yield sandbox
    finally:
        empty(sandbox)


@contextmanager
def _handed_over(ready: Ready) -> Iterator[Box]:
    with ExitStack() as stack:
        stack.push(ready.closing.__exit__)
        yield ready.box
