"""A download that grows too large is ended, whatever its program is; real programs write real files."""

import errno
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import ImageBuildError
from sandbox.recipes import go, machine, npm_packages, room, wheels
from sandbox.recipes.room import Room, held

MIB = 1024**2
FOR_EVER = "import threading; threading.Event().wait()"


def wheel(folder: Path, name: str, size: int) -> None:
    """A wheel that pip takes, of so many bytes."""
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.bin", os.urandom(size))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and no other place."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs stand for those of this machine."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setattr(npm_packages, "which", lambda name: folder / name)
    monkeypatch.setattr(machine, "which", lambda name: folder / name)
    return folder


def test_wheels_that_are_too_large_are_a_reason_that_says_what_to_do(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(index, "large", 2 * MIB)
    wheel(index, "little", 1000)
    monkeypatch.setattr(wheels, "MOST_BYTES", MIB)
    target = tmp_path / "laid" / "wheels"
    with pytest.raises(ImageBuildError, match=r"too large: 2 MiB .* 1 MiB.*`packages`") as failed:
        wheels.download(["large", "little"], target)
    assert failed.value.step == wheels.STEP
    assert wheels.download(["little"], target) == ()
    assert [path.name for path in target.iterdir()] == ["little-1-py3-none-any.whl"]


def test_what_pip_keeps_elsewhere_until_its_end_counts_and_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "MOST_BYTES", MIB)
    told = tmp_path / "told"
    grows = (
        f"import os, pathlib, tempfile; pathlib.Path({str(told)!r}).write_text(tempfile.gettempdir());"
        f"pathlib.Path(tempfile.gettempdir(), 'part').write_bytes(bytes({2 * MIB})); {FOR_EVER}"
    )
    with pytest.raises(ImageBuildError, match="too large"):
        wheels.download(["large"], tmp_path / "laid" / "wheels", ("-c", grows))
    assert not Path(told.read_text()).exists()


@pytest.mark.parametrize("name", ["npm", "go"])
def test_npm_and_go_are_killed_when_they_have_written_too_much(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr({"npm": npm_packages, "go": go}[name], "MOST_BYTES", MIB)
    place, told = tmp_path / "place", tmp_path / "pid"
    place.mkdir()
    (programs / name).write_text(
        f"#!{sys.executable}\nimport os, pathlib\n"
        f"pathlib.Path({str(told)!r}).write_text(str(os.getpid()))\n"
        f"pathlib.Path({str(place)!r}, 'part').write_bytes(bytes({2 * MIB}))\n{FOR_EVER}\n"
    )
    (programs / name).chmod(0o755)
    fetch: Callable[[], object] = {
        "npm": lambda: npm_packages.download({"a": "1"}, "", place),
        "go": lambda: go.download(("example.org/x v1.0.0",), "", place),
    }[name]
    with pytest.raises(ImageBuildError, match="2 MiB"):
        fetch()
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_too_many_files_are_too_much_and_links_are_not_followed(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number % 2}" / f"{number}").mkdir(parents=True)
        (tmp_path / f"{number % 2}" / f"{number}" / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "0")
    length = (tmp_path / "link").lstat().st_size
    assert held((tmp_path,)) == (20 + length, 5)
    Room("step", (tmp_path,), "", most_files=5).check()
    with pytest.raises(ImageBuildError, match=r"in 5 files .* and 4 files"):
        Room("step", (tmp_path,), "", most_files=4).check()


def test_a_disk_that_is_nearly_full_is_this_machines_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BUILD_RESERVE_BYTES", 2**60)
    with pytest.raises(OSError, match="of disk is free") as failed:
        Room("step", (tmp_path,), "").check()
    assert failed.value.errno == errno.ENOSPC
