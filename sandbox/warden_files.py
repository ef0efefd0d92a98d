"""What the warden does with files of its box; sent in front of `sandbox.warden`, as one text.

Whatever lies in a box may have been put there by hostile code, but for the image's own copy of the
repository: nothing of the image can be written. The import from the future is for the whole text.
"""

from __future__ import annotations

import contextlib
import os
import stat

PIECE = 65536


def descend(path: str, *, create: bool) -> tuple[int, str]:
    """Open the directory of an absolute path, following no link; gives it and the last name."""
    *parents, name = filter(None, path.split("/"))
    directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    for part in parents:
        try:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=directory)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            inner = os.open(part, flags, dir_fd=directory)
        finally:
            os.close(directory)
        directory = inner
    return directory, name


def write(path: str, data: bytes) -> None:
    """Put a file at a path; a link or special file that lies there is replaced, never followed."""
    directory, name = descend(path, create=True)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(name, flags, 0o644, dir_fd=directory), "wb") as file:
            file.write(data)
    finally:
        os.close(directory)


def read(path: str, limit: int) -> bytes | None:
    """A regular file's bytes; None for anything else and for more than `limit`."""
    directory, name = descend(path, create=False)
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                return None
            data = file.read(limit + 1)
            return data if len(data) <= limit else None
    finally:
        os.close(directory)


def copy_tree(source: str, target: str) -> None:
    """Copy what is below a directory into another, with modes and times; umask has to be zero.

    In two thirds of the time of cp(1), which asks of each file far more. Hard links become
    files of their own, special files are left out. Without recursion, however deep it is.

    Raises:
        OSError: something cannot be read, or there is no room for it.
    """
    directories = [(source, target)]
    for here, there in directories:  # which grows meanwhile
        with os.scandir(here) as entries:
            for entry in entries:
                copied = f"{there}/{entry.name}"
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.path), copied)  # noqa: PTH115, PTH211  # no pathlib
                elif entry.is_dir():
                    os.mkdir(copied)  # noqa: PTH102  # no pathlib
                    directories.append((entry.path, copied))
                elif entry.is_file():
                    copy_file(entry.path, copied)
    for here, there in reversed(directories):  # what is put into one changes its time
        status = os.stat(here)  # noqa: PTH116  # no pathlib
        os.chmod(there, stat.S_IMODE(status.st_mode))  # noqa: PTH101  # no pathlib
        os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))


def copy_file(source: str, target: str) -> None:
    """Copy a file with its mode and times to a path where nothing lies."""
    reading = os.open(source, os.O_RDONLY)
    try:
        status = os.fstat(reading)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        writing = os.open(target, flags, stat.S_IMODE(status.st_mode))
        try:
            data = os.read(reading, PIECE)
            while data:
                data = data[os.write(writing, data) :] or os.read(reading, PIECE)
            os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(writing)
    finally:
        os.close(reading)
