"""The same box from Linux namespaces, for machines on which no container engine runs.

Walls as Docker's, as far as the kernel gives them to a plain user: docs/security.md says which
limits hold and which are only watched. Root mounts what a box writes before the box starts.
"""

import logging
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sandbox.bubblewrap.programs import (
    find_programs,
    mounting_problem,
    seccomp_file,
)
from sandbox.cgroups import PIDS_PER_NAMESPACE, ControlGroup, control_group, kernel_version
from sandbox.cgroups import reap as reap_control_groups
from sandbox.contract import Box, Limits, StoredImage
from sandbox.directories import HOST_UID, TREES, Store, must_be_enterable
from sandbox.errors import SandboxUnavailableError
from sandbox.overlay import SYSTEM_PATH, Mounts, Space
from sandbox.pipes import Line, PipeWalls
from sandbox.session import (
    BUILD_MEMORY_BYTES,
    BUILD_PIDS,
    BUILD_RESERVE_BYTES,
    FILE_BYTES,
    OPEN_FILES,
    Session,
    must_have_built,
    spaces,
    warden_argv,
)
from sandbox.settings import MIB, SandboxSettings

logger = logging.getLogger(__name__)

ISOLATION = "bubblewrap"
AS_PLAIN_USER = "bubblewrap/user"
CLOSE_S = 10.0  # for a killed process to be gone
INODES = 100_000
REPO_TREE = "opt/repo"
NO_GROUP = (
    "no control group could be made for a box, as one could when this process began; "
    "make /sys/fs/cgroup writable again, or start anew to have memory watched only"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One box: what it shows where, its limits, what root mounts, and what a build may write."""

    trees: Mapping[str, Path]
    limits: Limits
    mounts: Mounts | None
    writable: frozenset[str] = frozenset()
    reserve_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """A bwrap process; see `sandbox.pipes.Jail`."""

    popen: subprocess.Popen[bytes]
    group: ControlGroup | None

    def exited(self, within_s: float) -> bool:
        """Wait at most so long for it to end; see `Jail.exited`."""
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(within_s)
        return self.popen.poll() is not None

    def out_of_memory(self) -> bool:
        """Whether its group says so; see `Jail.out_of_memory`."""
        return self.group is not None and self.group.out_of_memory()

    def destroy(self) -> None:
        """Kill it, which takes the box's whole process namespace along."""
        self.popen.kill()
        self.popen.wait(CLOSE_S)


class BubblewrapSandbox:
    """Boxes as bwrap processes over directories; see `sandbox.contract.Sandbox`."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Find the programs and try whether this machine lets them work.

        Raises:
            SandboxUnavailableError: one is missing, or namespaces are not to be had.
        """
        self._settings = settings
        self._programs = find_programs()
        as_root = self._programs.as_root
        if as_root:
            must_be_enterable(settings.cache_dir, ISOLATION)
        self._store = Store(settings.cache_dir, HOST_UID if as_root else None, ISOLATION)
        self._unmounted = self._why_not_mounted() if as_root else "a plain user may not mount"
        self._ungrouped = _why_not_grouped() if as_root else "a plain user has no control groups"

    @property
    def isolation(self) -> str:
        """`bubblewrap` for root, `bubblewrap/user` for anybody else, who holds less."""
        return ISOLATION if self._programs.as_root else AS_PLAIN_USER

    @property
    def engine(self) -> str:
        """None; see `Sandbox.engine`."""
        return ""

    @property
    def watched(self) -> Mapping[str, str]:
        """Memory without control groups, files where nothing is mounted; see `Sandbox.watched`."""
        reasons = {"files": self._unmounted, "memory": self._ungrouped}
        return {word: reason for word, reason in reasons.items() if reason is not None}

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        """Open a fresh box of an image; see `Sandbox.open`.

        Raises:
            SandboxUnavailableError: no box can be opened.
        """
        with (
            self._store.opened(image) as trees,
            self._started(self._plan(trees, limits)) as session,
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
                plan = self._plan({**inherited, **made}, limits, frozenset(made))
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
        """Remove what killed processes left: unfinished images and empty control groups."""
        return reap_control_groups() + self._store.reap()

    def _why_not_mounted(self) -> str | None:
        """What keeps root from mounting, as it often may not in a container; None where it may."""
        try:
            lower = self._store.scratch().parent
        except SandboxUnavailableError as error:  # the disk's fault: pruning has to work yet
            return error.reason
        problem = mounting_problem(self._programs, self._mounts(lower, Limits()))
        if problem is not None:
            logger.warning("bubblewrap copies each repository into memory: %s", problem)
        return problem

    def _mounts(self, lower: Path | None, limits: Limits) -> Mounts:
        size = spaces(limits, self._settings.disk_bytes)
        repo = Space(size.repo, size.repo_files)
        others = {"tmp": Space(size.tmp, size.tmp_files), "shm": Space(size.shm, size.tmp_files)}
        return Mounts(self._store.scratch(), lower, HOST_UID, repo, others)

    def _plan(
        self, trees: Mapping[str, Path], limits: Limits, writable: frozenset[str] = frozenset()
    ) -> Plan:
        """A box over these trees; a build's repository is a copy, as the tree itself changes."""
        reserve = BUILD_RESERVE_BYTES if writable else 0
        lower = None if writable else trees.get(REPO_TREE)
        mounts = None if self._unmounted is not None else self._mounts(lower, limits)
        return Plan(trees, limits, mounts, writable, reserve)

    @contextmanager
    def _started(self, plan: Plan) -> Iterator[Session]:
        rootfs = self._store.rootfs()
        grouped = control_group(plan.limits) if self._ungrouped is None else nullcontext()
        with grouped as group, tempfile.TemporaryFile() as errors, seccomp_file() as filter_fd:
            if group is None and self._ungrouped is None:
                raise SandboxUnavailableError(self.isolation, NO_GROUP)
            argv = [*self._limited(plan, group), *self._programs.namespaces()]
            argv += self._shown(rootfs, plan, group)
            argv += ["--seccomp", str(filter_fd), "--chdir", "/", "--"]
            argv += warden_argv(self._orders(plan, group))
            argv = argv if plan.mounts is None else plan.mounts.before(argv)
            process = subprocess.Popen(
                argv if group is None else group.entering(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env={"PATH": SYSTEM_PATH},
                pass_fds=(filter_fd,),
            )
            line = Line(cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout), errors)
            walls = PipeWalls(self.isolation, line, Process(process, group))
            try:
                session = Session(walls, plan.limits)
                walls.greet(session)
                yield session
            finally:
                walls.destroy()

    def _orders(self, plan: Plan, group: ControlGroup | None) -> dict[str, object]:
        """What the warden has to enforce because the kernel does not."""
        orders: dict[str, object] = {"reserve_bytes": plan.reserve_bytes}
        if plan.mounts is None:
            orders["inodes"] = INODES
        elif plan.mounts.lower is not None:
            orders["laid"] = True
        if kernel_version() >= PIDS_PER_NAMESPACE:
            orders["pids"] = plan.limits.pids
        if group is None:
            orders["memory_bytes"] = plan.limits.memory_bytes
        return orders

    def _limited(self, plan: Plan, group: ControlGroup | None) -> list[str]:
        argv = [*self._programs.leaving_root(), self._programs.prlimit, "--core=0"]
        argv += [f"--nofile={OPEN_FILES}", f"--fsize={FILE_BYTES}"]
        if group is None:  # one process must not outrun the warden, which looks ten times a second
            argv.append(f"--as={2 * plan.limits.memory_bytes + 1024 * MIB}")
        return argv

    def _shown(self, rootfs: Path, plan: Plan, group: ControlGroup | None) -> list[str]:
        """Bwrap's options for what is where in the box."""
        shown: list[str] = []
        for tree, path in plan.trees.items():
            how = "--bind" if tree in plan.writable else "--ro-bind"
            shown += [how, str(path), f"/{tree}"]
        if group is not None:  # where the warden learns that the kernel killed for memory
            shown += ["--tmpfs", "/sys", "--ro-bind", str(group.memory), group.shown_at]
            shown += ["--remount-ro", "/sys"]
        repo, tmp, shm = self._writable(plan)
        return [
            "--ro-bind", str(rootfs), "/",
            "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys",
            "--dev", "/dev", *shm, "/dev/shm",  # noqa: S108  # the box's own
            "--remount-ro", "/dev",  # bwrap's own /dev is a tmpfs of any size
            *tmp, "/tmp", *repo, "/repo",  # noqa: S108  # the box's own
            *shown,
            "--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin",
        ]  # fmt: skip

    def _writable(self, plan: Plan) -> tuple[list[str], list[str], list[str]]:
        """How bwrap shows the repository, /tmp and /dev/shm: what root mounted, or its own."""
        laid = plan.mounts
        if laid is not None:
            places = (laid.repository, laid.other("tmp"), laid.other("shm"))
            repo, tmp, shm = (["--bind", str(place)] for place in places)
            return repo, tmp, shm
        size = spaces(plan.limits, self._settings.disk_bytes)
        tmp, shm = (
            ["--size", str(each), "--perms", "1777", "--tmpfs"] for each in (size.tmp, size.shm)
        )
        return ["--size", str(size.repo), "--tmpfs"], tmp, shm


def _why_not_grouped() -> str | None:
    """Why root has no control groups here, as often in a container; None where it has."""
    with control_group(Limits()) as group:
        if group is not None:
            return None
    logger.warning("bubblewrap watches memory: no control group can be made in /sys/fs/cgroup")
    return "no control group can be made in /sys/fs/cgroup"
