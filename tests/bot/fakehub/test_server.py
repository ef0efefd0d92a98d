"""The hub starts and stops, in a thread and as a process, and its admin surface is guarded."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from bot.fakehub.admin_documents import Credentials
from bot.fakehub.driver import DriverError, FakehubDriver, files_of
from bot.fakehub.git_repository import EXECUTABLE, SYMLINK, File, GitCommandError, GitRepository
from bot.fakehub.server import FakehubServer
from tests.bot.fakehub.conftest import Place

ROOT = Path(__file__).parents[3]


def test_two_hubs_live_side_by_side_and_end(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with FakehubServer(tmp_path / "one") as one, FakehubServer(tmp_path / "two") as two:
        assert one.base_url != two.base_url
        one.driver.create_user("ann")
        two.driver.create_user("ann")
    with pytest.raises(httpx.ConnectError):
        httpx.get(one.base_url, trust_env=False)


@pytest.mark.parametrize("host", ["::", "192.0.2.1"])
def test_only_loopback_is_listened_on(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        FakehubServer(tmp_path, host)


def test_a_process_writes_credentials_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    command = [sys.executable, "-m", "bot.fakehub", "--directory", str(tmp_path / "hub")]
    process = subprocess.Popen(
        [*command, "--credentials", str(path), "--record"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.defpath},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        credentials = Credentials.model_validate_json(path.read_text())
        assert credentials.base_url in line
        driver = FakehubDriver(credentials.base_url, credentials.admin_token)
        driver.create_user("ann")
        driver.create_repository("ann", "calc", {"a": "a"})
        assert driver.open_issue("ann/calc", "x", as_user="ann") == 1
        assert [one.status for one in driver.exchanges()] == [201]
        driver.close()
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "fakehub stops\n")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Bearer ü"])
def test_the_admin_surface_needs_its_token(place: Place, header: str) -> None:
    path = "/_fakehub/credentials"
    answer = place.app.client.get(path, headers={"Authorization": header.encode()})
    assert answer.status_code == 401
    assert "private_key" not in answer.text


def test_recorded_exchanges_hold_no_credentials(tmp_path: Path) -> None:
    with FakehubServer(tmp_path, record=True) as hub:
        account = hub.driver.create_user("ann")
        hub.driver.create_repository("ann", "calc", {"a": "a"})
        hub.driver.open_issue("ann/calc", f"my token is {account.token}", as_user="ann")
        exchange = hub.driver.exchanges()[-1]
    assert exchange.method == "POST"
    assert exchange.url.endswith("/repos/ann/calc/issues")
    assert "authorization" not in exchange.request_headers
    assert b"my token is REDACTED" in exchange.request_body
    assert account.token not in exchange.model_dump_json()


def test_a_login_is_taken_once_and_never_that_of_a_route(place: Place) -> None:
    for login in (place.owner, place.owner.upper(), "repos"):
        with pytest.raises(DriverError) as refusal:
            place.driver.create_user(login)
        assert refusal.value.status == 422


def test_a_repository_is_made_once(place: Place) -> None:
    with pytest.raises(DriverError) as refusal:
        place.driver.create_repository(place.owner, "calc", {})
    assert refusal.value.status == 422


@pytest.mark.parametrize(
    "act",
    [
        lambda driver: driver.rename("nobody/nothing", "x"),
        lambda driver: driver.install("nobody", []),
        lambda driver: driver.suspend(1),
    ],
)
def test_what_is_not_there_cannot_be_administered(place: Place, act: object) -> None:
    assert callable(act)
    with pytest.raises(DriverError) as refusal:
        act(place.driver)
    assert refusal.value.status == 404


def test_a_directory_becomes_a_repository(place: Place, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert files_of(tmp_path) == {
        "link": File(b"run", SYMLINK),
        "run": File(b"#!/bin/sh\n", EXECUTABLE),
    }
    made = place.driver.create_repository(place.owner, "scripts", tmp_path)
    assert place.driver.read_file(made.full_name, "run") == b"#!/bin/sh\n"
    assert place.driver.read_file(made.full_name, "link") == b"run"


def test_git_says_why_it_refuses(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "x.git")
    repository.create("main")
    with pytest.raises(GitCommandError, match=r"git log failed in x\.git"):
        repository.commit("main")
