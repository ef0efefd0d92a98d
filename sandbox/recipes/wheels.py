"""Gets wheels: data files from the index that pip is configured for. Nothing of them runs here."""

import importlib.metadata
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import stops
from sandbox.errors import ImageBuildError
from sandbox.recipes.layers import program
from sandbox.recipes.room import MOST_BYTES, Room
from sandbox.settings import SandboxSettings, fetch_environment

logger = logging.getLogger(__name__)

DOWNLOAD_S = 300.0
ONE_S = 60.0
STEP = "wheels"
OWN = ("-m", "pip", "download")
PYTHON = "--python-version="
RELEASE = re.compile(r"\d+\.\d+\.\d+")
"""What pip takes of a version: no `rc1`, and no `+` of one that was built between two."""
SMALLER = (
    "name fewer or smaller ones as `packages` in .github/evoscale.yml (a build for CPUs alone, for "
    "example), or let the operator's base image hold them"
)
PROOF = "pytest"  # every index has it: if it cannot be had, the index is the reason
PYTEST_PARTS = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


def download(
    requirements: Sequence[str], target: Path, pip: Sequence[str] = OWN
) -> tuple[str, ...]:
    """Put wheels for these and all they need into a directory; gives the ones that cannot be had.

    First all together, because they have to fit each other. If that fails, those that have no wheel
    of their own are dropped, and then those that do not fit the rest, one after the other. `pip` is
    how pip is started: for this Python, or `for_python` another.

    Raises:
        ImageBuildError: no index answers, or not in time, and what is missing then says nothing;
            or they are too large.
        OSError: this machine's disk is full.
    """
    deadline = time.monotonic() + DOWNLOAD_S
    if _pip(requirements, target, deadline, pip):
        return ()
    if not _pip([PROOF], target, deadline, pip, alone=True):
        advice = "check pip's index-url and proxy, or pre-build the environment where there is one"
        raise ImageBuildError(STEP, f"no package index answers; {advice}")
    having = [r for r in requirements if _pip([r], target, deadline, pip, alone=True)]
    kept = (
        having if _pip(having, target, deadline, pip) else _fitting(having, target, deadline, pip)
    )
    if time.monotonic() > deadline:
        raise ImageBuildError(STEP, f"they could not be had within {DOWNLOAD_S:.0f} seconds")
    return tuple(r for r in requirements if r not in kept)


def download_locked(
    requirements: Sequence[str], pins: Sequence[str], target: Path, pip: Sequence[str] = OWN
) -> bool:
    """The same with the versions of a lock file; false where those cannot be had here together.

    Raises:
        ImageBuildError: they are too large.
        OSError: this machine's disk is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "pins.txt")
        constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
        deadline = time.monotonic() + DOWNLOAD_S
        return _pip(requirements, target, deadline, pip, constraints=constraints)


def for_python(markers: Mapping[str, str]) -> tuple[str, ...]:
    """How pip is started to get wheels for another Python: by the values of its markers.

    With all of its version: pip takes `3.9` to be 3.9.0, which packages leave out for its faults.
    """
    full = RELEASE.match(markers["python_full_version"])
    version = full[0] if full else markers["python_version"]
    return ("-c", program("pip_as.py"), json.dumps(markers), "download", PYTHON + version)


def _fitting(
    requirements: Sequence[str], target: Path, deadline: float, pip: Sequence[str]
) -> list[str]:
    """The first of these, and of the others those that fit what came before."""
    kept: list[str] = []
    for requirement in requirements:
        if _pip([*kept, requirement], target, deadline, pip):
            kept.append(requirement)
    return kept


def _pip(
    requirements: Sequence[str],
    target: Path,
    deadline: float,
    pip: Sequence[str],
    *,
    alone: bool = False,
    constraints: Path | None = None,
) -> bool:
    """One download into an empty directory; its content replaces the target's when it worked."""
    if not requirements:
        return True
    left = min(deadline - time.monotonic(), ONE_S if alone else DOWNLOAD_S)
    if left <= 0:
        return False
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    argv = [
        sys.executable, *pip, "--quiet", "--disable-pip-version-check",
        "--no-input", "--only-binary=:all:", "--retries=1", "--timeout=10", "--dest", str(fresh),
        *(["--no-deps"] if alone else []),
        *([f"--constraint={constraints}"] if constraints else []), "--", *requirements,
    ]  # fmt: skip
    try:
        # In a directory with nothing in it, so that no name can be taken for a file.
        done = _watched(argv, fresh, left)
    except subprocess.TimeoutExpired:
        logger.info("pip took more than %.0f s for %d requirements", left, len(requirements))
        return False
    if done.returncode != 0:
        logger.info("pip: %s", done.stderr.strip()[-500:])
        return False
    if not alone:
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    return True


def _watched(argv: Sequence[str], place: Path, left: float) -> subprocess.CompletedProcess[str]:
    """Start pip, whose wheels lie in its temporary folder until it has all of them.

    Raises:
        TimeoutExpired: it took longer than `left` seconds.
        ImageBuildError: what it got is too large.
        OSError: it cannot be started, or this machine's disk is full.
    """
    with tempfile.TemporaryDirectory() as scratch:
        room = Room(STEP, (place, Path(scratch)), SMALLER, MOST_BYTES)
        kept = {"PIP_CACHE_DIR": str(SandboxSettings().downloads / "pip")}
        env = {**kept, **fetch_environment("PIP_"), "TMPDIR": scratch}
        return stops.run(argv, cwd=place, env=env, timeout_s=left, watch=room.check)


def lay_own_pytest(target: Path) -> bool:
    """Copy the pytest this program is installed with, which is pure Python; false without one."""
    try:
        parts = [importlib.metadata.distribution(name) for name in PYTEST_PARTS]
    except importlib.metadata.PackageNotFoundError:
        return False
    for part in parts:
        for file in part.files or ():
            if file.parts[0] in {"..", "."} or "__pycache__" in file.parts:
                continue
            place = target / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), place)
    return True
