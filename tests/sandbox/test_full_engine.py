"""The engine's own disk fills up: it is named, with advice; nothing stays, and room ends it."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import Limits, Sandbox
from sandbox.docker import DockerSandbox
from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError
from tests.sandbox.conftest import settings
from tests.sandbox.own_engine import ext4_disk, own_engine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

DISK_MIB = 3072
SOME_ROOM = 1_500_000
SAID = "no space left on device.*make room on the engine's disk.*evoscale sandbox prune"
BLOCK = b"x" * 4096


@dataclass(frozen=True)
class Disk:
    """The engine's disk, and what fills it."""

    filler: Path

    def fill(self) -> None:
        """Leave no byte: a great piece at once, then as long as it takes."""
        room = os.statvfs(self.filler.parent)
        descriptor = os.open(self.filler, os.O_WRONLY | os.O_CREAT)
        try:
            os.posix_fallocate(descriptor, 0, room.f_bavail * room.f_frsize - SOME_ROOM)
            os.lseek(descriptor, 0, os.SEEK_END)
            while True:
                os.write(descriptor, BLOCK)
        except OSError:
            return
        finally:
            os.close(descriptor)

    def leave(self, size: int) -> None:
        """Give so many bytes back."""
        os.truncate(self.filler, self.filler.stat().st_size - size)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sandbox, str, Disk]]:
    """An engine, an image on it, and the disk that both are on."""
    with tempfile.TemporaryDirectory() as made:  # a socket's path must be short
        folder = Path(made)
        with (
            ext4_disk(folder, DISK_MIB) as place,
            own_engine(folder, place / "data", {}) as host,
        ):
            monkeypatch.setenv("DOCKER_HOST", host)
            sandbox = DockerSandbox(settings())
            yield sandbox, images.bare(sandbox), Disk(place / "filler")


def containers() -> list[str]:
    with Engine("runc").asked() as client:
        return [str(found["Id"]) for found in client.containers(all=True)]


def test_a_full_disk_of_the_engine_is_named_and_nothing_is_left(
    full: tuple[Sandbox, str, Disk], tmp_path: Path
) -> None:
    sandbox, image, disk = full
    repository = tmp_path / "opt" / "repo"
    repository.mkdir(parents=True)
    (repository / "large").write_bytes(os.urandom(2 * SOME_ROOM))
    disk.fill()
    with pytest.raises(SandboxUnavailableError, match=SAID), sandbox.open(image, Limits()):
        pass
    with pytest.raises(SandboxUnavailableError, match=SAID):
        sandbox.build("repo-full", image, tmp_path, ["true"])
    disk.leave(SOME_ROOM)
    with pytest.raises(SandboxUnavailableError, match=SAID):
        sandbox.build("repo-full", image, tmp_path, ["true"])
    assert not sandbox.has_image("repo-full")
    with sandbox.open(image, Limits()) as box:
        assert box.exec(["true"]).exit_code == 0
    assert containers() == []
