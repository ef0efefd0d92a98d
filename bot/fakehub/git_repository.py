"""Bare git repositories by plumbing: real commits, real diffs, no checkout."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

ZERO_SHA = "0" * 40
REGULAR, EXECUTABLE, SYMLINK = "100644", "100755", "120000"


class GitCommandError(Exception):
    """Raised when git refuses; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to commit."""

    content: bytes
    mode: str = REGULAR


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a commit, and when."""

    name: str
    email: str
    date: datetime

    @property
    def line(self) -> str:
        """As git writes it into a commit."""
        return f"{self.name} <{self.email}> {int(self.date.timestamp())} +0000"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as git tells it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Author
    committer: Author
    message: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a diff."""

    path: str
    previous_path: str | None
    status: str
    blob: str | None
    additions: int
    deletions: int
    patch: str | None


NO_WORKFLOWS = "FAKEHUB_NO_WORKFLOWS"
# GitHub lets no app without a permission of its own for them push changed workflows.
_PRE_RECEIVE = f"""\
#!/bin/sh
test -n "${NO_WORKFLOWS}" || exit 0
while read -r old new name; do
  test "$new" = {ZERO_SHA} && continue
  path=$(git log --format= --name-only "$new" --not --all -- .github/workflows | head -n 1)
  test -z "$path" && continue
  echo "refusing to allow a GitHub App to create or update workflow" >&2
  echo "\\`$path\\` without \\`workflows\\` permission" >&2
  exit 1
