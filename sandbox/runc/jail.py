"""One container of an OCI runtime: its start, its end, and what a killed process leaves of it."""

import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox.cgroups import PREFIX, existing
from sandbox.cgroups import reap as reap_control_groups
from sandbox.directories import HOST_UID
from sandbox.errors import SandboxUnavailableError
from sandbox.owners import is_gone, owner
from sandbox.runc.bundle import Plan
from sandbox.runc.runtime import Runtime

NAME = PREFIX  # so that control groups that are left are found by what removes them
BUNDLE = "evoscale-bundle-"
START_S = 60.0
DELETE_S = 20.0
# In a mount namespace of its own, so that the kernel takes these down with the box's last process.
LAY = """
set -e
cd "$1"
mount -t tmpfs -o "size=$2,nr_inodes=$3,mode=755" evoscale scratch
mkdir scratch/upper scratch/work scratch/merged
chown "$4:$4" scratch/upper
dirs=lowerdir=lower,upperdir=scratch/upper,workdir=scratch/work
mount -t overlay -o "$dirs" evoscale scratch/merged
shift 4
exec "$@"
"""


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
        if plan.overlaid is not None:
            (self._bundle / "scratch").mkdir()
            size = [str(plan.spaces.repo), str(plan.spaces.repo_files)]
            lay = ["/bin/sh", "-c", LAY, "sh", str(self._bundle), *size, str(HOST_UID)]
            argv = ["unshare", "--mount", "--propagation", "private", "--", *lay, *argv]
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
        """Kill it and have the runtime forget it; see `Jail.destroy`."""
        if self._destroyed:
            return
        self._destroyed = True
        self._runtime.delete(self._name, DELETE_S)
        if self._process is not None:
            with suppress(ChildProcessError):  # it is somebody's to collect; ours if we are init
                os.waitid(os.P_PIDFD, self._process, os.WEXITED)
            os.close(self._process)
            self._process = None


@contextmanager
def bundles(isolation: str, name: str) -> Iterator[Path]:
    """A directory for a box, named after its owner, that the box's users can reach.

    Raises:
        SandboxUnavailableError: the machine has no room for it.
    """
    mark = owner().replace("/", "_")
    try:
        made = Path(tempfile.mkdtemp(prefix=f"{BUNDLE}{mark}-"))
        made.chmod(0o711)
        (made / "name").write_text(name, encoding="ascii")
    except OSError as error:
        raise SandboxUnavailableError(isolation, f"{error}; make room or set TMPDIR") from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def reap(runtime: Runtime) -> int:
    """Remove what processes left that are gone: containers, bundles, control groups."""
    removed = 0
    for bundle in Path(tempfile.gettempdir()).glob(f"{BUNDLE}*"):
        whose = bundle.name.removeprefix(BUNDLE).rpartition("-")[0].replace("_", "/")
        if not is_gone(whose):
            continue
        with suppress(OSError):
            runtime.delete((bundle / "name").read_text(encoding="ascii"), DELETE_S)
        shutil.rmtree(bundle, ignore_errors=True)
        removed += 1
    return removed + reap_control_groups()
