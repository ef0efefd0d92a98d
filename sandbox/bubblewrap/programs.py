"""What this machine has for boxes without an engine, and whether it lets it work."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.directories import HOST_UID
from sandbox.errors import SandboxUnavailableError
from sandbox.overlay import Mounts
from sandbox.seccomp import bpf_program
from sandbox.session import BOX_UID

ANSWER_S = 10.0
NEEDED_OPTIONS = ("--size", "--perms", "--clearenv", "--as-pid-1", "--seccomp")
PACKAGES = {"bwrap": "bubblewrap", "prlimit": "util-linux", "setpriv": "util-linux"}
USER_NAMESPACES = (
    "; this machine does not let programs make user namespaces: on Ubuntu 23.10 and later "
    "'sysctl kernel.apparmor_restrict_unprivileged_userns=0' or an AppArmor profile for bwrap "
    "allows it, elsewhere 'sysctl user.max_user_namespaces=15000'; or install docker.io"
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that a box is started with."""

    bwrap: str
    prlimit: str
    setpriv: str
    disable_userns: bool
    as_root: bool

    def leaving_root(self) -> list[str]:
        """What a command starts with so as not to be root's: bubblewrap by root can be escaped."""
        if not self.as_root:
            return []
        identity = [f"--reuid={HOST_UID}", f"--regid={HOST_UID}", "--clear-groups"]
        return [self.setpriv, *identity, "--no-new-privs", "--"]

    def namespaces(self) -> list[str]:
        """Bwrap with the options that give a box namespaces of its own and its process nothing."""
        further = ["--disable-userns"] if self.disable_userns else []
        return [
            self.bwrap, "--unshare-all", "--unshare-user", *further, "--die-with-parent",
            "--new-session", "--as-pid-1", "--cap-drop", "ALL", "--hostname", "box",
            "--uid", str(BOX_UID), "--gid", str(BOX_UID),
        ]  # fmt: skip


def find_programs() -> Programs:
    """Find them and try whether namespaces are to be had.

    Raises:
        SandboxUnavailableError: something is missing, too old or forbidden; says what to do.
    """
    as_root = os.geteuid() == 0
    found: dict[str, str] = {}
    for name, package in PACKAGES.items():
        path = shutil.which(name)
        if path is None and (as_root or name != "setpriv"):
            raise _unavailable(f"no {name!r} on PATH; 'apt-get install {package}'")
        found[name] = path or ""
    options = _said_by([found["bwrap"], "--help"]).stdout.decode(errors="replace")
    missing = [option for option in NEEDED_OPTIONS if option not in options]
    if missing:
        raise _unavailable(f"it is too old: no {missing[0]}; 0.6 or newer is needed")
    programs = Programs(
        found["bwrap"],
        found["prlimit"],
        found["setpriv"],
        disable_userns="--disable-userns" in options,
        as_root=as_root,
    )
    trial = [*programs.leaving_root(), *programs.namespaces(), "--ro-bind", "/", "/"]
    done = _said_by([*trial, "--proc", "/proc", "true"])
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise _unavailable(said + USER_NAMESPACES)
    return programs


def mounting_problem(programs: Programs, mounts: Mounts) -> str | None:
    """Why root cannot mount for a box and show it what lies there; None where it can."""
    shown = ["--ro-bind", "/", "/", "--bind", str(mounts.repository), "/tmp"]  # noqa: S108  # the box's own
    box = [*programs.leaving_root(), *programs.namespaces(), *shown, "--proc", "/proc", "true"]
    try:
        done = _said_by(mounts.before(box))
    except SandboxUnavailableError as error:  # a machine without unshare
        return error.reason
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip()[-300:]
    return f"root may not mount here: {said}"


def _said_by(argv: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(argv, capture_output=True, timeout=ANSWER_S, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unavailable(str(error)) from error


def _unavailable(reason: str) -> SandboxUnavailableError:
    return SandboxUnavailableError("bubblewrap", reason)


@contextmanager
def seccomp_file() -> Iterator[int]:
    """The filter program in a file that bwrap can read from its beginning."""
    descriptor = os.memfd_create("seccomp")
    try:
        os.write(descriptor, bpf_program())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
