"""Gets wheels: data files from the index that pip is configured for. Nothing of them runs here."""

import importlib.metadata
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

DOWNLOAD_S = 300.0
ONE_S = 60.0
PYTEST_PARTS = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


def download(requirements: Sequence[str], target: Path) -> tuple[str, ...]:
    """Put wheels for these and all they need into a directory; gives the ones that cannot be had.

    First all together, because they have to fit each other. If that fails, those that have no wheel
    of their own are dropped, and then those that do not fit the rest, one after the other.
    """
    deadline = time.monotonic() + DOWNLOAD_S
    wanted = list(requirements)
    if not wanted or _pip(wanted, target, deadline):
        return ()
    having = [r for r in wanted if _pip([r], target, deadline, alone=True)]
    if len(having) < len(wanted) and having and _pip(having, target, deadline):
        return tuple(r for r in wanted if r not in having)
    kept: list[str] = []
    for requirement in having:
        if _pip([*kept, requirement], target, deadline):
            kept.append(requirement)
    return tuple(r for r in wanted if r not in kept)


def _pip(
    requirements: Sequence[str], target: Path, deadline: float, *, alone: bool = False
) -> bool:
    """One download into an empty directory; its content replaces the target's when it worked."""
    left = min(deadline - time.monotonic(), ONE_S if alone else DOWNLOAD_S)
    if left <= 0:
        return False
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    argv = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-input", "--only-binary=:all:", "--retries=1", "--timeout=10", "--dest", str(fresh),
        *(["--no-deps"] if alone else []), "--", *requirements,
    ]  # fmt: skip
    try:
        done = subprocess.run(argv, capture_output=True, timeout=left, check=False, text=True)
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
