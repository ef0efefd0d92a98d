import inspect
import io
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker.errors
import docker.types
import pytest
from docker.api.client import APIClient

from sandbox import images
from sandbox.contract import Limits
from sandbox.docker import DockerSandbox
from sandbox.docker.base import base_image
from sandbox.docker.engine import FAILURES, Engine, unavailable
from sandbox.docker.names import Names
from sandbox.errors import SandboxUnavailableError
from sandbox.owners import labels
from tests.sandbox.conftest import opened, settings

EXCEPTIONS = [
    found
    for _, found in inspect.getmembers(docker.errors, inspect.isclass)
    if issubclass(found, Exception) and found.__module__ == "docker.errors"
]
HOLD = """
import sys
from pathlib import Path
from sandbox.docker import DockerSandbox
from sandbox.contract import Limits
from sandbox.settings import SandboxSettings
sandbox = DockerSandbox(SandboxSettings(cache_dir=Path(sys.argv[1]), base_image="toolchain"))
with sandbox.open(sys.argv[2], Limits()) as box:
    box.exec(["true"])
    print("open", flush=True)
    box.exec(["sleep", "100"])
"""


@pytest.fixture(scope="module")
def engine_sandbox() -> DockerSandbox:
    sandbox = opened("docker")
    assert isinstance(sandbox, DockerSandbox)
    return sandbox


@pytest.fixture(scope="module")
def image(engine_sandbox: DockerSandbox) -> str:
    return images.bare(engine_sandbox)


@pytest.fixture
def client(engine_sandbox: DockerSandbox) -> Iterator[APIClient]:
    found = APIClient()
    yield found
    found.close()


def ours(client: APIClient, *owner: str) -> list[str]:
    found = client.containers(all=True, filters={"label": ["evoscale=1", *owner]})
    return [str(container["Id"]) for container in found]


@pytest.mark.parametrize("error", EXCEPTIONS)
def test_every_exception_of_the_sdk_is_translated(error: type[Exception]) -> None:
    assert issubclass(error, FAILURES)


def test_a_translated_error_says_what_to_do_about_permissions() -> None:
    error = unavailable("docker/runc", PermissionError(13, "Permission denied"))
    assert "group docker" in error.reason
    assert unavailable("docker/runc", ValueError()).reason == "ValueError"


def test_without_an_engine_it_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(SandboxUnavailableError):
        DockerSandbox(settings())


@pytest.mark.docker
@pytest.mark.usefixtures("engine_sandbox")
def test_a_runtime_the_engine_does_not_know_is_named() -> None:
    with pytest.raises(SandboxUnavailableError, match="no runtime 'no-such'"):
        Engine("no-such")


@pytest.mark.docker
@pytest.mark.usefixtures("engine_sandbox")
def test_an_image_that_cannot_be_had_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailableError):
        base_image(Engine("runc"), "localhost:1/no-such-image:1", tmp_path)


@pytest.mark.docker
def test_an_image_that_is_there_can_be_the_base(
    engine_sandbox: DockerSandbox, client: APIClient, tmp_path: Path
) -> None:
    own = base_image(Engine("runc"), "toolchain", settings().cache_dir)
    client.tag(own, "evoscale/named-base", "test")
    sandbox = DockerSandbox(settings(base_image="evoscale/named-base:test"))
    assert sandbox.has_image(images.bare(engine_sandbox))


@pytest.mark.docker
def test_no_container_is_left_whatever_happens_in_the_box(
    engine_sandbox: DockerSandbox, image: str, client: APIClient
) -> None:
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), engine_sandbox.open(image, Limits()):  # noqa: PT012  # the box has to open first
            (name,) = ours(client, f"evoscale.owner={labels(0, 0)['evoscale.owner']}")
            raise error
        with pytest.raises(docker.errors.NotFound):
            client.inspect_container(name)


@pytest.mark.docker
def test_no_container_outlives_a_process_that_was_killed(
    engine_sandbox: DockerSandbox, image: str, client: APIClient
) -> None:
    argv = [sys.executable, "-c", HOLD, str(settings().cache_dir), image]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        (name,) = [i for i in ours(client) if f"/{process.pid}/" in owner_of(client, i)]
        process.send_signal(signal.SIGKILL)
    for _ in range(600):
        try:
            client.inspect_container(name)
        except docker.errors.NotFound:
            break
        time.sleep(0.05)
    else:
        engine_sandbox.reap()
        pytest.fail("the container is still there")


