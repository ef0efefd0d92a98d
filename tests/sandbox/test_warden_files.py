import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.warden_files import PIECE, copy_tree


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    """As process 1 of a box has it while it copies."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "package/empty").mkdir(parents=True)
    (root / "package/large").write_bytes(os.urandom(3 * PIECE + 1))
    (root / "package/nothing").touch()
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "private").write_text("x")
    (root / "private").chmod(0o640)
    (root / "link").symlink_to("/etc/passwd")
    (root / "nowhere").symlink_to("absent")
    (root / "way").symlink_to("package")
    (root / os.fsdecode(b"\xff\n -rf")).write_text("odd")
    os.utime(root / "run", ns=(10**18 + 7, 10**18 + 9))
    os.utime(root / "package", ns=(10**18, 10**18 + 1))
    (root / "package").chmod(0o555)
    return root


def seen(root: Path) -> dict[str, tuple[object, ...]]:
    """All that stands below a directory, and of what kind."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        mtime = None if path.is_symlink() else status.st_mtime_ns
        found[str(path.relative_to(root))] = (stat.filemode(status.st_mode), mtime, content)
    return found


def test_a_copy_is_what_cp_makes(tree: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    copy_tree(str(tree), str(ours))
    subprocess.run(["cp", "-a", f"{tree}/.", str(theirs)], check=True)
    assert seen(ours) == seen(theirs) == seen(tree)
    assert len(seen(ours)) == 11


def test_a_deep_tree_is_copied(tmp_path: Path) -> None:
    inner = "/".join("d" * 1200)
    (tmp_path / "to").mkdir()
    subprocess.run(["mkdir", "-p", f"{tmp_path}/from/{inner}"], check=True)
    try:
        Path(f"{tmp_path}/from/{inner}/file").write_text("x")
        copy_tree(f"{tmp_path}/from", f"{tmp_path}/to")
        assert Path(f"{tmp_path}/to/{inner}/file").read_text() == "x"
    finally:  # too deep for Python to remove
        subprocess.run(["rm", "-rf", f"{tmp_path}/from", f"{tmp_path}/to"], check=True)


def test_hard_links_become_files_and_special_ones_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from/one").write_text("x")
    (tmp_path / "from/two").hardlink_to(tmp_path / "from/one")
    os.mkfifo(tmp_path / "from/fifo")
    (tmp_path / "to").mkdir()
    copy_tree(str(tmp_path / "from"), str(tmp_path / "to"))
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["one", "two"]
    assert (tmp_path / "to/two").stat().st_nlink == 1


def test_what_cannot_be_copied_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from/file").write_text("x")
    (tmp_path / "to").mkdir()
    (tmp_path / "to/file").write_text("there already")
    with pytest.raises(FileExistsError):
        copy_tree(f"{tmp_path}/from", f"{tmp_path}/to")
    assert (tmp_path / "to/file").read_text() == "there already"
