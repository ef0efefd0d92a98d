"""One process at a time, by a file lock that the kernel drops when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sandbox.errors import SandboxUnavailableError

IN_USE = "in-use-"


@contextmanager
def locked(cache_dir: Path, name: str) -> Iterator[None]:
    """Hold the lock of this name, waiting for it as long as its holder lives.

    Raises:
        SandboxUnavailableError: the cache directory cannot be written.
    """
    with _file(cache_dir, name) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def in_use(cache_dir: Path, name: str) -> Iterator[None]:
    """Say that something is in use, together with others who do; its time of use is kept.

    Raises:
        SandboxUnavailableError: the cache directory cannot be written.
    """
    with _file(cache_dir, f"{IN_USE}{name}") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        os.utime(file.fileno())
        yield


@contextmanager
def unless_in_use(cache_dir: Path, name: str) -> Iterator[bool]:
    """Whether nobody uses it; nobody else begins to before the block ends.

    Raises:
        SandboxUnavailableError: the cache directory cannot be written.
    """
    with _file(cache_dir, f"{IN_USE}{name}") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def used_at(cache_dir: Path, name: str) -> float:
    """When something was last taken into use, in seconds since the epoch; 0.0 for never."""
    try:
        return _path(cache_dir, f"{IN_USE}{name}").stat().st_mtime
    except OSError:
        return 0.0


def _path(cache_dir: Path, name: str) -> Path:
    return cache_dir / "locks" / name.replace("/", "-")


def _file(cache_dir: Path, name: str) -> IO[bytes]:
    path = _path(cache_dir, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        reason = f"{error}; set EVOSCALE_SANDBOX_CACHE_DIR to a directory that can be written"
        raise SandboxUnavailableError("cache", reason) from error
