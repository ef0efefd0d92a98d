"""GitHub's own description of its REST API, from the npm package `@octokit/openapi`.

The package is fetched when a test asks for it, never installed, and one file is read out of it; it
stays in `build/`, which git ignores, for the next run.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

VERSION = "23.0.2"
SHA256 = "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a"
MEMBER = "package/generated/api.github.com.json"
CACHE = Path(__file__).parents[2] / "build" / "openapi"
FETCH_WITHIN_S = 240


class DescriptionUnavailableError(Exception):
    """Raised when the description is not here and cannot be fetched."""


def load(cache: Path = CACHE) -> dict[str, Any]:
    """Read the description, after fetching it if need be.

    Raises:
        DescriptionUnavailableError: no npm, no registry, or a file that is not the pinned one.
    """
    target = cache / f"api.github.com-{VERSION}.json"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes fetches
        if not target.exists():
            _fetch(cache, target)
    content = target.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DescriptionUnavailableError(f"{target} is not the pinned file; remove it")
    document: dict[str, Any] = json.loads(content)
    return document


def _fetch(cache: Path, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise DescriptionUnavailableError("npm is not installed")
    arguments = ["pack", f"@octokit/openapi@{VERSION}", "--ignore-scripts", "--silent"]
    try:
        done = subprocess.run(
            [npm, *arguments], cwd=cache, capture_output=True, timeout=FETCH_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DescriptionUnavailableError("the npm registry does not answer") from error
    if done.returncode != 0:
        raise DescriptionUnavailableError(f"npm pack failed: {done.stderr.decode()[-300:]}")
    package = cache / done.stdout.decode().strip().splitlines()[-1]
    with tarfile.open(package) as archive:
        member = archive.extractfile(MEMBER)
        if member is None:
            raise DescriptionUnavailableError(f"{package.name} has no {MEMBER}")
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(member.read())
    unfinished.replace(target)
    package.unlink()
