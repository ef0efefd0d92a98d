"""A real file system that can be filled up: tmpfs with a size, mounted by the test."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

FILLER = ".filler"
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted file system at `path`."""

    path: Path

    def fill(self, leave: int = 0) -> None:
        """Write until there is no room for one more byte, or for `leave` of them."""
        descriptor = os.open(self.path / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while True:
                os.write(descriptor, b"x" * BLOCK)
        except OSError:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - leave)
        finally:
            os.close(descriptor)

    def make_room(self) -> None:
        """Take away what `fill` wrote."""
        (self.path / FILLER).unlink()


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], SmallDisk]]:
    """Mounts a disk of so many MiB; skipped where only root of the host may mount."""
    mounted: list[Path] = []

    def mount(mebibytes: int) -> SmallDisk:
        if os.geteuid() != 0:
            pytest.skip("only root can mount the small disk that this test fills")
        path = Path(mkdtemp(prefix="evoscale-disk-"))
        argv = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0777", "tmpfs", str(path)]
        made = subprocess.run(argv, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            path.rmdir()
            pytest.skip(f"this machine lets no test mount a disk: {made.stderr.strip()}")
        mounted.append(path)
        return SmallDisk(path)

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()
