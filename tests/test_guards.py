import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.conftest import BlockedError


def test_a_socket_to_the_outside_is_blocked() -> None:
    with socket.socket() as sock, pytest.raises(BlockedError, match=r"192\.0\.2\.1"):
        sock.connect(("192.0.2.1", 443))


def test_a_name_of_the_outside_is_not_looked_up() -> None:
    with pytest.raises(BlockedError, match=r"github\.com"):
        socket.create_connection(("github.com", 443), timeout=1)


def test_loopback_is_open() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_unix_sockets_are_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"


@pytest.fixture(scope="module")
def someones_settings() -> Iterator[None]:
    """What whoever runs the tests has exported; set before any test's own guards act."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GH_TOKEN", "a token")
        patch.setenv("EVOSCALE_BOT_APP_ID", "1")
        yield


@pytest.mark.usefixtures("someones_settings")
def test_settings_of_whoever_runs_the_tests_are_gone() -> None:
    assert not [name for name in os.environ if name.startswith(("EVOSCALE_", "GH_", "GITHUB_"))]  # noqa: TID251  # what the guard left


def test_sleeping_is_blocked() -> None:
    with pytest.raises(BlockedError, match=r"slept 5 s"):
        time.sleep(5)


def test_a_server_in_a_thread_may_pause() -> None:
    done = threading.Event()

    def pause() -> None:
        time.sleep(0.3)
        done.set()

    threading.Thread(target=pause).start()
    assert done.wait(5)
