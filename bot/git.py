"""Git by plumbing, in a bare repository that lives as long as one task.

Nothing hostile is ever checked out by us for a push, no hook or config of anyone's is read, and the
token stands in the environment of one git command only: never in argv, never in a file.
"""

import base64
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import SecretStr

from bot.errors import GitFailedError
from engine.errors import StorageUnwritableError

NETWORK_S = 300.0
LOCAL_S = 120.0
MAX_OUTPUT = 2_000
FALLBACK_DEPTH = 200

_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "credential.helper=",
    "gc.auto=0",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    "submodule.recurse=false",
)
_RAW = "* -text -filter -ident !eol !working-tree-encoding\n"
_NETWORK = re.compile(
    r"resolve host|timed? ?out|connection|early EOF|hung up|HTTP 5\d\d|error: 5\d\d|error: 429|"
    r"RPC failed|unable to access|took longer",
    re.IGNORECASE,
)
_DENIED = re.compile(r"error: 40[134]|Authentication failed|not found", re.IGNORECASE)
_FULL = re.compile(
    r"^(?!remote:).*(No space left on device|Disk quota exceeded|Read-only file system)",
    re.MULTILINE,
)
_REJECTION = re.compile(r"rejected|refusing|^remote: ")
_PLAIN = (b"100644", b"100755")
_LINK, _SUBMODULE, _ABSENT = "120000", "160000", "000000"
_RAW_FIELDS = 5


class Push(StrEnum):
    """How a push ended: it is there now, it was there before, or someone said no."""

    PUSHED = "pushed"
    ALREADY = "already"
    MOVED = "moved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Pushed:
    """The end of a push, and what the server said to it."""

    push: Push
    said: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository on GitHub, and the token that opens it."""

    url: str
    token: SecretStr
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who commits, and when: fixed, so that the same job always makes the same commit."""

    name: str
    email: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Size:
    """How large a commit's tree is."""

    files: int
    total_bytes: int


