"""What boxes take while they wait, and what they leave on the machine when they are gone."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from sandbox import cgroups
from sandbox.contract import Sandbox
from sandbox.docker.engine import Engine
from sandbox.owners import LABEL, owner
from sandbox.settings import SandboxSettings

WAITING = 4
"""Boxes that wait at once when their memory is measured: they share pages, as in a pool."""

CACHED = ("*", "*/*", "*/*/*")
"""The cache folder down to an image's own trees; the files in those are the image's."""


def idle_mib(sandbox: Sandbox, image: str) -> float:
    """What one of `WAITING` boxes takes: its processes and those that hold it, by their shares.

    Raises:
        SandboxUnavailableError: no box can be opened.
    """
    before = _of_boxes(sandbox)
    with ExitStack() as boxes:
        for _ in range(WAITING):
            box = boxes.enter_context(sandbox.open(image, SandboxSettings().limits()))
            box.exec(["true"])
        all_of_them = sum(_proportional_kib(one) for one in _of_boxes(sandbox) - before)
    return all_of_them / WAITING / 1024


def left(sandbox: Sandbox, settings: SandboxSettings | None = None) -> dict[str, int]:
    """Everything that boxes can leave and that can be counted on this machine now.

    Control groups, volumes, temporary and cached files have no owner's name in them: those of other
    processes that are at work meanwhile are counted too. Cached are images, unfinished ones, base
    runs and locks, of every back end.

    Raises:
        SandboxUnavailableError: the engine does not answer.
    """
    in_docker = sandbox.isolation.startswith("docker")
    cache = (settings or SandboxSettings()).cache_dir
    with Path("/proc/self/mounts").open(encoding="utf-8") as mounts:
        ours = sum("evoscale-bundle" in line for line in mounts)
    return {
        "containers": len(_containers()) if in_docker else 0,
        "volumes": _volumes() if in_docker else 0,
        "processes": len(_of_boxes(sandbox)),
        "mounts": ours,
        "loop devices": len(list(Path("/sys/block").glob("loop*/loop/backing_file"))),
        "control groups": _count(cgroups.ROOT, f"**/{cgroups.PREFIX}*"),
        "temporary files": _count(Path(tempfile.gettempdir()), "evoscale-*"),
        "cached files": sum(_count(cache, depth) for depth in CACHED),
        "open files": len(list(Path("/proc/self/fd").iterdir())),
    }


def _count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


def _volumes() -> int:
    """All of the engine: one that an image asked for has no name of ours."""
    with Engine("runc").asked() as client:
        return len(client.volumes()["Volumes"] or ())


def _of_boxes(sandbox: Sandbox) -> frozenset[int]:
    ours = _descendants(os.getpid()) | _in_control_groups()
    return ours | _of_containers() if sandbox.isolation.startswith("docker") else ours


def _descendants(process: int) -> frozenset[int]:
    try:
        children = [
            int(word)
            for file in Path(f"/proc/{process}/task").glob("*/children")
            for word in file.read_text(encoding="ascii").split()
        ]
    except OSError:  # it, or a thread of it, has ended meanwhile
        return frozenset()
    return frozenset(children).union(*(_descendants(child) for child in children))


def _in_control_groups() -> frozenset[int]:
    files = cgroups.ROOT.glob(f"**/{cgroups.PREFIX}{os.getpid()}-*/cgroup.procs")
    return frozenset(int(word) for file in files for word in file.read_text().split())


def _of_containers() -> frozenset[int]:
    """Process 1 of each container of ours, and the shim that is its parent."""
    with Engine("runc").asked() as client:
        first = [int(client.inspect_container(name)["State"]["Pid"]) for name in _containers()]
    return frozenset(first) | {_parent(process) for process in first}


def _parent(process: int) -> int:
    status = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    return int(status.rpartition(")")[2].split()[1])


def _proportional_kib(process: int) -> int:
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it has ended meanwhile
        return 0
    line = next((line for line in rollup.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1])


def _containers() -> list[str]:
    ours = {"label": [f"{LABEL}=1", f"{LABEL}.owner={owner()}"]}
    with Engine("runc").asked() as client:
        return [str(found["Id"]) for found in client.containers(all=True, filters=ours)]
