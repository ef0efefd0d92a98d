"""What boxes can leave behind on a machine is counted."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import docker
import pytest
from docker.api.client import APIClient
from docker.errors import DockerException

from bot.cli.box_traces import left
from tests.sandbox.conftest import opened, settings

OURS = f"evoscale-{uuid4().hex}"


@pytest.fixture
def engine() -> Iterator[APIClient]:
    try:
        with docker.APIClient() as client:
            client.ping()
            yield client
    except DockerException as error:
        pytest.skip(str(error))


def test_files_below_the_cache_and_the_temporary_folder_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sandbox, chosen = opened("bubblewrap"), settings(cache_dir=tmp_path / "cache")
    before = left(sandbox, chosen)
    (tmp_path / OURS).touch()
    (tmp_path / "cache/directories/images-0/.unfinished-1").mkdir(parents=True)
    after = left(sandbox, chosen)
    assert after["temporary files"] - before["temporary files"] == 1
    assert after["cached files"] - before["cached files"] == 3


def test_control_groups_of_every_back_end_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = opened("bubblewrap")
    monkeypatch.setattr("sandbox.cgroups.ROOT", tmp_path)  # nobody else's come and go there
    assert left(sandbox, settings())["control groups"] == 0
    (tmp_path / "memory" / OURS).mkdir(parents=True)
    (tmp_path / "evoscale-1-0").mkdir()
    assert left(sandbox, settings())["control groups"] == 2


@pytest.mark.docker
def test_a_volume_without_a_name_of_ours_is_counted(engine: APIClient) -> None:
    sandbox = opened("docker")
    before = left(sandbox, settings())["volumes"]
    name = engine.create_volume()["Name"]
    try:
        assert left(sandbox, settings())["volumes"] == before + 1
    finally:
        with suppress(DockerException):
            engine.remove_volume(name)
