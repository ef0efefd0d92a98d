"""The production sandbox: one hardened container a box, no network; the only importer of docker."""

import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol, cast
from uuid import uuid4

import docker.errors
import docker.types
import docker.utils
import requests.exceptions
import urllib3.exceptions
from docker.api.client import APIClient

from sandbox.archives import write_tree
from sandbox.contract import Box, Limits
from sandbox.errors import ImageBuildError, SandboxUnavailableError
from sandbox.locks import locked
from sandbox.owners import LABEL, labels, stale
from sandbox.seccomp import docker_profile
from sandbox.session import BOX_UID, Ending, Session, warden_argv
from sandbox.settings import MIB, SandboxSettings
from sandbox.toolchain import fingerprint, write_tar

REPOSITORY = "evoscale"
ANSWER_S = 60.0  # for one request to the engine; a build's commit gets its build time
REGISTRY_S = 5.0  # for the question whether a registry is there at all
KILL_S = 20.0  # for killing and removing a container, with a connection of their own
TMP_BYTES = 256 * MIB
TMP_INODES = 50_000
REPO_INODES = 200_000
OPEN_FILES = 4096
BUILD_MEMORY_BYTES = 4096 * MIB
FILE_BYTES = 2048 * MIB

FAILURES = (
    docker.errors.DockerException,  # the SDK's own tree, `NotFound` and the rest included
    requests.exceptions.RequestException,  # what the SDK lets through from its transport
    urllib3.exceptions.HTTPError,
    OSError,
)
"""Everything by which the engine, or the line to it, can fail; each ends in this module."""


class Socket(Protocol):
    """The part of a socket used here; the SDK gives different wrappers for different transports."""

    def sendall(self, data: bytes) -> None:
        """Send all."""
        ...

    def recv(self, size: int) -> bytes:
        """Receive some."""
        ...

    def settimeout(self, seconds: float) -> None:
        """Bound both."""
        ...

    def shutdown(self, how: int) -> None:
        """End both directions now."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


def unavailable(isolation: str, error: Exception) -> SandboxUnavailableError:
    """What any of `FAILURES` means to the rest of the program."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return SandboxUnavailableError(isolation, reason[:500])


