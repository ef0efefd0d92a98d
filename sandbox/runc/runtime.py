"""The program that makes containers: runc, or gVisor's runsc in its place."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.errors import SandboxUnavailableError
from sandbox.overlay import SYSTEM_PATH

STATE = Path("/run/evoscale")
"""Where runtimes keep what they know of our containers; apart from every engine's."""
ANSWER_S = 20.0
NEEDED = {"unshare": "util-linux", "mount": "mount"}


@dataclass(frozen=True, slots=True)
class Runtime:
    """How one is called."""

    name: Literal["runc", "runsc"]
    program: str
    path: str = SYSTEM_PATH

    @property
    def gvisor(self) -> bool:
        """Whether it is a kernel of its own."""
        return self.name == "runsc"

    def called(self, *arguments: str) -> list[str]:
        """A command of it, with a state directory that is ours alone."""
        options = ["--root", str(STATE / self.name)]
        if self.gvisor:
            options += ["--network=none", "--platform=ptrace", "--oci-seccomp"]
        return [self.program, *options, *arguments]

    def running(self, name: str, bundle: Path, pid_file: Path) -> list[str]:
        """The command that starts a container and leaves it to itself."""
        detached = ("run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file))
        return self.called(*detached, name)

    def delete(self, name: str, within_s: float) -> None:
        """Kill a container and forget it; one that is not there is as good.

        Raises:
            SandboxUnavailableError: the runtime did not answer in time.
        """
        try:
            subprocess.run(
                self.called("delete", "--force", name), capture_output=True, timeout=within_s,
                check=False, cwd="/", env={"PATH": self.path},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxUnavailableError(
                self.name, f"{name} could not be removed: {error}"
            ) from error


def find_runtime(name: Literal["runc", "runsc"]) -> Runtime:
    """Find the program, and what it needs beside itself.

    Raises:
        SandboxUnavailableError: something is missing, or we are not root; says what to do.
    """
    if os.geteuid() != 0:
        raise SandboxUnavailableError(name, "only root can use it; take docker or bubblewrap")
    for needed, package in {name: name, **NEEDED}.items():
        if shutil.which(needed) is None:
            reason = f"no {needed!r} on PATH; 'apt-get install {package}'"
            raise SandboxUnavailableError(name, reason)
    try:
        STATE.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxUnavailableError(name, f"{error}; it keeps its state there") from error
    runtime = Runtime(name, shutil.which(name) or name)
    try:
        done = subprocess.run(
            [runtime.program, "--version"], capture_output=True, timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailableError(name, str(error)) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise SandboxUnavailableError(name, f"it does not run: {said}")
    return runtime
