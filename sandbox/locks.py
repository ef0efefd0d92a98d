"""One process at a time, by a file lock that the kernel drops when its holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import SandboxUnavailableError


@contextmanager
def locked(cache_dir: Path, name: str) -> Iterator[None]:
    """Hold the lock of this name, waiting for it as long as its holder lives.

    Raises:
        SandboxUnavailableError: the cache directory cannot be written.
    """
    directory = cache_dir / "locks"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / name.replace("/", "-")).open("w", encoding="ascii")
    except OSError as error:
        reason = f"{error}; set EVOSCALE_SANDBOX_CACHE_DIR to a directory that can be written"
        raise SandboxUnavailableError("cache", reason) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
