"""Images of other Pythons at a Docker engine: whose they are, and when they go."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import docker.errors
import pytest
from docker.api.client import APIClient

from sandbox.contract import StoredImage
from sandbox.docker import DockerSandbox
from sandbox.docker.engine import Engine
from sandbox.locks import IN_USE
from tests.sandbox.conftest import opened, settings

SOURCE = "evoscale-test/pulled"
VERSION = "3.8"
LONG_AGO = 1000.0


@pytest.fixture
def client() -> Iterator[APIClient]:
    """An engine with an image of a Python, and without its names at the end."""
    opened("docker")
    found = APIClient()
    found.import_image_from_data(b"\0" * 1024, repository=SOURCE, tag=VERSION)
    yield found
    for image in found.images():
        for tag in image["RepoTags"] or ():
            if tag.startswith((f"{SOURCE}:", "evoscale/pulled-test")) or _is_test_python(
                found, tag
            ):
                with suppress(docker.errors.NotFound):
                    found.remove_image(tag)
    found.close()


def _is_test_python(client: APIClient, tag: str) -> bool:
    return tag.startswith("evoscale/python-") and client.inspect_image(tag)["Size"] < 1_000_000


def sandbox_of(cache: Path) -> DockerSandbox:
    return DockerSandbox(settings(python_image=f"{SOURCE}:{{version}}", cache_dir=cache))


def listed(sandbox: DockerSandbox, name: str) -> list[StoredImage]:
    return [found for found in sandbox.images() if f"/{name}:" in found.name]


@pytest.mark.docker
def test_a_pulled_python_is_ours_to_remove_only_when_its_own_name_is_gone(
    client: APIClient, tmp_path: Path
) -> None:
    sandbox = sandbox_of(tmp_path)
    name = sandbox.python(VERSION) or ""
    assert sandbox.has_image(name)
    assert listed(sandbox, name) == [], "removing our name would free nothing"
    (lock,) = (tmp_path / "locks").glob(f"{IN_USE}*{name}*")
    os.utime(lock, (LONG_AGO, LONG_AGO))
    assert sandbox.python(VERSION) == name
    client.remove_image(f"{SOURCE}:{VERSION}")
    (found,) = listed(sandbox, name)
    assert found.used_at == lock.stat().st_mtime > LONG_AGO, "asking for it is a use"
    assert sandbox.discard(found.name)
    assert not sandbox.has_image(name)


@pytest.mark.docker
def test_what_is_built_on_is_in_use(client: APIClient, tmp_path: Path) -> None:
    discarded: list[bool] = []

    class Looking(DockerSandbox):
        def _build(self, image: str, start: str, layer: Path, script: Sequence[str]) -> None:
            del image, layer, script
            discarded.append(self.discard(start))

    sandbox = Looking(settings(python_image=f"{SOURCE}:{{version}}", cache_dir=tmp_path))
    name = sandbox.python(VERSION)
    client.remove_image(f"{SOURCE}:{VERSION}")
    sandbox.build("pulled-test", name, tmp_path, ["true"])
    assert discarded == [False]


@pytest.mark.docker
def test_a_name_that_moves_meanwhile_is_not_followed(
    client: APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Engine.image_id

    def moving(engine: Engine, tag: str) -> str | None:
        found = real(engine, tag)
        if tag.startswith(SOURCE):
            client.import_image_from_data(b"\0" * 2048, repository=SOURCE, tag=VERSION)
        return found

    sandbox = sandbox_of(tmp_path)
    before = client.inspect_image(f"{SOURCE}:{VERSION}")["Id"]
    client.tag(before, "evoscale/pulled-test", "kept")
    monkeypatch.setattr(Engine, "image_id", moving)
    name = sandbox.python(VERSION) or ""
    monkeypatch.undo()
    assert client.inspect_image(f"{SOURCE}:{VERSION}")["Id"] != before
    assert name == f"python-{VERSION}-{before.removeprefix('sha256:')[:16]}"
    assert real(sandbox._engine, sandbox._tag(name)) == before
