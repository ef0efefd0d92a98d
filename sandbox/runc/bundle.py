"""The configuration of one box in the words of the OCI runtime specification (config.md 1.0.2)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.cgroups import PERIOD_US
from sandbox.contract import Limits
from sandbox.directories import HOST_UID
from sandbox.overlay import Mounts, Space
from sandbox.seccomp import docker_profile
from sandbox.session import (
    BOX_UID,
    FILE_BYTES,
    GVISOR_PIDS,
    OPEN_FILES,
    Spaces,
    warden_argv,
)

HOST_ROOT = 2_000_000_000
"""Whom user 0 of a box is on the machine: the runtime sets it up as that; nothing runs as it."""
MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
SAFE = ("nosuid", "nodev")
REPO_TREE = "opt/repo"
SHM_FILES = 50_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One box: its root file system, what it shows where, and its limits.

    `writable` names the trees that a build may write. `gvisor` is whether user-space kernel rules
    apply: it maps no users and keeps the repository in a memory file system of its own.
    """

    rootfs: Path
    trees: Mapping[str, Path]
    limits: Limits
    spaces: Spaces
    gvisor: bool
    writable: frozenset[str] = frozenset()
    reserve_bytes: int = 0

    def mounts(self, bundle: Path) -> Mounts | None:
        """What is mounted in a box's bundle before it starts: `/repo`, where it is an overlay."""
        lower = self._overlaid
        if lower is None:
            return None
        space = Space(self.spaces.repo, self.spaces.repo_files)
        return Mounts(bundle / "scratch", lower, HOST_UID, space)

    @property
    def orders(self) -> dict[str, object]:
        """What the warden has to do itself."""
        laid = {"laid": True} if self._overlaid is not None else {}
        return {"reserve_bytes": self.reserve_bytes, **laid}

    @property
    def _overlaid(self) -> Path | None:
        return None if self.gvisor or self.writable else self.trees.get(REPO_TREE)

    @property
    def uid(self) -> int:
        """Who the box's user is in the numbers of the configuration."""
        return HOST_UID if self.gvisor and self.writable else BOX_UID


def configuration(plan: Plan, name: str, bundle: Path) -> str:
    """The box's `config.json`."""
    linux = {
        "namespaces": [{"type": kind} for kind in _namespaces(plan)],
        "resources": _resources(plan),
        "cgroupsPath": f"/{name}",
        "seccomp": json.loads(docker_profile(gvisor=plan.gvisor)),
        "maskedPaths": list(MASKED),
        "readonlyPaths": list(READ_ONLY),
        **({} if plan.gvisor else _mappings()),
    }
    return json.dumps(
        {
            "ociVersion": "1.0.2",
            "hostname": "box",
            "root": {"path": str(plan.rootfs), "readonly": True},
            "process": _process(plan),
            "mounts": _mounts(plan, bundle),
            "linux": linux,
        }
    )


def _namespaces(plan: Plan) -> tuple[str, ...]:
    kinds = ("pid", "network", "ipc", "uts", "mount")
    return kinds if plan.gvisor else (*kinds, "user", "cgroup")


def _mappings() -> dict[str, object]:
    mapped = [
        {"containerID": 0, "hostID": HOST_ROOT, "size": 1},
        {"containerID": BOX_UID, "hostID": HOST_UID, "size": 1},
    ]
    return {"uidMappings": mapped, "gidMappings": mapped}


def _process(plan: Plan) -> dict[str, object]:
    sizes = {"RLIMIT_NOFILE": OPEN_FILES, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": FILE_BYTES}
    return {
        "terminal": False,
        "user": {"uid": plan.uid, "gid": plan.uid, "umask": 0o022},
        "args": warden_argv(plan.orders),
        "env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
        "cwd": "/",
        "capabilities": {
            kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
        },
        "rlimits": [{"type": kind, "hard": size, "soft": size} for kind, size in sizes.items()],
        "noNewPrivileges": True,
    }


def _resources(plan: Plan) -> dict[str, object]:
    limits = plan.limits
    own = GVISOR_PIDS if plan.gvisor else 0
    return {
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": {"limit": limits.memory_bytes, "swap": limits.memory_bytes},
        "pids": {"limit": limits.pids + own},
        "cpu": {"quota": int(limits.cpus * PERIOD_US), "period": PERIOD_US},
    }


def _mount(where: str, kind: str, *options: str, source: str = "") -> dict[str, object]:
    return {"destination": where, "type": kind, "source": source or kind, "options": [*options]}


def _mounts(plan: Plan, bundle: Path) -> list[dict[str, object]]:
    size = plan.spaces
    owner = f"uid={plan.uid}", f"gid={plan.uid}"
    tmp = (f"size={size.tmp}", f"nr_inodes={size.tmp_files}", "mode=1777")
    shm = (f"size={size.shm}", f"nr_inodes={SHM_FILES}", "mode=1777")
    mounts = [
        _mount("/proc", "proc", *SAFE, "noexec"),
        _mount("/dev", "tmpfs", "nosuid", "mode=755", "size=65536"),
        _mount("/dev/shm", "tmpfs", *SAFE, "noexec", *shm),  # noqa: S108  # the box's
        _mount("/sys", "sysfs", *SAFE, "noexec", "ro"),
        _mount("/sys/fs/cgroup", "cgroup", *SAFE, "noexec", "ro"),
        _mount("/tmp", "tmpfs", *SAFE, *tmp),  # noqa: S108  # the box's
    ]
    laid = plan.mounts(bundle)
    if laid is not None:
        mounts.append(_mount("/repo", "bind", "bind", *SAFE, source=str(laid.repository)))
    else:
        repo = (f"size={size.repo}", f"nr_inodes={size.repo_files}", "mode=755", *owner)
        mounts.append(_mount("/repo", "tmpfs", *SAFE, *repo))
    for tree, path in plan.trees.items():
        access = "rw" if tree in plan.writable else "ro"
        mounts.append(_mount(f"/{tree}", "bind", "bind", *SAFE, access, source=str(path)))
    return mounts
