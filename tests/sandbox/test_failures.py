"""Machines that fail: no verdict comes of it, nothing hangs, and it is said what to do."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker.utils
import pytest

from sandbox import images
from sandbox.backends import BACKENDS
from sandbox.contract import ExecResult, Limits, Sandbox, TestCommand, TestSpec
from sandbox.docker import DockerSandbox
from sandbox.docker.engine import Engine
from sandbox.errors import ImageBuildError, SandboxUnavailableError
from sandbox.runner import run_tests
from sandbox.session import RESERVE_REACHED, must_have_built
from sandbox.warden import OVER
from tests.sandbox.conftest import body, opened, settings
from tests.small_disk import SmallDisk

ENGINE = "/var/run/docker.sock"
CHUNK = 65536


class Between:
    """A socket of ours in front of the engine's, which can go away, stall or grow old."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.old_version = b""
        self.flowing = threading.Event()
        self.flowing.set()
        self._open: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self) -> None:
        """Everything that is connected breaks, and nobody listens any more."""
        self.path.unlink(missing_ok=True)
        self.flowing.set()
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(ENGINE)
                self._open += [near, far]
                threading.Thread(target=self._copy, args=(near, far), daemon=True).start()
                threading.Thread(target=self._copy, args=(far, near), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self.flowing.wait()
                if self.old_version:
                    data = data.replace(b'"ApiVersion":"1.41"', self.old_version)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def image() -> str:
    return images.bare(opened("docker"))


@pytest.fixture
def between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    opened("docker")
    if not Path(ENGINE).is_socket():
        pytest.skip(f"the engine does not listen at {ENGINE}, so nothing can be put before it")
    made = Between(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.path}")
    yield made
    made.die()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr("sandbox.session.GRACE_S", 1.0)
    monkeypatch.setattr("sandbox.docker.engine.KILL_S", 1)
    monkeypatch.setattr("sandbox.docker.walls.KILL_S", 1)


@pytest.mark.docker
def test_an_engine_that_dies_under_a_command_gives_no_verdict(between: Between, image: str) -> None:
    sandbox = DockerSandbox(settings())
    with pytest.raises(SandboxUnavailableError), sandbox.open(image, Limits()) as box:  # noqa: PT012  # the box has to open first
        assert box.exec(["true"]).exit_code == 0
        threading.Timer(0.2, between.die).start()
        box.exec(["sleep", "20"])
        pytest.fail("a command of a lost box has a result")


@pytest.mark.docker
def test_an_engine_that_stalls_is_not_a_command_out_of_time(
    between: Between, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    sandbox = DockerSandbox(settings())
    with pytest.raises(SandboxUnavailableError), sandbox.open(image, Limits()) as box:  # noqa: PT012  # the box has to open first
        assert box.exec(["true"]).exit_code == 0
        between.flowing.clear()
        box.exec(["true"], wall_clock_s=1.0)
        pytest.fail("a command of a stalled engine has a result")


@pytest.mark.docker
def test_an_engine_that_dies_between_two_candidates_is_unavailable(
    between: Between, image: str
) -> None:
    sandbox = DockerSandbox(settings())
    between.die()
    for asked in (lambda: sandbox.has_image(image), sandbox.reap):
        with pytest.raises(SandboxUnavailableError, match="no engine listens"):
            asked()
    with pytest.raises(SandboxUnavailableError), sandbox.open(image, Limits()):
        pass


@pytest.mark.docker
def test_an_engine_that_dies_is_never_a_report(between: Between, image: str) -> None:
    sandbox = DockerSandbox(settings())
    spec = TestSpec(image, TestCommand("pytest", ("pytest", "{tests}"), "it is there"))
    between.die()
    with pytest.raises(SandboxUnavailableError):
        run_tests(sandbox, spec, body("return a + b"), Limits())


@pytest.mark.docker
def test_an_old_engine_is_told_by_its_version(between: Between) -> None:
    if not docker.utils.version_gte(Engine("runc")._version, "1.41"):
        pytest.skip("the engine here is old itself")
    between.old_version = b'"ApiVersion":"1.30"'
    with pytest.raises(SandboxUnavailableError, match=r"too old.*1\.30.*upgrade"):
        DockerSandbox(settings())


@pytest.mark.docker
def test_an_image_that_vanished_is_built_again_by_the_next_attempt() -> None:
    sandbox = opened("docker")
    with (
        pytest.raises(SandboxUnavailableError, match="next attempt builds it again") as caught,
        sandbox.open("env-gone", Limits()),
    ):
        pass
    assert caught.value.retryable


@pytest.fixture(params=["runc", "bubblewrap"])
def on_a_small_disk(
    request: pytest.FixtureRequest, small_disk: Callable[[int], SmallDisk]
) -> tuple[Sandbox, SmallDisk]:
    opened(request.param)
    disk = small_disk(24)
    disk.path.chmod(0o755)
    return BACKENDS[request.param](settings(cache_dir=disk.path / "cache")), disk


def test_a_full_disk_stops_the_making_of_an_image_with_advice(
    on_a_small_disk: tuple[Sandbox, SmallDisk],
) -> None:
    sandbox, disk = on_a_small_disk
    disk.fill()
    with pytest.raises(SandboxUnavailableError, match=r"No space left.*EVOSCALE_SANDBOX_CACHE_DIR"):
        images.bare(sandbox)
    disk.make_room()
    assert not list((disk.path / "cache").rglob(".unfinished-*"))


def test_a_disk_that_fills_up_while_the_toolchain_is_laid_is_the_machines(
    on_a_small_disk: tuple[Sandbox, SmallDisk],
) -> None:
    sandbox, disk = on_a_small_disk
    with pytest.raises(SandboxUnavailableError, match="No space left"):
        images.bare(sandbox)
    left = [path for path in disk.path.rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []


def test_a_build_that_reached_the_disks_reserve_is_not_the_repositorys_fault() -> None:
    said = b"\n[the box stopped this command: less disk space is left than is kept in reserve]\n"
    with pytest.raises(SandboxUnavailableError, match="evoscale sandbox prune"):
        must_have_built("docker/runc", ["x"], ExecResult(137, said, truncated=False, duration_s=1))
    with pytest.raises(ImageBuildError, match="exit code 1"):
        must_have_built("docker/runc", ["x"], ExecResult(1, b"no", truncated=False, duration_s=1))
    must_have_built("docker/runc", ["x"], ExecResult(0, b"", truncated=False, duration_s=1))


def test_the_words_for_the_reserve_are_the_wardens() -> None:
    assert OVER["disk"].encode() == RESERVE_REACHED
