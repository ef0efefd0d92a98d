"""The production sandbox: a hardened container a box, no network. Only here is docker imported."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BufferedIOBase
from pathlib import Path
from typing import cast
from uuid import uuid4

import docker.errors
import docker.types

from sandbox.archives import write_tree
from sandbox.contract import Box, Limits, StoredImage
from sandbox.docker.base import PythonImages, base_image
from sandbox.docker.engine import ANSWER_S, Engine
from sandbox.docker.names import Names, is_missing
from sandbox.docker.walls import ContainerWalls
from sandbox.errors import SandboxUnavailableError
from sandbox.locks import in_use, locked, unless_in_use, used_at
from sandbox.owners import LABEL, labels, stale
from sandbox.seccomp import docker_profile
from sandbox.session import (
    BOX_UID,
    BUILD_MEMORY_BYTES,
    BUILD_PIDS,
    BUILD_RESERVE_BYTES,
    FILE_BYTES,
    GVISOR_PIDS,
    OPEN_FILES,
    Session,
    must_have_built,
    spaces,
    warden_argv,
)
from sandbox.settings import SandboxSettings


class DockerSandbox:
    """Boxes as containers of a Docker engine; see `sandbox.contract.Sandbox`."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Find the engine.

        Raises:
            SandboxUnavailableError: none answers, or it cannot hold the limits a box needs.
        """
        self._settings = settings
        self._engine = Engine(settings.runtime)
        self._pythons = PythonImages(self._engine, settings.python_image)
        self._names = Names(self._engine, settings.cache_dir)

    @property
    def isolation(self) -> str:
        """`docker/runc` or `docker/runsc`."""
        return self._engine.isolation

    @property
    def engine(self) -> str:
        """The engine's id, version and kernel; see `Sandbox.engine`."""
        return self._engine.identity

    @property
    def watched(self) -> Mapping[str, str]:
        """Nothing; see `Sandbox.watched`."""
        return {}

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        """Open a fresh container of an image; see `Sandbox.open`.

        Raises:
            SandboxUnavailableError: no box can be opened.
        """
        config = self._host_config(limits, writable=False)
        with (
            in_use(self._settings.cache_dir, self._tag(image)),
            self._container(self._tag(image), limits, config, {}) as name,
            self._session(name, limits) as session,
        ):
            yield session

    def has_image(self, image: str) -> bool:
        """Whether the engine has an image of this name; see `Sandbox.has_image`.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        return self._engine.image_id(self._tag(image)) is not None

    def python(self, version: str) -> str | None:
        """Have the operator's image for a version under a name of ours; see `Sandbox.python`.

        The name holds the image's id, so an image of another content makes other environments. It
        is used from now on, however old the image is.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        found = self._pythons.find(version)
        if found is None:
            return None
        name = f"python-{version}-{found.removeprefix('sha256:')[:16]}"
        ours = self._tag(name)
        repository, _, tag = ours.partition(":")
        with in_use(self._settings.cache_dir, ours), self._engine.asked() as client:
            client.tag(found, repository, tag)
        return name

    def build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        """Make an image out of another, a directory and a command; see `Sandbox.build`.

        Raises:
            ImageBuildError: the script failed.
            SandboxUnavailableError: the engine does not answer.
        """
        with locked(self._settings.cache_dir, f"docker-{image}"):
            if not self.has_image(image):
                start = self._base if base is None else self._tag(base)
                with in_use(self._settings.cache_dir, start):
                    self._build(image, start, layer, script)

    def images(self) -> Sequence[StoredImage]:
        """Our images but the one that boxes of today start from; see `Sandbox.images`.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        cache = self._settings.cache_dir
        return [
            StoredImage(found.name, found.size_bytes, used_at(cache, found.name) or found.used_at)
            for found in self._engine.images()
            if found.name != self._base
        ]

    def discard(self, name: str) -> bool:
        """Remove an image that nothing needs; see `Sandbox.discard`.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        with unless_in_use(self._settings.cache_dir, name) as free:
            return free and self._engine.discard(name)

    def reap(self) -> int:
        """Remove containers whose owner is gone or whose time is over; says how many.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        with self._engine.asked() as client:
            found = client.containers(all=True, filters={"label": f"{LABEL}=1"})
        old = [container["Id"] for container in found if stale(container["Labels"], time.time())]
        for container_id in old:
            self._engine.remove(container_id)
        return len(old)

    def _build(self, image: str, start: str, layer: Path, script: Sequence[str]) -> None:
        wall = self._settings.build_wall_clock_s
        limits = Limits(wall, BUILD_MEMORY_BYTES, self._settings.cpus, BUILD_PIDS)
        config = self._host_config(limits, writable=True)
        orders = {"reserve_bytes": BUILD_RESERVE_BYTES}
        long_s = int(wall) + ANSWER_S
        with self._container(start, limits, config, orders) as name:
            with tempfile.TemporaryFile() as archive:
                write_tree(cast("BufferedIOBase", archive), layer, BOX_UID)
                archive.seek(0)
                with self._engine.asked(long_s) as client:
                    client.put_archive(name, "/", archive)
            with self._session(name, limits) as session:
                result = session.exec(script)
                must_have_built(self.isolation, script, result)
                repository, _, tag = self._tag(image).partition(":")
                with self._engine.asked(long_s) as client:
                    client.commit(name, repository=repository, tag=tag)

    @contextmanager
    def _container(
        self,
        image: str,
        limits: Limits,
        config: dict[str, object],
        orders: Mapping[str, object],
    ) -> Iterator[str]:
        """A created container, not started; removed at the end."""
        name = f"evoscale-{uuid4().hex}"  # ours, so it can be removed even if no answer came back
        try:
            try:
                self._create(name, image, limits, config, orders)
            except SandboxUnavailableError as error:
                if not is_missing(error):
                    raise
                self._names.lay(image)
                self._create(name, image, limits, config, orders)
            yield name
        finally:
            self._engine.remove(name)

    def _create(
        self,
        name: str,
        image: str,
        limits: Limits,
        config: dict[str, object],
        orders: Mapping[str, object],
    ) -> None:
        config["Mounts"] = [self._names.mount(image)]
        with self._engine.asked() as client:
            client.create_container(
                image,
                warden_argv(orders),
                name=name,
                user=f"{BOX_UID}:{BOX_UID}",
                entrypoint=[],
                working_dir="/",
                environment={"PATH": "/usr/local/bin:/usr/bin:/bin"},
                hostname="box",
                network_disabled=True,  # loopback alone is there, and nothing of the engine's
                stdin_open=True,
                labels=labels(time.time(), limits.wall_clock_s),
                host_config=config,
            )

    def _host_config(self, limits: Limits, *, writable: bool) -> dict[str, object]:
        """All of the hardening; `writable` is for builds, whose result is the written layer."""
        ulimit = docker.types.Ulimit
        gvisor = self._settings.runtime == "runsc"
        profile = docker_profile(gvisor=gvisor)
        with self._engine.asked() as client:
            config: dict[str, object] = client.create_host_config(
                network_mode="none",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges:true", f"seccomp={profile}"],
                mem_limit=limits.memory_bytes,
                memswap_limit=limits.memory_bytes,
                pids_limit=limits.pids + (GVISOR_PIDS if gvisor else 0),
                nano_cpus=int(limits.cpus * 1e9),
                read_only=not writable,
                tmpfs=self._tmpfs(limits),
                ulimits=[
                    ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES),
                    ulimit(name="core", soft=0, hard=0),
                    ulimit(name="fsize", soft=FILE_BYTES, hard=FILE_BYTES),
                ],
                log_config=docker.types.LogConfig(type="none"),
                auto_remove=True,  # the warden ends with our end of the line, even on SIGKILL
                ipc_mode="private",
                runtime=self._settings.runtime,
            )
        return config

    def _tmpfs(self, limits: Limits) -> dict[str, str]:
        size = spaces(limits, self._settings.disk_bytes)
        owned = f"rw,exec,nosuid,nodev,uid={BOX_UID},gid={BOX_UID}"
        return {
            "/repo": f"{owned},size={size.repo},nr_inodes={size.repo_files},mode=755",
            "/tmp": f"{owned},size={size.tmp},nr_inodes={size.tmp_files},mode=1777",  # noqa: S108  # the box's own
            # The engine's own has a size, but no limit on files.
            "/dev/shm": f"{owned},size={size.shm},nr_inodes={size.tmp_files},mode=1777",  # noqa: S108  # the box's own
        }

    @contextmanager
    def _session(self, name: str, limits: Limits) -> Iterator[Session]:
        walls = ContainerWalls(self._engine, name)
        try:
            with self._engine.asked() as client:
                client.start(name)
            session = Session(walls, limits)
            session.greet()
            yield session
        finally:
            walls.hang_up()

    @cached_property
    def _base(self) -> str:
        """The image that everything starts from; found, pulled or made on first use."""
        settings = self._settings
        return base_image(self._engine, settings.base_image, settings.cache_dir)

    @cached_property
    def _base_digest(self) -> str:
        return str(self._engine.image_id(self._base)).removeprefix("sha256:")[:16]

    def _tag(self, image: str) -> str:
        """An image's name in the engine: another base makes another image."""
        return f"evoscale/{image}:{self._base_digest}"