done
"""


@cache
def git_program() -> str:
    """The path of git.

    Raises:
        GitCommandError: there is none.
    """
    found = shutil.which("git")
    if found is None:
        raise GitCommandError(
            "git is not installed; fakehub keeps its commits in real repositories"
        )
    return found


def git_environment(**extra: str) -> dict[str, str]:
    """An environment that no setting of the user or the machine reaches into."""
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        **extra,
    }


class GitRepository:
    """One bare repository on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, default_branch: str) -> None:
        """Make the repository, without the sample hooks that git would put into it."""
        self.path.mkdir(parents=True)
        branch = f"--initial-branch={default_branch}"
        self._git("init", "--quiet", "--bare", "--template=", branch, ".")
        hook = self.path / "hooks" / "pre-receive"
        hook.parent.mkdir()
        hook.write_text(_PRE_RECEIVE)
        hook.chmod(0o755)

    def refs(self, prefix: str = "refs/heads/") -> dict[str, str]:
        """Every ref under a prefix, and where it points."""
        lines = self._git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def ref(self, name: str) -> str | None:
        """Where a full ref name points, or None."""
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def branch(self, name: str) -> str | None:
        """The head of a branch, or None."""
        return self.ref(f"refs/heads/{name}")

    def set_ref(self, name: str, sha: str) -> None:
        """Point a ref somewhere."""
        self._git("update-ref", name, sha)

    def delete_ref(self, name: str) -> None:
        """Remove a ref."""
        self._git("update-ref", "-d", name)

    def commit_files(
        self, branch: str, files: Mapping[str, File | None], message: str, author: Author
    ) -> str:
        """Commit files on top of a branch, which may not exist yet; None deletes a file.

        Returns:
            the new commit's id.

        Raises:
            GitCommandError: git does not take it, for one because of a path.
        """
        parent = self.branch(branch)
        stream = bytearray()
        stream += (
            f"commit refs/heads/{branch}\nauthor {author.line}\ncommitter {author.line}\n".encode()
        )
        stream += _data(message.encode())
        if parent is not None:
            stream += f"from {parent}\n".encode()
        for path, file in files.items():
            stream += _file_command(path, file)
        self._git("fast-import", "--quiet", "--date-format=raw", "--force", stdin=bytes(stream))
        head = self.branch(branch)
        if head is None:
            raise GitCommandError(f"git made no branch {branch!r} in {self.path.name}")
        return head

    def commit(self, sha: str) -> Commit:
        """Read one commit."""
        return self.log("--max-count=1", sha)[0]

    def log(self, *arguments: str) -> list[Commit]:
        """Read commits, newest first."""
        layout = "%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x00%x01"
        records = self._git("log", f"--format=tformat:{layout}", *arguments).split("\x00\x01\n")
        return [_commit(record.split("\x00")) for record in records if record]

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor, or None for unrelated histories."""
        done = self._run("merge-base", one, other)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def diff(self, base: str, head: str) -> str:
        """The unified diff between two commits."""
        return self._git("diff", "--find-renames", "--no-color", base, head)

    def changes(self, base: str, head: str) -> list[FileChange]:
        """The same difference, file by file."""
        raw = self._git("diff", "--raw", "--abbrev=40", "-z", "--find-renames", base, head)
        counts = self._git("diff", "--numstat", "-z", "--find-renames", base, head)
        patches = _patches(self.diff(base, head))
        return [
            FileChange(*entry, *count, patch)
            for entry, count, patch in zip(
                _raw_entries(raw), _numstat_entries(counts), patches, strict=True
            )
        ]

    def merge_tree(self, base: str, head: str) -> str | None:
        """The tree of the merge, or None where it conflicts."""
        done = self._run("merge-tree", "--write-tree", base, head)
        return done.stdout.decode().split("\n", 1)[0] if done.returncode == 0 else None

    def commit_tree(self, tree: str, parents: Sequence[str], message: str, author: Author) -> str:
        """Make a commit of a tree that is already there."""
        who = {
            "NAME": author.name,
            "EMAIL": author.email,
            "DATE": f"{int(author.date.timestamp())} +0000",
        }
        extra = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in who.items()
        }
        options = [option for parent in parents for option in ("-p", parent)]
        done = self._run("commit-tree", tree, *options, stdin=message.encode(), **extra)
        if done.returncode != 0:
            raise GitCommandError(done.stderr.decode(errors="replace"))
        return done.stdout.decode().strip()

    def paths(self, commit: str) -> list[str]:
        """Every file of a commit."""
        return [
            path
            for path in self._git("ls-tree", "-r", "-z", "--name-only", commit).split("\x00")
            if path
        ]

    def read(self, commit: str, path: str) -> bytes | None:
        """One file of a commit, or None where it has no such file."""
        done = self._run("cat-file", "blob", f"{commit}:{path}")
        return done.stdout if done.returncode == 0 else None

    def _git(self, *arguments: str, stdin: bytes = b"") -> str:
        done = self._run(*arguments, stdin=stdin)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise GitCommandError(f"git {arguments[0]} failed in {self.path.name}: {said}")
        return done.stdout.decode(errors="replace")

    def _run(
        self, *arguments: str, stdin: bytes = b"", **extra: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [git_program(), *arguments],
            cwd=self.path,
            input=stdin,
            env=git_environment(**extra),
            capture_output=True,
            check=False,
        )


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _file_command(path: str, file: File | None) -> bytes:
    quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if file is None:
        return f"D {quoted}\n".encode()
    return f"M {file.mode} inline {quoted}\n".encode() + _data(file.content)


def _commit(fields: list[str]) -> Commit:
    sha, tree, parents, *people, message = fields
    author, committer = (
        Author(name, email, datetime.fromtimestamp(int(at), UTC))
        for name, email, at in (people[:3], people[3:])
    )
    return Commit(sha, tree, tuple(parents.split()), author, committer, message.rstrip("\n"))


_STATUS = {
    "A": "added",
    "D": "removed",
    "M": "modified",
    "R": "renamed",
    "C": "copied",
    "T": "changed",
}


def _raw_entries(raw: str) -> list[tuple[str, str | None, str, str | None]]:
    parts = iter(raw.split("\x00"))
    entries = []
    for header in parts:
        if not header:
            continue
        _, _, _, blob, letter = header.split(" ")
        path = next(parts)
        previous = None
        if letter[0] in "RC":
            previous, path = path, next(parts)
        entries.append((path, previous, _STATUS[letter[0]], None if blob == ZERO_SHA else blob))
    return entries


def _numstat_entries(counts: str) -> list[tuple[int, int]]:
    parts = iter(counts.split("\x00"))
    entries = []
    for line in parts:
        if not line:
            continue
        added, deleted, path = line.split("\t")
        if not path:  # a rename: its two paths follow as parts of their own
            next(parts)
            next(parts)
        entries.append((_count(added), _count(deleted)))
    return entries


def _count(text: str) -> int:
    return int(text) if text.isdigit() else 0  # "-" for binary files


def _patches(diff: str) -> list[str | None]:
    """Each file's hunks, without its header; None for a binary file or a pure rename."""
    sections = ("\n" + diff).split("\ndiff --git ")[1:]
    return [_hunks(section) for section in sections]


def _hunks(section: str) -> str | None:
    start = section.find("\n@@ ")
    return None if start < 0 else section[start + 1 :].removesuffix("\n")
