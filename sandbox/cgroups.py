"""Control groups for boxes that no engine makes them for: version 1 and 2, where they are writable.

Only root usually may. It is the difference between a limit that the kernel holds and one that is
watched.
"""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sandbox.contract import Limits

ROOT = Path("/sys/fs/cgroup")
PREFIX = "evoscale-"
PIDS_PER_NAMESPACE = (5, 14)
"""The first Linux that counts RLIMIT_NPROC for each user namespace, without any control group."""
PERIOD_US = 100_000
YOUNG_S = 60.0
"""An empty group this young belongs to a box that has not entered it yet."""
REMOVE_S = 3.0  # for the kernel to let go of processes that were killed
ENTER = 'for f in $1; do echo $$ > "$f"; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The directories of one box, and the files into which it writes itself before it starts."""

    directories: tuple[Path, ...]
    memory: Path

    def entering(self, argv: list[str]) -> list[str]:
        """The command that first joins the group and then becomes `argv`."""
        files = " ".join(str(directory / "cgroup.procs") for directory in self.directories)
        return ["/bin/sh", "-c", ENTER, "sh", files, *argv]

    @property
    def shown_at(self) -> str:
        """Where the warden of a box looks for this group, as Docker shows it."""
        return f"{ROOT}/memory" if len(self.directories) > 1 else str(ROOT)

    def events(self) -> Path:
        """The file that counts kills for memory."""
        unified = self.memory / "memory.events"
        return unified if unified.exists() else self.memory / "memory.oom_control"

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in this group for memory."""
        with suppress(OSError):
            for line in self.events().read_text(encoding="ascii").splitlines():
                key, _, count = line.partition(" ")
                if key == "oom_kill":
                    return int(count) > 0
        return False


@contextmanager
def control_group(limits: Limits) -> Iterator[ControlGroup | None]:
    """A group with these limits, removed at the end; None where this process may not make one."""
    group = _make(limits)
    try:
        yield group
    finally:
        if group is not None:
            _remove(group)


def kernel_version() -> tuple[int, int]:
    """This kernel's major and minor version."""
    major, minor, *_ = platform.release().split(".")
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


def existing(name: str) -> ControlGroup:
    """The group of this name that somebody else, such as a container runtime, has made."""
    if (ROOT / "cgroup.controllers").exists():
        return ControlGroup((ROOT / name,), ROOT / name)
    kinds = tuple(ROOT / kind / name for kind in ("memory", "pids", "cpu"))
    return ControlGroup(kinds, kinds[0])


def reap() -> int:
    """Remove empty groups that killed processes left behind; says how many."""
    removed = 0
    before = time.time() - YOUNG_S
    for pattern in (f"{PREFIX}*", f"*/{PREFIX}*"):
        for directory in ROOT.glob(pattern):
            # One that is in use refuses, which is right; one just made waits for its box.
            with suppress(OSError):
                if directory.stat().st_mtime < before:
                    directory.rmdir()
                    removed += 1
    return removed


def _make(limits: Limits) -> ControlGroup | None:
    name = f"{PREFIX}{uuid4().hex}"
    made: list[Path] = []
    try:
        if (ROOT / "cgroup.controllers").exists():
            (ROOT / "cgroup.subtree_control").write_text("+memory +pids +cpu", encoding="ascii")
            group = ControlGroup((ROOT / name,), ROOT / name)
            wanted = _unified(ROOT / name, limits)
        else:
            kinds = tuple(ROOT / kind / name for kind in ("memory", "pids", "cpu"))
            group = ControlGroup(kinds, kinds[0])
            wanted = _version_1(name, limits)
        for directory in group.directories:
            directory.mkdir()
            made.append(directory)
        for file, value in wanted:
            file.write_text(value, encoding="ascii")
    except OSError:
        for directory in made:
            with suppress(OSError):
                directory.rmdir()
        return None
    with suppress(OSError):  # no swap accounting in this kernel, or no swap: nothing to limit
        (group.memory / "memory.memsw.limit_in_bytes").write_text(
            str(limits.memory_bytes), encoding="ascii"
        )
    return group


def _unified(directory: Path, limits: Limits) -> list[tuple[Path, str]]:
    return [
        (directory / "memory.max", str(limits.memory_bytes)),
        (directory / "memory.swap.max", "0"),
        (directory / "pids.max", str(limits.pids)),
        (directory / "cpu.max", f"{int(limits.cpus * PERIOD_US)} {PERIOD_US}"),
    ]


def _version_1(name: str, limits: Limits) -> list[tuple[Path, str]]:
    return [
        (ROOT / "memory" / name / "memory.limit_in_bytes", str(limits.memory_bytes)),
        (ROOT / "pids" / name / "pids.max", str(limits.pids)),
        (ROOT / "cpu" / name / "cpu.cfs_period_us", str(PERIOD_US)),
        (ROOT / "cpu" / name / "cpu.cfs_quota_us", str(int(limits.cpus * PERIOD_US))),
    ]


def _remove(group: ControlGroup) -> None:
    give_up = time.monotonic() + REMOVE_S
    for directory in group.directories:
        while directory.exists():
            try:
                directory.rmdir()
            except OSError:
                if time.monotonic() > give_up:
                    break  # still in use; `reap` comes back for it
                time.sleep(0.005)
