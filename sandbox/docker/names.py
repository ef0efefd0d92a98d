"""The file that gives localhost its name in a box, on the engine's own machine.

A container without a network of the engine's starts in half the time, and has loopback, but an
empty file of names. The engine fills that file for its networks only and lays an empty one over an
image's, so ours is mounted there. It lies in a volume: that is the one place on the engine's
machine whose path can be asked for, wherever the engine runs.
"""

import io
import tarfile
import time
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import docker.errors
import docker.types
from docker.api.client import APIClient

from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError
from sandbox.locks import locked
from sandbox.owners import labels

PLACE = "/etc/hosts"
FILE = "hosts"
TEXT = b"127.0.0.1 localhost\n::1 localhost\n"
"""As in the boxes of the other back ends."""
VOLUME = "evoscale-names-1"  # another number when the text changes
TARGET = "/names"
LAY_S = 60.0
BAD_REQUEST = 400


class Names:
    """The file of names of one engine."""

    def __init__(self, engine: Engine, cache_dir: Path) -> None:
        self._engine = engine
        self._cache_dir = cache_dir
        self._folder: str | None = None

    def mount(self, image: str) -> docker.types.Mount:
        """The file, to be mounted in a container; laid with a container of `image` on first use.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        folder = self._folder or self._find() or self.lay(image)
        return docker.types.Mount(PLACE, f"{folder}/{FILE}", type="bind", read_only=True)

    def lay(self, image: str) -> str:
        """Put the file into its volume, made where it is not there; gives the volume's folder.

        It goes through a container of `image` that is never started.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        name = f"evoscale-{uuid4().hex}"
        with locked(self._cache_dir, "docker-names"):
            try:
                with self._engine.asked() as client:
                    _put(client, name, image)
            finally:
                self._engine.remove(name)
        return self._find() or self._gone()

    def _find(self) -> str | None:
        with self._engine.asked() as client:
            try:
                self._folder = str(client.inspect_volume(VOLUME)["Mountpoint"])
            except docker.errors.NotFound:
                self._folder = None
        return self._folder

    def _gone(self) -> NoReturn:
        reason = f"the volume {VOLUME} was removed while it was made; try again"
        raise SandboxUnavailableError(self._engine.isolation, reason)


def is_missing(error: SandboxUnavailableError) -> bool:
    """Whether a container was refused because the file is not where it was."""
    cause = error.__cause__
    refused = isinstance(cause, docker.errors.APIError) and cause.status_code == BAD_REQUEST
    return refused and "source path does not exist" in str(cause)


def _archive() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo(FILE)
        info.size, info.mode = len(TEXT), 0o644
        archive.addfile(info, io.BytesIO(TEXT))
    return target.getvalue()


def _put(client: APIClient, name: str, image: str) -> None:
    config = client.create_host_config(
        mounts=[docker.types.Mount(TARGET, VOLUME, no_copy=True)], network_mode="none"
    )
    whose = labels(time.time(), LAY_S)
    client.create_container(image, ["true"], name=name, labels=whose, host_config=config)
    client.put_archive(name, TARGET, _archive())
