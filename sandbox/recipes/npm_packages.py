"""Gets npm packages: data files from the registry npm is configured for. Nothing of them runs here.

npm sees a folder of ours with a manifest of ours; the repository's own `.npmrc`, scripts and
workspaces never reach it, and no package's scripts are run. A published package may itself ask for
a git repository, in which npm would run another npm that reads the repository's `.npmrc`: npm 11
refuses, and an older one, which ignores the options it does not know, is given a git that fails.
"""

import json
import logging
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sandbox import stops
from sandbox.errors import ImageBuildError
from sandbox.recipes.room import Room
from sandbox.recipes.telling import without_places
from sandbox.settings import SandboxSettings, fetch_environment
from sandbox.toolchain import which

logger = logging.getLogger(__name__)

STEP = "packages"
DOWNLOAD_S = 300.0
TRIES = 6
TAIL = 4000
ANY = "*"
MOST_BYTES = 1536 * 1024**2
MOST_FILES = 150_000
FEWER = "name those that the tests need as `packages` in .github/evoscale.yml"
MISSING = re.compile(
    r"(?:No matching version found for|404[^\n]*'|notsup[^\n]*for|Unsupported[^\n]*for) ?"
    r"((?:@[\w.~-]+/)?[\w.~-]+)@"
)
STALE = re.compile(r"ENOENT[^\n]*_cacache")
"""Npm's cache does not hold what its index says: others clear it up while npm reads."""
NO_REGISTRY = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH", "ECONNRESET")
REFUSED = ("EALLOWGIT", "EALLOWREMOTE", "EALLOWFILE", "EALLOWDIRECTORY")
OPTIONS = (
    "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
    "--legacy-peer-deps", "--include=dev", "--include=optional", "--no-save",
    "--engine-strict=false", "--loglevel=error", "--fetch-retries=2", "--install-links=false",
    "--allow-git=none", "--allow-remote=none", "--allow-file=none", "--allow-directory=none",
)  # fmt: skip


def download(
    wanted: Mapping[str, str], lock: str, place: Path, overrides: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Lay `node_modules` below a directory; gives what cannot be had as it is asked for.

    `lock` is the text of npm's own lock file, `overrides` what another's says in npm's words.

    Raises:
        ImageBuildError: no npm, no registry that answers, too much, or not in time; says which.
        OSError: this machine's disk is full.
    """
    place.mkdir(parents=True, exist_ok=True)
    asked = dict(wanted)
    pins = dict(overrides or {})
    dropped: list[str] = []
    deadline = time.monotonic() + DOWNLOAD_S
    for _ in range(TRIES):
        if not asked:
            break
        said = _npm(asked, lock, pins, place, deadline)
        if said is None:
            break
        named = set(MISSING.findall(said))
        missing = named & asked.keys()
        if not missing and (not pins or _unanswered(said)):
            public = without_places(said)
            raise ImageBuildError(STEP, _reason(public), public[-TAIL:])
        gone = {name for name in missing if asked[name] == ANY}
        dropped += [f"{name} {asked[name]}" for name in sorted(missing - gone)]
        if not missing:
            below = sorted(named) or ["what is below"]
            dropped += [f"{name} as it is locked" for name in below]
        # A registry that lags behind has an older one, which is more use than none.
        asked = {n: ANY if n in missing else text for n, text in asked.items() if n not in gone}
        lock, pins = "", {}
    for name in ("package.json", "package-lock.json"):
        (place / name).unlink(missing_ok=True)
    return tuple(dropped)


def _npm(
    asked: Mapping[str, str], lock: str, pins: Mapping[str, str], place: Path, deadline: float
) -> str | None:
    """One installation; what npm said where it failed, else None."""
    npm = which("npm")
    if npm is None:
        raise ImageBuildError(STEP, "this machine has no 'npm'; install it (Debian: 'npm')")
    manifest = {
        "name": "environment",
        "version": "0.0.0",
        "private": True,
        "dependencies": asked,
        "overrides": pins,
    }
    (place / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    if lock:
        (place / "package-lock.json").write_text(lock, encoding="utf-8")
    try:
        done = _run(npm, place, deadline)
        if done.returncode and STALE.search(done.stderr):
            done = _run(npm, place, deadline, "--cache={scratch}/cache")
    except subprocess.TimeoutExpired as error:
        reason = f"they could not be had within {DOWNLOAD_S:.0f} seconds"
        raise ImageBuildError(STEP, reason) from error
    if done.returncode == 0:
        return None
    logger.info("npm: %s", done.stderr.strip()[-500:])
    return done.stderr


def _run(npm: Path, place: Path, deadline: float, *more: str) -> subprocess.CompletedProcess[str]:
    """Start npm with a home of its own, the operator's settings for npm, and no git.

    `{scratch}` in what else it is told is a folder that goes when npm has ended.

    Raises:
        TimeoutExpired: it took until after the deadline.
        ImageBuildError: what it has laid is too large.
        OSError: it cannot be started, or this machine's disk is full.
    """
    room = Room(STEP, (place,), FEWER, MOST_BYTES, MOST_FILES)
    with tempfile.TemporaryDirectory() as scratch:
        git = Path(scratch, "git")
        git.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        git.chmod(0o700)
        home = {
            "HOME": scratch,
            "NPM_CONFIG_USERCONFIG": str(Path.home() / ".npmrc"),
            "NPM_CONFIG_CACHE": str(SandboxSettings().downloads / "npm"),
        }
        set_here = fetch_environment("NPM_CONFIG_")
        there = {name.upper() for name in set_here} - {"HOME"}
        own = {name: value for name, value in home.items() if name not in there}
        asked = [word.format(scratch=scratch) for word in more]
        argv = [str(npm), *OPTIONS, f"--git={git}", *asked]
        left = max(deadline - time.monotonic(), 1)
        return stops.run(argv, cwd=place, env={**set_here, **own}, timeout_s=left, watch=room.check)


def _unanswered(said: str) -> bool:
    return any(word in said for word in NO_REGISTRY)


def _reason(said: str) -> str:
    if _unanswered(said):
        return "no npm registry answers; check npm's 'registry' and proxy settings"
    if any(word in said for word in REFUSED):
        return "a package asks for a git repository, an address or a path; npm's registry only"
    lines = [line for line in said.splitlines() if line.strip()]
    return f"npm failed: {lines[0][:200] if lines else 'it said nothing'}"
