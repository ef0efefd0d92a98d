"""Boxes from runc or gVisor's runsc directly, for root on a machine without an engine.

All of Docker's limits, and a mapping of users besides: the box's user is nobody's on the machine.
The repository is an overlay whose written part lies in a sized memory file system.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO
from uuid import uuid4

from sandbox.contract import Box, Limits, StoredImage
from sandbox.directories import HOST_UID, TREES, Store, must_be_enterable
from sandbox.errors import SandboxUnavailableError
from sandbox.pipes import Line, PipeWalls
from sandbox.runc.bundle import REPO_TREE, Plan, configuration
from sandbox.runc.jail import NAME, Container, bundles, reap
from sandbox.runc.runtime import find_runtime
from sandbox.session import (
    BUILD_MEMORY_BYTES,
    BUILD_PIDS,
    BUILD_RESERVE_BYTES,
    Session,
    must_have_built,
    spaces,
)
from sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)


class RuncSandbox:
    """Boxes as containers of an OCI runtime, without an engine; see `sandbox.contract.Sandbox`."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Find the runtime and try whether this machine lets it work.

        Raises:
            SandboxUnavailableError: we are not root, or the runtime is not there or cannot run.
        """
        self._settings = settings
        self._runtime = find_runtime(settings.runtime)
        must_be_enterable(settings.cache_dir, self.isolation)
        self._store = Store(settings.cache_dir, HOST_UID, self.isolation)
        self._try_a_box()

    @property
    def isolation(self) -> str:
        """`runc` or `runsc`."""
        return self._runtime.name

    @property
    def engine(self) -> str:
        """None; see `Sandbox.engine`."""
        return ""

    @property
    def watched(self) -> Mapping[str, str]:
        """Nothing; see `Sandbox.watched`."""
        return {}

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        """Open a fresh container of an image; see `Sandbox.open`.

        Raises:
            SandboxUnavailableError: no box can be opened.
        """
        with (
            self._store.opened(image) as trees,
            self._started(self._plan(limits, trees)) as session,
        ):
            yield session

    def has_image(self, image: str) -> bool:
        """Whether an image of this name can be opened; see `Sandbox.has_image`."""
        return self._store.has(image)

    def python(self, version: str) -> None:
        """None: its images come from this machine alone; see `Sandbox.python`."""
        del version

    def build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        """Make an image out of another, a directory and a command; see `Sandbox.build`.

        Raises:
            ImageBuildError: the script failed.
            SandboxUnavailableError: the cache cannot be written, or no box can be opened.
        """
        with self._store.building(image, base) as needed:
            if not needed:
                return
            inherited = {} if base is None else self._store.trees(base)
            with self._store.making(image, base, layer) as own:
                made = {tree: own / tree for tree in TREES if (own / tree).is_dir()}
                wall = self._settings.build_wall_clock_s
                limits = Limits(wall, BUILD_MEMORY_BYTES, self._settings.cpus, BUILD_PIDS)
                plan = self._plan(limits, {**inherited, **made})
                plan = replace(plan, writable=frozenset(made), reserve_bytes=BUILD_RESERVE_BYTES)
                with self._started(plan) as session:
                    result = session.exec(script)
                must_have_built(self.isolation, script, result)

    def images(self) -> Sequence[StoredImage]:
        """All images of this machine; see `Sandbox.images`."""
        return self._store.images()

    def discard(self, name: str) -> bool:
        """Remove an image that nothing needs; see `Sandbox.discard`.

        Raises:
            SandboxUnavailableError: the cache cannot be written.
        """
        return self._store.discard(name)

    def reap(self) -> int:
        """Remove what killed processes left: containers, control groups, unfinished images."""
        return reap(self._runtime) + self._store.reap()

    def _try_a_box(self) -> None:
        """Open a box over an empty repository: root in a container often may not mount or limit.

        Raises:
            SandboxUnavailableError: no box can be opened; says why.
        """
        try:
            empty = {REPO_TREE: self._store.rootfs() / REPO_TREE}
        except SandboxUnavailableError as error:  # the disk's fault: pruning has to work yet
            logger.warning("no box of %s was tried: %s", self.isolation, error.reason)
            return
        with self._started(self._plan(self._settings.limits(), empty)):
            pass

    def _plan(self, limits: Limits, trees: dict[str, Path]) -> Plan:
        size = spaces(limits, self._settings.disk_bytes)
        return Plan(self._store.rootfs(), trees, limits, size, self._runtime.gvisor)

    @contextmanager
    def _started(self, plan: Plan) -> Iterator[Session]:
        name = f"{NAME}{os.getpid()}-{uuid4().hex}"
        with ExitStack() as stack:
            bundle = stack.enter_context(bundles(self.isolation, name))
            errors = stack.enter_context(tempfile.TemporaryFile())
            (bundle / "config.json").write_text(configuration(plan, name, bundle), encoding="utf-8")
            container = Container(self._runtime, name, bundle)
            walls = PipeWalls(self.isolation, _line_to(container, plan, errors), container)
            stack.callback(walls.destroy)
            session = Session(walls, plan.limits)
            walls.greet(session)
            yield session


def _line_to(container: Container, plan: Plan, errors: IO[bytes]) -> Line:
    """Start a container; gives our ends of its pipes."""
    with ExitStack() as on_failure, ExitStack() as always:
        on_failure.callback(container.destroy)
        reading, writing = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        stdin = on_failure.enter_context(os.fdopen(reading[1], "wb", buffering=0))
        stdout = on_failure.enter_context(os.fdopen(writing[0], "rb", buffering=0))
        always.callback(os.close, reading[0])
        always.callback(os.close, writing[1])
        container.start(plan, (reading[0], writing[1], errors.fileno()))
        on_failure.pop_all()
        return Line(stdin, stdout, errors)