class Workspace:
    """A bare repository beside a remote one.

    Every method may raise GitFailedError, and StorageUnwritableError where our disk is full.
    """

    def __init__(self, folder: Path, remote: Remote) -> None:
        self._folder = folder
        self._remote = remote
        self._git_dir = folder / "repository.git"
        self._run("init", "--bare", "--quiet", "--template=", str(self._git_dir))
        (self._git_dir / "info").mkdir(exist_ok=True)
        (self._git_dir / "info" / "attributes").write_text(_RAW, encoding="utf-8")

    def tip(self, branch: str) -> str | None:
        """The commit that a remote branch points at; None when there is no such branch."""
        ref = f"refs/heads/{branch}"
        said = self._talk("ls-remote", "--", self._remote.url, ref).decode()
        rows = [line.split("\t", 1) for line in said.splitlines()]
        return next((row[0] for row in rows if row[-1] == ref), None)

    def is_empty(self) -> bool:
        """Whether the remote repository has no branch at all."""
        return not self._talk("ls-remote", "--heads", "--", self._remote.url).strip()

    def fetch(self, commit: str, branch: str) -> None:
        """Bring one commit's files here; by `branch` where the server refuses single commits."""
        try:
            self._fetch(commit, 1)
        except GitFailedError:
            self._fetch(f"refs/heads/{branch}", FALLBACK_DEPTH)
        self._run("cat-file", "-e", f"{commit}^{{commit}}")

    def _fetch(self, what: str, depth: int) -> None:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", f"--depth={depth}")
        self._talk("fetch", *options, "--", self._remote.url, what)

    def size(self, commit: str) -> Size:
        """Count files and bytes of a commit's tree, before anything is written to disk."""
        rows = self._run("ls-tree", "-r", "-l", "-z", commit).split(b"\0")
        sizes = [row.split(None, 4)[3] for row in rows if row]
        return Size(len(sizes), sum(int(size) for size in sizes if size.isdigit()))

    def read(self, commit: str, path: str, most_bytes: int) -> bytes | None:
        """A file of a fetched commit; None where there is no plain file of that size or less."""
        row = self._run("ls-tree", "-l", "-z", commit, "--", path).rstrip(b"\0")
        mode, _, name, size = (row.split(b"\t")[0].split() or [b""] * 4)[:4]
        if mode not in _PLAIN or int(size) > most_bytes:
            return None
        return self._run("cat-file", "blob", name.decode())

    def lay_out(self, commit: str, into: Path) -> None:
        """Write a commit's files to an empty folder, byte for byte as they are committed."""
        into.mkdir(parents=True, exist_ok=True)
        self._run("read-tree", commit, index="layout")
        self._run("checkout-index", "--all", "--quiet", index="layout", tree=into)

    def commit(self, base: str, patch: str, message: str, signature: Signature) -> str:
        """Commit `patch` on top of `base`, in an index only; the same input gives the same id."""
        self._run("read-tree", base, index="patched")
        options = ("--cached", "--whitespace=nowarn", "-")
        self._run("apply", *options, index="patched", stdin=patch.encode())
        tree = self._run("write-tree", index="patched").decode().strip()
        made = self._run(
            "commit-tree", tree, "-p", base, stdin=message.encode(), signature=signature
        )
        return made.decode().strip()

    def forbidden(self, base: str, commit: str) -> str | None:
        """Say why a commit must not be pushed; None where it may."""
        rows = self._run("diff-tree", "-r", "-z", "--no-renames", base, commit).split(b"\0")
        changes = list(zip(rows[0::2], rows[1::2], strict=False))
        if not changes:
            return "The patch changes nothing any more."
        reasons = (_reason(meta.decode(), path) for meta, path in changes)
        return next((reason for reason in reasons if reason), None)

    def push(self, commit: str, branch: str, expected: str | None) -> Pushed:
        """Push if the branch is where we expect it (None: nowhere); others' work stays."""
        there = self.tip(branch)
        if there == commit:
            return Pushed(Push.ALREADY)
        if there != expected:
            return Pushed(Push.MOVED, f"{branch} is at {there or 'no commit'}")
        lease = f"--force-with-lease=refs/heads/{branch}:{expected or ''}"
        refspec = f"{commit}:refs/heads/{branch}"
        try:
            self._talk("push", "--porcelain", "--no-verify", lease, "--", self._remote.url, refspec)
        except GitFailedError as error:
            return self._after_failed_push(error, commit, branch)
        return Pushed(Push.PUSHED)

    def _after_failed_push(self, error: GitFailedError, commit: str, branch: str) -> Pushed:
        """Look first: git sends again by itself, so a push that worked can look rejected."""
        if self.tip(branch) == commit:
            return Pushed(Push.PUSHED)
        if "stale info" in error.output or "fetch first" in error.output:
            return Pushed(Push.MOVED, error.output)
        said = [line for line in error.output.splitlines() if _REJECTION.search(line)]
        if said:
            return Pushed(Push.REFUSED, " ".join(said))
        raise error

    def _talk(self, *arguments: str) -> bytes:
        """Run a command that may speak to the remote: the one kind that sees the token."""
        token = self._remote.token.get_secret_value()
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        extra = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self._remote.url}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }
        return self._git(arguments, b"", extra, NETWORK_S)

    def _run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        index: str = "",
        tree: Path | None = None,
        signature: Signature | None = None,
    ) -> bytes:
        extra = {"GIT_INDEX_FILE": str(self._folder / index)} if index else {}
        if tree is not None:
            extra["GIT_WORK_TREE"] = str(tree)
        if signature is not None:
            for role in ("AUTHOR", "COMMITTER"):
                extra[f"GIT_{role}_NAME"] = signature.name
                extra[f"GIT_{role}_EMAIL"] = signature.email
                extra[f"GIT_{role}_DATE"] = f"@{signature.seconds} +0000"
        return self._git(arguments, stdin, extra, LOCAL_S)

    def _git(
        self, arguments: tuple[str, ...], stdin: bytes, extra: Mapping[str, str], seconds: float
    ) -> bytes:
        options = [part for setting in _SAFE for part in ("-c", setting)]
        environment = {
            "PATH": os.defpath,
            **self._remote.environment,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_DIR": str(self._git_dir),
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": str(self._folder),
            "LC_ALL": "C",
            **extra,
        }
        process = subprocess.Popen(
            ["git", *options, *arguments],
            cwd=environment.get("GIT_WORK_TREE", str(self._folder)),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return self._finish(process, arguments[0], stdin, seconds)

    def _finish(
        self, process: "subprocess.Popen[bytes]", command: str, stdin: bytes, seconds: float
    ) -> bytes:
        try:
            output, problem = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            said = f"it took longer than {seconds:.0f} s"
            raise GitFailedError(command, said, retryable=True) from error
        if process.returncode != 0:
            said = self._redacted(problem + (output if command == "push" else b""))
            if full := _FULL.search(said):
                raise StorageUnwritableError("the working copy", full[1])
            passing = bool(_NETWORK.search(said)) and not _DENIED.search(said)
            raise GitFailedError(command, said, retryable=passing)
        return output

    def _redacted(self, raw: bytes) -> str:
        text = raw.decode("utf-8", "replace").strip()
        token = self._remote.token.get_secret_value()
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        for secret in (token, basic):
            text = text.replace(secret, "[token]") if secret else text
        return text[-MAX_OUTPUT:]


def _reason(meta: str, raw_path: bytes) -> str | None:
    fields = meta.lstrip(":").split(" ")
    mode = fields[1] if len(fields) == _RAW_FIELDS else _ABSENT
    path = raw_path.decode("utf-8", "replace")
    parts = [part.casefold() for part in path.split("/")]
    if mode == _LINK:
        return f"The patch makes `{path}` a symbolic link, which I do not publish."
    if mode == _SUBMODULE or parts == [".gitmodules"]:
        return f"The patch changes the submodule `{path}`, which I do not publish."
    if ".." in parts or any(part.startswith(".git~") or part == ".git" for part in parts):
        return f"The patch writes to `{path}`, which I do not publish."
    if parts[:2] == [".github", "workflows"]:
        return (
            f"The patch changes the workflow `{path}`. This app has no `workflows` permission on "
            "purpose; apply that part by hand."
        )
    return None


@contextmanager
def workspace(remote: Remote) -> Iterator[Workspace]:
    """A bare repository for one task, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="evoscale-git-", ignore_cleanup_errors=True) as folder:
        yield Workspace(Path(folder), remote)
