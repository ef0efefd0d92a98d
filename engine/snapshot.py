"""Repository snapshots on shared storage: the bot writes them, the engine reads them.

A snapshot is one tar file named by its key; its digest travels in the request, so a file that was
changed or cut short is noticed before anything in it is looked at.
"""

import errno
import hashlib
import os
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import (
    EngineError,
    SnapshotInvalidError,
    SnapshotMissingError,
    StorageUnwritableError,
)

CHUNK_BYTES = 1 << 20
MAX_BYTES = 512 * 1024**2
MAX_FILES = 50_000
UNWRITABLE = frozenset(
    {errno.EACCES, errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS}
)
"""Conditions of the disk that is written, not of the files."""


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """Where a snapshot lies below the storage's root, and its digest."""

    key: str
    sha256: str


def pack(tree: Path, root: Path, key: str) -> SnapshotFile:
    """Write the files of `tree` to `root` as snapshot `key`, aside and renamed: never half there.

    Raises:
        SnapshotInvalidError: the tree is larger than a snapshot may be.
        StorageUnwritableError: the storage is full or not ours to write; nothing is left on it.
    """
    total = sum(p.lstat().st_size for p in tree.rglob("*") if p.is_file() and not p.is_symlink())
    if total > MAX_BYTES:
        raise SnapshotInvalidError(key, f"{total} bytes are more than the {MAX_BYTES} allowed")
    target = root / f"{key}.tar"
    partial = target.with_suffix(".partial")
    try:
        root.mkdir(parents=True, exist_ok=True)
        _write(tree, partial)
        partial.replace(target)
    except OSError as error:
        _drop(partial)
        raise _told("the repository's snapshot", key, error, tree) from error
    return SnapshotFile(key, _digest(target))


def _write(tree: Path, partial: Path) -> None:
    """Write the archive through to the disk: some file systems only then say that they are full."""
    with partial.open("wb") as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for path in sorted(tree.iterdir()):
                if path.name != ".git":
                    archive.add(path, arcname=path.name, filter=_anonymous)
        stream.flush()
        os.fsync(stream.fileno())


def _drop(partial: Path) -> None:
    """Remove what was half written; where even that fails, the sweep does it later."""
    with suppress(OSError):
        partial.unlink(missing_ok=True)


def _told(what: str, key: str, error: OSError, read: Path) -> EngineError:
    """Whose fault it was: the disk's that is written, or what is read from `read`."""
    reason = error.strerror or type(error).__name__
    if error.errno not in UNWRITABLE or str(error.filename).startswith(f"{read}{os.sep}"):
        return SnapshotInvalidError(key, f"{error.filename or 'a file'}: {reason}")
    return StorageUnwritableError(what, reason)


def unpack(root: Path, key: str, sha256: str, into: Path) -> None:
    """Lay a snapshot's files out in the empty folder `into`.

    Raises:
        SnapshotMissingError: no such snapshot on this storage.
        SnapshotInvalidError: another digest, too many files, or members that leave the folder.
        StorageUnwritableError: there is no room for the files.
    """
    path = root / f"{key}.tar"
    if not path.is_file():
        raise SnapshotMissingError(key)
    if _digest(path) != sha256:
        raise SnapshotInvalidError(key, "its content has another digest than the request says")
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            if len(members) > MAX_FILES:
                raise SnapshotInvalidError(key, f"{len(members)} files are more than {MAX_FILES}")
            extract_all(archive, members, into)
    except (tarfile.TarError, ValueError) as error:
        raise SnapshotInvalidError(key, str(error)) from error
    except OSError as error:
        raise _told("the checkout", key, error, root) from error


def extract_all(archive: tarfile.TarFile, members: Iterable[tarfile.TarInfo], into: Path) -> None:
    """Lay members out below an empty folder; no link among them leads out of it when all are there.

    Raises:
        ValueError: a member, or what it links to, lies outside the folder.
    """
    for member in members:
        _extract(archive, member, into)
    _refuse_links_out(into)


def _refuse_links_out(into: Path) -> None:
    """Follow every link once more: one laid later can change where an earlier one leads to."""
    root = into.resolve()
    for parent, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink() and not _led_to(path).is_relative_to(root):
                raise ValueError(f"{str(path.relative_to(root))!r} leads outside the folder")


def _led_to(path: Path) -> Path:
    """Where a path leads to; unlike `Path.resolve`, links in a circle are no error."""
    return Path(os.path.realpath(path))


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Lay one member out below a folder, never outside it; devices and leading slashes are refused.

    tarfile's own filter does the same since Python 3.11.4; Debian 12 has 3.11.2.

    Raises:
        ValueError: the member, or what it links to, lies outside the folder.
    """
    root = into.resolve()
    member.name = member.name.lstrip("/")
    target = root / member.name
    inside = [_led_to(target.parent) / target.name]
    if member.issym():
        inside.append(_led_to(target.parent / member.linkname))
    elif member.islnk():
        inside.append(_led_to(root / member.linkname))
    elif not (member.isreg() or member.isdir()):
        raise ValueError(f"{member.name!r} is no file, folder or link")
    elif target.is_symlink():
        raise ValueError(f"{member.name!r} would be written through a link")
    for path in inside:
        if not path.is_relative_to(root) or ".." in Path(member.name).parts:
            raise ValueError(f"{member.name!r} would lie outside the folder")
    member.mode = (member.mode & 0o755) | (0o700 if member.isdir() else 0o600)
    member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
    archive.extraction_filter = _checked
    archive.extract(member, root)


def _checked(member: tarfile.TarInfo, _path: str) -> tarfile.TarInfo:
    """Tell a newer tarfile that the member was looked at."""
    return member


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