class ContainerWalls:
    """A container and the stream attached to its process 1; see `sandbox.session.Walls`."""

    def __init__(self, isolation: str, client: APIClient, container_id: str) -> None:
        self.isolation = isolation
        self._client = client
        self._id = container_id
        self._stderr = bytearray()
        self._left_in_frame = 0
        self._wanted_frame = True
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attached = client.attach_socket(container_id, params=streams)
        # The SDK wraps the connection in a file object whose close() keeps the descriptor.
        self._file = attached
        self._socket = cast("Socket", getattr(attached, "_sock", attached))

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it; see `Walls.send`."""
        self._bound(deadline)
        self._socket.sendall(data)

    def receive(self, size: int, deadline: float) -> bytes:
        """Read some of the warden's output out of Docker's multiplexed frames; see `Walls.receive`."""
        while True:
            if not self._left_in_frame:
                header = self._exactly(8, deadline)
                if not header:
                    return b""
                stream, self._left_in_frame = struct.unpack(">BxxxL", header)
                self._wanted_frame = stream == 1
                continue
            self._bound(deadline)
            data = self._socket.recv(min(size, self._left_in_frame))
            if not data:
                return b""
            self._left_in_frame -= len(data)
            if self._wanted_frame:
                return data
            self._stderr = (self._stderr + data)[-4096:]

    def ending(self, *, host_gave_up: bool) -> Ending:
        """Ask the engine what became of the container; see `Walls.ending`."""
        try:
            state = self._client.inspect_container(self._id)["State"]
        except docker.errors.NotFound:
            return Ending(host_gave_up, out_of_memory=False, engine_answers=True, box_exited=True)
        except FAILURES:
            return Ending(host_gave_up, out_of_memory=False, engine_answers=False, box_exited=False)
        return Ending(host_gave_up, bool(state["OOMKilled"]), True, not state["Running"])  # noqa: FBT003

    def hang_up(self) -> None:
        """End the stream before anything else: a stalled reader makes the engine's kill hang."""
        for end in (lambda: self._socket.shutdown(socket.SHUT_RDWR), self._socket.close, self._file.close):
            try:
                end()
            except OSError:
                continue  # it is closed already, which is what was wanted

    def _exactly(self, size: int, deadline: float) -> bytes:
        data = b""
        while len(data) < size:
            self._bound(deadline)
            piece = self._socket.recv(size - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def _bound(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("its time ran out")
        self._socket.settimeout(left)


class DockerSandbox:
    """Boxes as containers of a Docker engine; see `sandbox.contract.Sandbox`."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Connect to the engine that `DOCKER_HOST` names, or the local one.

        Raises:
            SandboxUnavailableError: no engine answers, or it does not know the runtime.
        """
        self._settings = settings
        self._runtime = settings.runtime
        self._arguments = docker.utils.kwargs_from_env()
        self._version = "auto"
        with self._client(ANSWER_S) as client:
            info = client.info()
            self._version = str(client.api_version)
        if self._runtime not in info.get("Runtimes", {}):
            raise SandboxUnavailableError(
                self.isolation, f"the engine has no runtime {self._runtime!r}; register it or use runc"
            )
        self._base: str | None = None

    @property
    def isolation(self) -> str:
        """`docker/runc` or `docker/runsc`."""
        return f"docker/{self._runtime}"

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        """Open a fresh container of an image; see `Sandbox.open`.

        Raises:
            SandboxUnavailableError: no box can be opened.
        """
        orders: dict[str, object] = {}
        with (
            self._client(ANSWER_S) as client,
            self._container(client, self._tag(image), limits, writable=False, orders=orders) as name,
            self._session(client, name, limits) as session,
        ):
            yield session

    def has_image(self, image: str) -> bool:
        """Whether the engine has an image of this name; see `Sandbox.has_image`.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        with self._client(ANSWER_S) as client:
            return self._has(client, self._tag(image))

    def build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        """Make an image out of another, a directory and a command; see `Sandbox.build`.

        Raises:
            ImageBuildError: the script failed.
            SandboxUnavailableError: the engine does not answer.
        """
        with (
            locked(self._settings.cache_dir, f"docker-{image}"),
            self._client(self._settings.build_wall_clock_s + ANSWER_S) as client,
        ):
            if not self._has(client, self._tag(image)):
                start = self._base_image() if base is None else self._tag(base)
                self._build(client, image, start, layer, script)

    def reap(self) -> int:
        """Remove containers whose owner is gone or whose time is over; says how many.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        removed = 0
        with self._client(ANSWER_S) as client:
            for container in client.containers(all=True, filters={"label": f"{LABEL}=1"}):
                if stale(container["Labels"], time.time()):
                    self._remove(container["Id"])
                    removed += 1
        return removed

    def _build(
        self, client: APIClient, image: str, start: str, layer: Path, script: Sequence[str]
    ) -> None:
        wall = self._settings.build_wall_clock_s
        limits = Limits(wall, BUILD_MEMORY_BYTES, max(self._settings.cpus, 2.0), 512)
        orders: dict[str, object] = {"reserve_bytes": 1024 * MIB}
        with self._container(client, start, limits, writable=True, orders=orders) as name:
            with tempfile.TemporaryFile() as archive:
                write_tree(cast("BufferedIOBase", archive), layer, BOX_UID)
                archive.seek(0)
                client.put_archive(name, "/", archive)
            with self._session(client, name, limits) as session:
                result = session.exec(script)
                if result.exit_code != 0:
                    raise ImageBuildError.of_script(script[0], result.exit_code, result.output)
                client.commit(name, repository=f"{REPOSITORY}/{image}", tag=self._base_tag())

    @contextmanager
    def _container(
        self, client: APIClient, image: str, limits: Limits, *, writable: bool, orders: dict[str, object]
    ) -> Iterator[str]:
        name = f"evoscale-{uuid4().hex}"  # named by us: it can be removed even if no answer came back
        try:
            client.create_container(
                image,
                warden_argv(orders),
                name=name,
                user=f"{BOX_UID}:{BOX_UID}",
                entrypoint=[],
                working_dir="/",
                environment={"PATH": "/usr/local/bin:/usr/bin:/bin"},
                hostname="box",
                stdin_open=True,
                network_disabled=True,
                labels=labels(time.time(), limits.wall_clock_s),
                host_config=self._host_config(client, limits, writable=writable),
            )
            yield name
        finally:
            self._remove(name)

    def _host_config(self, client: APIClient, limits: Limits, *, writable: bool) -> dict[str, object]:
        owner = f"uid={BOX_UID},gid={BOX_UID}"
        repo_bytes = min(self._settings.disk_bytes, limits.memory_bytes)
        tmp_bytes = min(TMP_BYTES, limits.memory_bytes) if not writable else TMP_BYTES * 8
        ulimit = docker.types.Ulimit
        config: dict[str, object] = client.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true", f"seccomp={docker_profile()}"],
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,
            pids_limit=limits.pids,
            nano_cpus=int(limits.cpus * 1e9),
            read_only=not writable,
            tmpfs={
                "/repo": f"rw,exec,nosuid,nodev,size={repo_bytes},nr_inodes={REPO_INODES},mode=755,{owner}",
                "/tmp": f"rw,exec,nosuid,nodev,size={tmp_bytes},nr_inodes={TMP_INODES},mode=1777",  # noqa: S108
            },
            ulimits=[
                ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES),
                ulimit(name="core", soft=0, hard=0),
                ulimit(name="fsize", soft=FILE_BYTES, hard=FILE_BYTES),
            ],
            log_config=docker.types.LogConfig(type="none"),
            auto_remove=True,  # the warden ends when our end of the line does, even on SIGKILL
            ipc_mode="private",
            runtime=self._runtime,
        )
        return config

    @contextmanager
    def _session(self, client: APIClient, name: str, limits: Limits) -> Iterator[Session]:
        walls = ContainerWalls(self.isolation, client, name)
        try:
            client.start(name)
            session = Session(walls, limits)
            session.greet()
            yield session
        finally:
            walls.hang_up()

    @contextmanager
    def _client(self, timeout_s: float) -> Iterator[APIClient]:
        """A connection of one's own: a stalled one must not hold up the kill that would end it."""
        try:
            client = APIClient(version=self._version, timeout=timeout_s, **self._arguments)
        except FAILURES as error:
            raise unavailable(self.isolation, error) from error
        try:
            yield client
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise unavailable(self.isolation, error) from error
        finally:
            client.close()

    def _remove(self, name: str) -> None:
        with self._client(KILL_S) as client:
            try:
                client.remove_container(name, v=True, force=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:  # noqa: PLR2004  # its removal is under way
                    raise

    def _has(self, client: APIClient, tag: str) -> bool:
        try:
            client.inspect_image(tag)
        except docker.errors.ImageNotFound:
            return False
        return True

    def _tag(self, image: str) -> str:
        return f"{REPOSITORY}/{image}:{self._base_tag()}"

    def _base_tag(self) -> str:
        with self._client(ANSWER_S) as client:
            digest = str(client.inspect_image(self._base_image())["Id"])
        return digest.removeprefix("sha256:")[:16]

    def _base_image(self) -> str:
        """The image that everything starts from; found, pulled or made on first use."""
        if self._base is None:
            with self._client(self._settings.build_wall_clock_s) as client:
                self._base = self._find_base(client)
        return self._base

    def _find_base(self, client: APIClient) -> str:
        own, wanted = f"{REPOSITORY}/toolchain:{fingerprint()}", self._settings.base_image
        if wanted == "auto":
            wanted = registry_python()
            if self._has(client, wanted):
                return wanted
            if not self._has(client, own) and self._registry_answers(wanted):
                client.pull(wanted)
                return wanted
        elif wanted != "toolchain":
            if not self._has(client, wanted):
                client.pull(wanted)
            return wanted
        with locked(self._settings.cache_dir, "docker-toolchain"):
            if not self._has(client, own):
                self._import_toolchain(client, own)
        return own

    def _registry_answers(self, wanted: str) -> bool:
        try:
            with self._client(REGISTRY_S) as client:
                client.inspect_distribution(wanted)
        except SandboxUnavailableError:
            return False
        return True

    def _import_toolchain(self, client: APIClient, tag: str) -> None:
        repository, _, version = tag.partition(":")
        with tempfile.TemporaryFile() as archive:
            write_tar(cast("BufferedIOBase", archive))
            archive.seek(0)
            # As pieces, not as a file: the SDK announces chunks and would then send none.
            pieces = iter(lambda: archive.read(MIB), b"")
            client.import_image_from_stream(pieces, repository=repository, tag=version)


def registry_python() -> str:
    """The registry's image with this machine's Python version, so that wheels fit both."""
    return f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"
