import threading
from pathlib import Path

import pytest

from sandbox.errors import SandboxUnavailableError
from sandbox.locks import locked


def test_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    def other() -> None:
        entered.set()
        with locked(tmp_path, "a/b"):
            order.append("second")

    with locked(tmp_path, "a/b"):
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SandboxUnavailableError, match="EVOSCALE_SANDBOX_CACHE_DIR"),
        locked(tmp_path / "file", "x"),
    ):
        pass
