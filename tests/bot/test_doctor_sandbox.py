"""What `evoscale doctor` says of boxes is what holds, and not what is only watched."""

import pytest

from bot.doctor import State, _sandbox
from tests.sandbox.conftest import opened

REASON = "no control group can be made in /sys/fs/cgroup"


def test_memory_that_is_only_watched_is_not_said_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    opened("bubblewrap")
    monkeypatch.setenv("EVOSCALE_SANDBOX_KIND", "bubblewrap")
    monkeypatch.setattr("sandbox.bubblewrap._why_not_grouped", lambda: REASON)
    found = _sandbox()
    assert found.state is State.WARNING
    assert ": network, pids hold; " in found.found
    assert "memory only watched: " in found.found
    assert "processors are not limited" in found.found
    monkeypatch.setenv("EVOSCALE_SANDBOX_REQUIRE", "memory")
    assert _sandbox().state is State.BAD


@pytest.mark.docker
def test_gvisor_is_good_and_what_it_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    opened("docker-runsc")
    monkeypatch.setenv("EVOSCALE_SANDBOX_KIND", "docker")
    monkeypatch.setenv("EVOSCALE_SANDBOX_RUNTIME", "runsc")
    found = _sandbox()
    assert found.state is State.GOOD
    assert "process 1 of a box can be killed from inside" in found.found
