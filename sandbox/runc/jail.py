"""One container of an OCI runtime: its start, its end, and what a killed process leaves of it."""

import logging
import os
import select
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox.cgroups import PREFIX, YOUNG_S, existing
from sandbox.cgroups import reap as reap_control_groups
from sandbox.errors import SandboxUnavailableError
from sandbox.owners import is_gone, owner
from sandbox.runc.bundle import Plan
from sandbox.runc.runtime import Runtime

logger = logging.getLogger(__name__)

NAME = PREFIX  # so that control groups that are left are found by what removes them
BUNDLE = "evoscale-bundle-"
START_S = 60.0
DELETE_S = 20.0


class Container:
    """A container by its name; see `sandbox.pipes.Jail`."""

    def __init__(self, runtime: Runtime, name: str, bundle: Path) -> None:
        self._runtime = runtime
        self._name = name
        self._bundle = bundle
        self._process: int | None = None
        self._destroyed = False
        self._out_of_memory = False

    def start(self, plan: Plan, descriptors: tuple[int, int, int]) -> None:
        """Start it with these as its standard input, output and errors.

        Raises:
            SandboxUnavailableError: the runtime did not answer in time.
        """
        stdin, stdout, stderr = descriptors
        pid_file = self._bundle / "pid"
        argv = self._runtime.running(self._name, self._bundle, pid_file)
        mounts = plan.mounts(self._bundle)
        if mounts is not None:
            mounts.scratch.mkdir()
            argv = mounts.before(argv)
        try:
            subprocess.run(
                argv, stdin=stdin, stdout=stdout, stderr=stderr, cwd="/",
                env={"PATH": self._runtime.path}, timeout=START_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxUnavailableError(self._runtime.name, str(error)) from error
        with suppress(OSError, ValueError):  # it did not start: the line says so, and why
            self._process = os.pidfd_open(int(pid_file.read_text(encoding="ascii")))

    def exited(self, within_s: float) -> bool:
        """Wait at most so long for its process 1 to end; see `Jail.exited`."""
        if self._process is None:
            return True
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    def out_of_memory(self) -> bool:
        """Whether its control group says so; see `Jail.out_of_memory`."""
        return existing(self._name).out_of_memory()

    def destroy(self) -> None:
        """Kill it and have the runtime forget it; see `Jail.destroy`.

        Raises:
            SandboxUnavailableError: the runtime did not answer, or the box did not end, in time.
        """
        if self._destroyed:
            return
        self._destroyed = True
        try:
            self._runtime.delete(self._name, DELETE_S)
            if self._process is not None:
                self._must_end(self._process)
        finally:
            if self._process is not None:
                os.close(self._process)
                self._process = None

    def _must_end(self, process: int) -> None:
        if not self.exited(DELETE_S):
            reason = f"{self._name} does not end, though it was killed"
            raise SandboxUnavailableError(self._runtime.name, reason)
        with suppress(ChildProcessError):  # it is somebody's to collect; ours if we are init
            os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOHANG)


@contextmanager
def bundles(isolation: str, name: str) -> Iterator[Path]:
    """A directory for a box, with its name and its owner in it, that the box's users can reach.

    Raises:
        SandboxUnavailableError: the machine has no room for it.
    """
    try:
        made = Path(tempfile.mkdtemp(prefix=f"{BUNDLE}{os.getpid()}-"))
        made.chmod(0o711)
        (made / "name").write_text(name, encoding="ascii")
        (made / "owner").write_text(owner(), encoding="utf-8")
    except OSError as error:
        raise SandboxUnavailableError(isolation, f"{error}; make room or set TMPDIR") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def reap(runtime: Runtime) -> int:
    """Remove what processes left that are gone: containers, bundles, control groups.

    Everybody may write where bundles lie, so only what is ours is believed.
    """
    removed = 0
    for bundle in Path(tempfile.gettempdir()).glob(f"{BUNDLE}*"):
        try:
            removed += _is_ours(bundle) and _reaped(runtime, bundle)
        except FileNotFoundError:  # its owner has removed it meanwhile
            continue
        except (OSError, UnicodeError, SandboxUnavailableError) as error:
            logger.warning("%s could not be removed: %s", bundle, error)
    return removed + reap_control_groups()


def _is_ours(bundle: Path) -> bool:
    found = bundle.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _reaped(runtime: Runtime, bundle: Path) -> bool:
    """Remove a bundle and its container, if whoever made them is gone."""
    whose = bundle / "owner"
    if not whose.exists():  # it is being made, or its maker was killed before any box was in it
        if time.time() - bundle.lstat().st_mtime < YOUNG_S:
            return False
    elif is_gone(whose.read_text(encoding="utf-8")):
        runtime.delete((bundle / "name").read_text(encoding="ascii"), DELETE_S)
    else:
        return False
    shutil.rmtree(bundle, ignore_errors=True)
    return True
