"""Directories as tar streams: what goes into an image, never what comes out of a box."""

import io
import os
import stat
import tarfile
from pathlib import Path


def add_tree(archive: tarfile.TarFile, root: Path, uid: int) -> None:
    """Add everything below `root`, owned by `uid`; links stay links, special files are left out."""
    for parent, directories, names in os.walk(root):
        directories.sort()
        for name in sorted(directories + names):
            path = Path(parent) / name
            mode = path.lstat().st_mode
            if not _is_plain(mode):
                continue
            info = archive.gettarinfo(str(path), arcname=str(path.relative_to(root)))
            info.uid = info.gid = uid
            info.uname = info.gname = ""
            info.mode = (info.mode & 0o777) | 0o644
            if info.isreg():
                with path.open("rb") as file:
                    archive.addfile(info, file)
            elif info.isdir() or info.issym():
                archive.addfile(info)
            elif info.islnk():  # a hard link to a file above: give it a copy of its own
                _add_copy(archive, info, path)


def _add_copy(archive: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> None:
    info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size
    with path.open("rb") as file:
        archive.addfile(info, file)


def write_tree(target: io.BufferedIOBase, root: Path, uid: int) -> None:
    """Write everything below `root` as a tar archive."""
    with tarfile.open(fileobj=target, mode="w") as archive:
        add_tree(archive, root, uid)


def special_files(directory: str, names: list[str]) -> list[str]:
    """The names that are neither file, directory nor link; for `shutil.copytree(ignore=...)`."""
    return [name for name in names if not _is_plain(Path(directory, name).lstat().st_mode)]


def publish(root: Path, uid: int | None) -> None:
    """Make a tree that we copied ourselves readable by everyone, and give it to `uid`."""
    for path in (root, *root.rglob("*")):
        if uid is not None:
            os.lchown(path, uid, uid)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
