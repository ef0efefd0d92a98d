from pathlib import Path
from typing import Literal

import pytest

from sandbox.backends import BACKENDS, open_sandbox
from sandbox.contract import Sandbox
from sandbox.errors import SandboxUnavailableError
from tests.sandbox.conftest import LIMITS, settings


def test_without_any_sandbox_the_program_refuses_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailableError) as caught:
        open_sandbox("auto", settings())
    for word in ("docker", "bubblewrap", "apt-get install", "never runs without"):
        assert word in str(caught.value)


@pytest.mark.parametrize("kind", ["runc", "bubblewrap"])
def test_auto_falls_back_to_what_works_where_no_engine_answers(
    kind: Literal["runc", "bubblewrap"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    if kind == "bubblewrap":  # as for anybody but root
        monkeypatch.setitem(BACKENDS, "runc", BACKENDS["docker"])  # type: ignore[misc]
    try:
        expected = open_sandbox(kind, settings()).isolation
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    assert open_sandbox("auto", settings()).isolation == expected == kind


@pytest.mark.docker
def test_auto_prefers_an_engine() -> None:
    try:
        found = open_sandbox("docker", settings())
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    assert open_sandbox("auto", settings()).isolation == found.isolation == "docker/runc"


def test_localhost_has_a_name_and_the_machines_name_servers_are_not_shown(
    sandbox: Sandbox, bare: str
) -> None:
    program = (
        "import pathlib, socket\n"
        "place = pathlib.Path('/etc/resolv.conf')\n"
        "print(socket.gethostbyname('localhost'), place.read_text() if place.exists() else '')"
    )
    with sandbox.open(bare, LIMITS) as box:
        said = box.exec(["python3", "-c", program]).output.decode().split()
    assert said[0] == "127.0.0.1"
    assert set(said[1:]) <= {"nameserver", "127.0.0.1", "search", "."}
