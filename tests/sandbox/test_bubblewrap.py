import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import images
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.bubblewrap.programs import find_programs
from sandbox.cgroups import kernel_version
from sandbox.contract import Limits
from sandbox.directories import HOST_UID, Store, must_be_enterable
from sandbox.errors import SandboxUnavailableError
from tests.sandbox.conftest import opened, settings
from tests.sandbox.plain_user import as_root, plain_user


@pytest.fixture(scope="module")
def bubblewrap() -> BubblewrapSandbox:
    sandbox = opened("bubblewrap")
    assert isinstance(sandbox, BubblewrapSandbox)
    return sandbox


@pytest.fixture(scope="module")
def image(bubblewrap: BubblewrapSandbox) -> str:
    return images.bare(bubblewrap)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may enter and write, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_without_bwrap_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailableError, match="apt-get install bubblewrap"):
        find_programs()


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_an_old_bwrap_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("prlimit", "setpriv"):
        program(tmp_path, name, "exit 0")
    program(tmp_path, "bwrap", "echo '--seccomp --clearenv'")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailableError, match="too old: no --size"):
        find_programs()


def test_a_machine_without_user_namespaces_gets_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, "prlimit", "exit 0")
    program(tmp_path, "setpriv", "echo denied >&2; exit 1")
    program(
        tmp_path, "bwrap",
        'if [ "$1" = --help ]; then echo --size --perms --clearenv --as-pid-1 --seccomp; else echo denied >&2; exit 1; fi',
    )  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SandboxUnavailableError, match=r"denied; .*apparmor_restrict_unprivileged_userns"
    ):
        find_programs()


def test_a_cache_that_is_closed_to_others_is_refused_for_root(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    with pytest.raises(SandboxUnavailableError, match="EVOSCALE_SANDBOX_CACHE_DIR"):
        must_be_enterable(tmp_path / "closed/cache", "bubblewrap")


def test_a_cache_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file/cache", None, "bubblewrap")
    with pytest.raises(SandboxUnavailableError, match="EVOSCALE_SANDBOX_CACHE_DIR"):
        store.rootfs()
    with pytest.raises(SandboxUnavailableError), store.making("x", None, tmp_path):
        pass


@as_root
def test_a_cache_that_cannot_be_written_can_still_be_opened_for_pruning(
    open_directory: Path,
) -> None:
    (open_directory / "file").write_text("")
    (open_directory / "file").chmod(0o755)
    found = BubblewrapSandbox(settings(cache_dir=open_directory / "file/cache"))
    assert "EVOSCALE_SANDBOX_CACHE_DIR" in found.watched["files"]


def test_an_unfinished_image_is_removed_once_its_maker_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path, None, "bubblewrap")
    layer = tmp_path / "layer"
    (layer / "opt/repo").mkdir(parents=True)
    with pytest.raises(ValueError, match="stop"), store.making("x", None, layer):
        raise ValueError("stop")
    assert not store.has("x")
    with store.making("x", None, layer) as own:
        left = own.parent.with_name(f".unfinished-{2**22 + 1}-left")
        left.mkdir()
        assert store.reap() == 1
        assert not left.exists()
        assert own.exists()
    assert store.has("x")


@as_root
def test_the_box_of_root_is_not_root_for_the_machine(
    bubblewrap: BubblewrapSandbox, image: str
) -> None:
    with bubblewrap.open(image, Limits()) as box:
        box.exec(["true"])
        found = [
            status
            for p in Path("/proc").iterdir()
            if p.name.isdigit() and (status := effective(p)) is not None and status == HOST_UID
        ]
    assert found


def effective(process: Path) -> int | None:
    try:
        return process.stat().st_uid
    except OSError:
        return None


@as_root
def test_a_plain_user_can_run_tests_in_a_box() -> None:
    with plain_user() as user:
        done = user.run("-m", "sandbox.conformance", "bubblewrap", timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DOES NOT HOLD" not in done.stdout
    assert done.stdout.startswith("bubblewrap/user\n")


@as_root
def test_a_control_group_that_is_suddenly_not_to_be_had_opens_no_box(
    bubblewrap: BubblewrapSandbox, image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if "memory" in bubblewrap.watched:
        pytest.skip(bubblewrap.watched["memory"])
    monkeypatch.setattr("sandbox.cgroups.ROOT", tmp_path / "nothing")
    with (
        pytest.raises(SandboxUnavailableError, match="no control group could be made"),
        bubblewrap.open(image, Limits()),
    ):
        pass
    assert "memory" in BubblewrapSandbox(settings()).watched


HOLD = """
import sys
from pathlib import Path
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.contract import Limits
from sandbox.settings import SandboxSettings
sandbox = BubblewrapSandbox(SandboxSettings(cache_dir=Path(sys.argv[1])))
with sandbox.open(sys.argv[2], Limits()) as box:
    box.exec(["true"])
    print("open", flush=True)
    box.exec(["sleep", sys.argv[3]])
"""


def running(word: str) -> bool:
    for process in Path("/proc").iterdir():
        try:
            if (
                process.name.isdigit()
                and f"sleep\0{word}\0".encode() == (process / "cmdline").read_bytes()
            ):
                return True
        except OSError:
            continue
    return False


def until(happened: Callable[[], bool]) -> bool:
    for _ in range(600):
        if happened():
            return True
        time.sleep(0.02)
    return False


def test_no_process_outlives_one_that_was_killed(bubblewrap: BubblewrapSandbox, image: str) -> None:
    word = f"{os.getpid()}.5"
    argv = [sys.executable, "-c", HOLD, str(settings().cache_dir), image, word]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        assert until(lambda: running(word))
        process.send_signal(signal.SIGKILL)
    assert until(lambda: not running(word))
    bubblewrap.reap()


def test_the_machine_is_not_in_the_box(
    bubblewrap: BubblewrapSandbox, image: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    with bubblewrap.open(image, Limits()) as box:
        assert box.exec(["cat", str(tmp_path / "secret")]).exit_code == 1
        assert box.exec(["cat", "/etc/shadow"]).exit_code == 1


def test_the_kernel_version_is_read() -> None:
    assert kernel_version() > (3, 0)


def test_images_can_be_read_whatever_the_umask(open_directory: Path) -> None:
    layer = open_directory / "layer"
    (layer / "opt/repo").mkdir(parents=True)
    (layer / "opt/repo/private").write_text("x")
    (layer / "opt/repo/private").chmod(0o600)
    before = os.umask(0o077)
    try:
        with Store(open_directory / "cache", None, "bubblewrap").making("x", None, layer) as own:
            assert stat.S_IMODE((own / "opt/repo/private").stat().st_mode) & 0o044 == 0o044
    finally:
        os.umask(before)
    assert (open_directory / "cache").stat().st_mode & 0o001


def test_boxes_use_the_settings_of_their_sandbox() -> None:
    assert settings(disk_bytes=2**25).disk_bytes == 2**25
