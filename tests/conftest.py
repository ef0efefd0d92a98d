"""Guards for every test: loopback only, a clean environment, no real sleeping.

They act on this process alone: a pip, npm or docker that a marked test starts is not hindered.
"""

import ipaddress
import os
import socket
import threading
import time

import pytest

from tests.services import database_url, postgresql, redis_url
from tests.small_disk import small_disk
from tests.toolchains import missing_toolchains

__all__ = ["database_url", "postgresql", "redis_url", "small_disk"]

MAX_SLEEP_S = 0.25
OPEN_MARKERS = ("docker", "gpu", "network", "slow")
OURS = ("EVOSCALE_", "GITHUB_", "GH_", "GIT_")


class BlockedError(Exception):
    """A test did what no test may do; mark it, or hand in a double."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--payloads", default="", help="a folder of captured webhook payloads")
    parser.addoption(
        "--every-back-end",
        action="store_true",
        help="all sandbox tests on gVisor too, and all hostile ones as a plain user, slowly",
    )
    parser.addoption(
        "--every-toolchain", action="store_true", help="refuse to begin where a language is missing"
    )
    parser.addoption("--vllm-python", default="", help="an interpreter that has vLLM installed")


def pytest_configure(config: pytest.Config) -> None:
    """Without this a machine without, say, Rust skips its tests and says so to nobody."""
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist: the first process has looked
    asked = config.getoption("--every-toolchain") and not is_worker
    if asked and (lacking := missing_toolchains()):
        raise pytest.UsageError("--every-toolchain: " + "; ".join(lacking))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine and nothing else."""
    connect, connect_ex, getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def guarded_connect(self: socket.socket, address: object) -> None:
        _check(self.family, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        _check(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: object, *rest: object, **named: object) -> object:
        _check_host(host)
        return getaddrinfo(host, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the settings and credentials of whoever runs the tests."""
    for name in [each for each in os.environ if each.startswith(OURS)]:  # noqa: TID251  # guards see it all
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_real_sleeping(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let a test wait for something that happens, but not just wait."""
    sleep, main = time.sleep, threading.main_thread()
    is_open = any(request.node.get_closest_marker(name) for name in OPEN_MARKERS)

    def guarded(seconds: float) -> None:
        if seconds > MAX_SLEEP_S and not is_open and threading.current_thread() is main:
            raise BlockedError(f"a test slept {seconds} s; hand in a clock or a sleep function")
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", guarded)


def _check(family: int, address: object) -> None:
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        _check_host(address[0])


def _check_host(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return
    try:
        local = ipaddress.ip_address(str(name)).is_loopback or str(name) in ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to
    except ValueError:
        local = False
    if not local:
        raise BlockedError(f"a test reached for {name}; only this machine is allowed")