def owner_of(client: APIClient, container_id: str) -> str:
    return str(client.inspect_container(container_id)["Config"]["Labels"]["evoscale.owner"])


@pytest.mark.docker
def test_reap_removes_what_is_past_its_deadline_and_nothing_else(
    engine_sandbox: DockerSandbox, image: str, client: APIClient
) -> None:
    with engine_sandbox.open(image, Limits()) as box:
        old = labels(0.0, 1.0)
        made = client.create_container("evoscale/toolchain:" + tag(client), ["true"], labels=old)
        assert engine_sandbox.reap() >= 1
        with pytest.raises(docker.errors.NotFound):
            client.inspect_container(made["Id"])
        assert box.exec(["echo", "alive"]).output == b"alive\n"


def tag(client: APIClient) -> str:
    (found, *_) = [t for i in client.images("evoscale/toolchain") for t in i["RepoTags"]]
    return str(found).rpartition(":")[2]


@pytest.mark.docker
def test_a_container_that_is_removed_under_a_command_is_gone(
    engine_sandbox: DockerSandbox, image: str, client: APIClient
) -> None:
    with engine_sandbox.open(image, Limits()) as box:
        (name,) = ours(client, f"evoscale.owner={labels(0, 0)['evoscale.owner']}")
        client.remove_container(name, force=True)
        assert box.exec(["true"]).exit_code == 137
        with pytest.raises(SandboxUnavailableError):
            box.exec(["true"])


@pytest.mark.docker
def test_a_container_is_as_hard_as_promised(
    engine_sandbox: DockerSandbox, image: str, client: APIClient
) -> None:
    with engine_sandbox.open(image, Limits(memory_bytes=2**28, pids=33, cpus=0.5)):
        (name,) = ours(client, f"evoscale.owner={labels(0, 0)['evoscale.owner']}")
        found = client.inspect_container(name)
    host = found["HostConfig"]
    assert found["Config"]["NetworkDisabled"]
    assert [(each["Destination"], each["RW"]) for each in found["Mounts"]] == [
        ("/etc/hosts", False)
    ]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"] == host["MemorySwap"] == 2**28
    assert host["PidsLimit"] == 33
    assert host["NanoCpus"] == 500_000_000
    assert host["LogConfig"]["Type"] == "none"
    assert not host["Binds"]
    assert not host["Privileged"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert any(
        "io_uring" not in option and option.startswith("seccomp={")
        for option in host["SecurityOpt"]
    )


@pytest.mark.docker
def test_the_file_of_names_is_laid_again_where_an_operator_removed_it(
    engine_sandbox: DockerSandbox,
    image: str,
    client: APIClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    volume = f"evoscale-names-test-{uuid4().hex}"
    monkeypatch.setattr("sandbox.docker.names.VOLUME", volume)
    client.create_volume(volume)  # by somebody who was killed before the file was in it
    sandbox = DockerSandbox(engine_sandbox._settings)
    try:
        assert localhost(sandbox, image) == b"127.0.0.1 localhost\n"
        client.remove_volume(volume)
        assert localhost(sandbox, image) == b"127.0.0.1 localhost\n"
    finally:
        client.remove_volume(volume)


def packed(name: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return target.getvalue()


@pytest.mark.docker
def test_nothing_of_an_image_goes_into_the_volume_of_the_file_of_names(
    client: APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, tag = f"evoscale-names-test-{uuid4().hex}", "evoscale-test/names:1"
    monkeypatch.setattr("sandbox.docker.names.VOLUME", volume)
    client.import_image_from_data(packed("names/secret.py"), repository=tag[:-2], tag="1")
    mounts = [docker.types.Mount("/seen", volume, no_copy=True)]
    config = client.create_host_config(mounts=mounts, network_mode="none")
    try:
        Names(Engine("runc"), tmp_path).mount(tag)
        looking = client.create_container(tag, ["true"], host_config=config)["Id"]
        try:
            stream = b"".join(client.get_archive(looking, "/seen")[0])
        finally:
            client.remove_container(looking)
    finally:
        client.remove_volume(volume)
        client.remove_image(tag)
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getnames() == ["seen", "seen/hosts"]


def localhost(sandbox: DockerSandbox, image: str) -> bytes:
    with sandbox.open(image, Limits()) as box:
        return box.exec(["head", "-n1", "/etc/hosts"]).output
