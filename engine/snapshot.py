"""Repository snapshots on shared storage: the bot writes them, the engine reads them.

A snapshot is one tar file named by its key; its digest travels in the request, so a file that was
changed or cut short is noticed before anything in it is looked at.
"""

import hashlib
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SnapshotInvalidError, SnapshotMissingError

CHUNK_BYTES = 1 << 20
MAX_BYTES = 512 * 1024**2
MAX_FILES = 50_000


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """Where a snapshot lies below the storage's root, and its digest."""

    key: str
    sha256: str


def pack(tree: Path, root: Path, key: str) -> SnapshotFile:
    """Write the files of `tree` to `root` as snapshot `key`, aside and renamed: never half there.

    Raises:
        SnapshotInvalidError: the tree is larger than a snapshot may be.
    """
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"{key}.tar"
    partial = target.with_suffix(".partial")
    total = sum(p.lstat().st_size for p in tree.rglob("*") if p.is_file() and not p.is_symlink())
    if total > MAX_BYTES:
        raise SnapshotInvalidError(key, f"{total} bytes are more than the {MAX_BYTES} allowed")
    with tarfile.open(partial, "w") as archive:
        for path in sorted(tree.iterdir()):
            if path.name != ".git":
                archive.add(path, arcname=path.name, filter=_anonymous)
    partial.replace(target)
    return SnapshotFile(key, _digest(target))


def unpack(root: Path, key: str, sha256: str, into: Path) -> None:
    """Lay a snapshot's files out in the empty folder `into`.

    Raises:
        SnapshotMissingError: no such snapshot on this storage.
        SnapshotInvalidError: another digest, too many files, or members that leave the folder.
    """
    path = root / f"{key}.tar"
    if not path.is_file():
        raise SnapshotMissingError(key)
    if _digest(path) != sha256:
        raise SnapshotInvalidError(key, "its content has another digest than the request says")
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            if len(members) > MAX_FILES:
                raise SnapshotInvalidError(key, f"{len(members)} files are more than {MAX_FILES}")
            for member in members:
                extract_member(archive, member, into)
    except (tarfile.TarError, ValueError) as error:
        raise SnapshotInvalidError(key, str(error)) from error


def extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Lay one member out below a folder, never outside it; devices and leading slashes are refused.

    tarfile's own filter does the same since Python 3.11.4; Debian 12 has 3.11.2.

    Raises:
        ValueError: the member, or what it links to, lies outside the folder.
    """
    root = into.resolve()
    member.name = member.name.lstrip("/")
    target = root / member.name
    inside = [target.parent.resolve() / target.name]
    if member.issym():
        inside.append((target.parent / member.linkname).resolve())
    elif member.islnk():
        inside.append((root / member.linkname).resolve())
    elif not (member.isreg() or member.isdir()):
        raise ValueError(f"{member.name!r} is no file, folder or link")
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
