"""Programs of ours as a user who is nobody in particular, where root runs the tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydantic
import pytest

import sandbox as package

PLAIN_UID = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@dataclass(frozen=True, slots=True)
class PlainUser:
    """A user with a home folder, and an interpreter that can import what we can."""

    home: Path
    interpreter: str
    roots: tuple[Path, ...]

    def run(self, *argv: str, timeout_s: float) -> "subprocess.CompletedProcess[str]":
        """Start a Python program as this user and wait for it."""
        identity = ["setpriv", f"--reuid={PLAIN_UID}", f"--regid={PLAIN_UID}", "--clear-groups"]
        environment = {
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(map(str, self.roots)),
        }
        return subprocess.run(
            [*identity, self.interpreter, "-B", *argv],
            env=environment, cwd=self.home, capture_output=True, text=True, check=False,
            timeout=timeout_s,
        )  # fmt: skip


@contextmanager
def plain_user() -> Iterator[PlainUser]:
    """A plain user, or a skip that says why there can be none."""
    interpreter = shutil.which("python3", path="/usr/bin:/bin")
    if interpreter is None or _version(interpreter) != str(sys.version_info[:2]):
        pytest.skip("no interpreter of this version that a plain user could start")
    roots = (Path(package.__file__).parents[1], Path(pydantic.__file__).parents[1])
    if any(not p.stat().st_mode & 0o001 for root in roots for p in (root, *root.parents)):
        pytest.skip("a plain user cannot read this installation")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield PlainUser(Path(name), interpreter, roots)


def _version(interpreter: str) -> str:
    asked = [interpreter, "-c", "import sys; print(sys.version_info[:2])"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
