import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from sandbox import images
from sandbox.conformance import OPTIONAL, PROBES, checks
from sandbox.conformance.lacks import GVISOR, NO_CPUS, without_control_groups
from sandbox.contract import Sandbox
from sandbox.errors import SandboxUnavailableError
from sandbox.guarantees import (
    PROMISES,
    Memory,
    description,
    examine,
    must_hold,
    open_checked,
    required,
)
from sandbox.pool import PooledSandbox
from sandbox.runc.jail import BUNDLE
from sandbox.settings import ALWAYS, SandboxSettings
from tests.sandbox.conftest import opened, settings

HOLD = """
import sys, time
from pathlib import Path
from sandbox.backends import BACKENDS
from sandbox.contract import Limits
from sandbox.settings import SandboxSettings
sandbox = BACKENDS["runc"](SandboxSettings(cache_dir=Path(sys.argv[1]), base_image="toolchain"))
with sandbox.open(sys.argv[2], Limits()):
    print("open", flush=True)
    time.sleep(300)
"""
NETWORK, MEMORY = "the network is closed", "memory is limited"


@pytest.fixture
def one(tmp_path: Path) -> SandboxSettings:
    """Settings under which nothing is remembered yet."""
    return settings(cache_dir=tmp_path)


@pytest.fixture(scope="module")
def bubblewrap() -> Sandbox:
    return opened("bubblewrap")


def test_every_promise_is_made_of_checks_that_exist() -> None:
    assert {name for names in PROMISES.values() for name in names} <= set(checks())
    assert set(ALWAYS) <= set(PROMISES)


def test_no_back_end_may_lack_what_always_must_hold() -> None:
    always = {name for word in ALWAYS for name in PROMISES[word]}
    assert not any(always & optional for optional in OPTIONAL.values())


