import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sandbox
from sandbox.unified_diff import DiffSyntaxError, parse

LAY = Path(sandbox.__file__).with_name("lay.py")
LINES = st.lists(
    st.sampled_from(["a\n", "b\n", "c\n", "", "d\r\n", "é\n", "-- x\n", "++ y\n", "\n"]),
    max_size=12,
)
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(root: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "core.autocrlf=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=root, input=stdin, check=True, capture_output=True
    ).stdout


def laid(root: Path, diff: str, files: dict[str, str] | None = None) -> str:
    """Apply a diff with the program that runs in boxes."""
    order = {"changes": [asdict(change) for change in parse(diff)], "files": files or {}}
    argv = [sys.executable, "-I", "-S", str(LAY)]
    done = subprocess.run(
        argv, cwd=root, input=json.dumps(order).encode(), check=True, capture_output=True
    )
    return done.stdout.decode().strip()


def difference(root: Path) -> str:
    git(root, "add", "-A")
    return git(root, "diff", "--cached", "-M").decode("utf-8", "surrogateescape")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "x")


@needs_git
@settings(max_examples=25, deadline=None)
@given(before=LINES, after=LINES)
def test_what_git_writes_is_applied_as_git_does(
    before: list[str], after: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("diff")
    git(root, "init", "-q")
    (root / "f").write_bytes("".join(before).encode())
    commit(root)
    (root / "f").write_bytes("".join(after).encode())
    diff = difference(root)
    git(root, "reset", "-q", "--hard")
    if diff:
        assert laid(root, diff) == "ok"
    assert (root / "f").read_bytes() == "".join(after).encode()


@needs_git
def test_new_deleted_renamed_and_executable_files_are_understood(repository: Path) -> None:
    for name in ("old", "gone", "run"):
        (repository / name).write_text("".join(f"{name} {i}\n" for i in range(20)))
    commit(repository)
    (repository / "deep").mkdir()
    (repository / "old").rename(repository / "deep/moved")
    (repository / "deep/moved").write_text(
        (repository / "deep/moved").read_text().replace("old 3\n", "3\n")
    )
    (repository / "gone").unlink()
    (repository / "run").chmod(0o755)
    (repository / "fresh").write_text("no newline at end")
    (repository / "empty").write_text("")
    diff = difference(repository)
    wanted = {
        p.name: (p.read_text(), p.stat().st_mode & 0o111)
        for p in repository.rglob("*")
        if p.is_file() and ".git/" not in str(p)
    }
    git(repository, "reset", "-q", "--hard")
    git(repository, "clean", "-qfd")
    assert laid(repository, diff) == "ok"
    found = {
        p.name: (p.read_text(), p.stat().st_mode & 0o111)
        for p in repository.rglob("*")
        if p.is_file() and ".git/" not in str(p)
    }
    assert found == wanted


def test_moved_lines_are_found(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("new\n" * 5 + "a\nb\nc\n")
    assert laid(tmp_path, "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n") == "ok"
    assert (tmp_path / "f").read_text() == "new\n" * 5 + "a\nB\nc\n"


def test_nothing_is_changed_when_a_part_does_not_apply(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n")
    (tmp_path / "g").write_text("other\n")
    diff = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n"
    assert laid(tmp_path, diff) == "g: hunk 1 does not match"
    assert (tmp_path / "f").read_text() == "a\n"


@pytest.mark.parametrize(
    ("diff", "said"),
    [
        ("--- a/no\n+++ b/no\n@@ -1 +1 @@\n-a\n+b\n", "no such file"),
        ("--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+b\n", "already exists"),
        ("--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", "holds more"),
        ("--- a/link\n+++ b/link\n@@ -1 +1 @@\n-a\n+b\n", "no such file"),
    ],
)
def test_why_a_diff_does_not_apply(diff: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\nb\n")
    (tmp_path / "link").symlink_to("f")
    assert said in laid(tmp_path, diff)


def test_trusted_files_win_over_the_diff(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n")
    diff = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
    assert laid(tmp_path, diff, {"f": "trusted", "deep/er": "too"}) == "ok"
    assert (tmp_path / "f").read_text() == "trusted"
    assert (tmp_path / "deep/er").read_text() == "too"


@pytest.mark.parametrize(
    "diff",
    [
        "--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\nrename from x\nrename to y\n--- a/x\n+++ b/z\n@@ -1 +1 @@\n-a\n+b\n",
        "--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n",
        "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+b\n",
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n+c\n",
        "--- a/x\n+++ b/x\n@@ broken @@\n",
        "--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\n",
        "diff --git a/x b/x\nrename to ../y\n",
        "diff --git a/x b/x\nold mode 100644\nnew mode 100755\ncopy from tests/y\n",
        "diff --git a/x b/y\nrename from x\ncopy to y\n",
        '--- "a/x\n+++ "b/x\n@@ -1 +1 @@\n-a\n+b\n',
    ],
)
def test_a_diff_that_contradicts_itself_is_refused(diff: str) -> None:
    with pytest.raises(DiffSyntaxError):
        parse(diff)


def test_quoted_names_are_understood() -> None:
    (change,) = parse('--- "a/\\303\\251.py"\n+++ "b/\\303\\251.py"\n@@ -1 +1 @@\n-a\n+b\n')
    assert change.paths == ("é.py",)