def test_what_must_hold_is_asked_once_and_then_remembered(
    bubblewrap: Sandbox, one: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    must_hold(bubblewrap, one)
    remembered = Memory(one, bubblewrap.isolation).held()
    assert {NETWORK, MEMORY, "processes are limited"} == remembered
    monkeypatch.setitem(PROBES, NETWORK, lambda _: "asked again")  # type: ignore[misc]  # a read-only table
    must_hold(bubblewrap, one)


def test_no_box_is_started_ahead_for_the_check() -> None:
    opened("bubblewrap")
    with tempfile.TemporaryDirectory() as cache:  # one that root's boxes can reach
        Path(cache).chmod(0o755)
        chosen = settings(cache_dir=Path(cache), kind="bubblewrap", pool=1)
        checked = open_checked(chosen)
        assert isinstance(checked, PooledSandbox)
        assert checked.empty() == 0


def test_what_a_killed_process_left_is_removed_when_the_next_one_starts() -> None:
    sandbox = opened("runc")
    image = images.bare(sandbox)
    argv = [sys.executable, "-c", HOLD, str(settings().cache_dir), image]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        (bundle,) = Path(tempfile.gettempdir()).glob(f"{BUNDLE}{process.pid}-*")
        process.kill()
    assert bundle.exists()
    open_checked(settings(kind="runc"))
    assert not bundle.exists()


@pytest.mark.parametrize("name", [NETWORK, MEMORY, "processes are limited"])
def test_a_machine_that_does_not_hold_it_is_refused_every_time(
    name: str, bubblewrap: Sandbox, one: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROBES, name, lambda _: "it got out")  # type: ignore[misc]  # a read-only table
    for _ in range(2):
        with pytest.raises(SandboxUnavailableError, match=r"it got out.*evoscale sandbox check"):
            must_hold(bubblewrap, one)


def test_what_the_operator_demands_is_asked_as_well(
    bubblewrap: Sandbox, one: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROBES, "processors are limited", lambda _: "no limit")  # type: ignore[misc]  # a read-only table
    must_hold(bubblewrap, one)
    with pytest.raises(SandboxUnavailableError, match="no limit"):
        must_hold(bubblewrap, one.model_copy(update={"require": ("cpus",)}))


def test_what_is_only_watched_is_refused_where_it_is_demanded(
    bubblewrap: Sandbox, one: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "_unmounted", "root may not mount here")
    with pytest.raises(SandboxUnavailableError, match=r"only watched.*root may not mount here"):
        must_hold(bubblewrap, one.model_copy(update={"require": ("files",)}))


@pytest.mark.skipif(os.geteuid() != 0, reason="for anybody but root it is only watched")
def test_root_may_demand_that_the_kernel_counts_files(
    bubblewrap: Sandbox, one: SandboxSettings
) -> None:
    if bubblewrap.watched:
        pytest.skip(str(bubblewrap.watched))
    must_hold(bubblewrap, one.model_copy(update={"require": ("files",)}))
    assert "files are limited" in Memory(one, bubblewrap.isolation).held()


@pytest.fixture
def ungrouped(bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Bubblewrap that can make no control group, as for a plain user: its boxes do without too."""
    monkeypatch.setattr(bubblewrap, "_ungrouped", "a plain user has no control groups")
    return bubblewrap


def test_without_control_groups_memory_may_be_watched_unless_it_is_demanded(
    ungrouped: Sandbox, one: SandboxSettings
) -> None:
    must_hold(ungrouped, one)
    assert MEMORY in Memory(one, ungrouped.isolation).held()
    with pytest.raises(SandboxUnavailableError, match=r"asks for memory \(it is only watched"):
        must_hold(ungrouped, one.model_copy(update={"require": ("memory",)}))
    with pytest.raises(
        SandboxUnavailableError, match=r"asks for cpus \(processors are not limited"
    ):
        must_hold(ungrouped, one.model_copy(update={"require": ("cpus",)}))


def test_what_is_watched_or_missing_is_not_said_to_hold(
    ungrouped: Sandbox, one: SandboxSettings
) -> None:
    held, *others = description(ungrouped, one).split("; ")
    assert held == f"{ungrouped.isolation}: network, pids hold"
    assert "memory only watched: a plain user has no control groups" in others
    assert NO_CPUS in others


def test_before_linux_5_14_processes_are_among_what_bubblewrap_lacks(
    ungrouped: Sandbox, one: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert without_control_groups((5, 14)).keys() == {"cpus"}
    old = without_control_groups((5, 13))
    monkeypatch.setattr("sandbox.guarantees.lacks", lambda _: old)
    monkeypatch.setitem(PROBES, "processes are limited", lambda _: "made 200")  # type: ignore[misc]  # a read-only table
    with pytest.raises(SandboxUnavailableError, match=r"made 200; .* before Linux 5\.14"):
        must_hold(ungrouped, one)


@pytest.mark.docker
def test_gvisor_says_what_it_lacks_and_refuses_it_where_it_is_demanded(
    one: SandboxSettings,
) -> None:
    sandbox = opened("docker-runsc")
    assert description(sandbox, one).split("; ")[1:] == list(GVISOR.values())
    for word in ("host", "files", "cpus"):
        with pytest.raises(SandboxUnavailableError, match=f"asks for {word}"):
            must_hold(sandbox, one.model_copy(update={"require": (word,)}))


def test_gvisor_can_be_demanded(bubblewrap: Sandbox, one: SandboxSettings) -> None:
    with pytest.raises(SandboxUnavailableError, match="EVOSCALE_SANDBOX_RUNTIME=runsc"):
        must_hold(bubblewrap, one.model_copy(update={"require": ("gvisor",)}))


def test_the_operator_writes_words_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOSCALE_SANDBOX_REQUIRE", "cpus, disk")
    assert required(SandboxSettings()) == {*ALWAYS, "cpus", "disk"}
    monkeypatch.setenv("EVOSCALE_SANDBOX_REQUIRE", "nonsense")
    with pytest.raises(ValidationError):
        SandboxSettings()


def test_another_boot_another_day_and_a_broken_file_are_asked_again(
    one: SandboxSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory = Memory(one, "bubblewrap")
    memory.add(NETWORK)
    assert Memory(one, "bubblewrap").held() == {NETWORK}
    assert Memory(one, "docker/runc").held() == frozenset()
    (file,) = (tmp_path / "guarantees").iterdir()
    os.utime(file, (0, 0))
    assert memory.held() == frozenset()
    file.write_text("{")
    assert memory.held() == frozenset()
    file.write_text(f'["{NETWORK}"]')
    other_boot = tmp_path / "boot"
    other_boot.write_text("another")
    monkeypatch.setattr("sandbox.guarantees.BOOT", other_boot)
    assert Memory(one, "bubblewrap").held() == frozenset()


def test_what_held_on_one_engine_is_asked_again_on_another(one: SandboxSettings) -> None:
    Memory(one, "docker/runc", "first").add(NETWORK)
    assert Memory(one, "docker/runc", "first").held() == {NETWORK}
    assert Memory(one, "docker/runc", "second").held() == frozenset()


@pytest.mark.docker
def test_what_held_is_remembered_for_the_engine_that_was_asked(one: SandboxSettings) -> None:
    docker = opened("docker")
    assert docker.engine.strip("/")
    must_hold(docker, one)
    assert NETWORK in Memory(one, docker.isolation, docker.engine).held()
    assert Memory(one, docker.isolation).held() == frozenset()


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(settings(cache_dir=tmp_path / "file"), "bubblewrap")
    with pytest.raises(SandboxUnavailableError, match="EVOSCALE_SANDBOX_CACHE_DIR"):
        memory.add(NETWORK)


def test_a_finding_says_whether_its_lack_is_known(
    bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROBES, "processors are limited", lambda _: "no limit")  # type: ignore[misc]  # a read-only table
    (found,) = examine(bubblewrap, ["processors are limited"])
    assert (found.holds, found.optional, found.problem) == (False, True, "no limit")
