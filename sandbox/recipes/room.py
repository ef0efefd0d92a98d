"""How much a download may write: strangers' packages reach this machine's disk before any box."""

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import ImageBuildError
from sandbox.session import BUILD_RESERVE_BYTES

MOST_BYTES = 4 * 1024**3
MOST_FILES = 400_000


@dataclass(frozen=True, slots=True)
class Room:
    """The folders that a download writes to, and how much they may hold together.

    `advice` says what the repository's owner can do where it is too little.
    """

    step: str
    folders: Sequence[Path]
    advice: str
    most_bytes: int = MOST_BYTES
    most_files: int = MOST_FILES

    def check(self) -> None:
        """Raise where the download has outgrown its room, or the disk has none left.

        Raises:
            ImageBuildError: the folders hold more than they may.
            OSError: no more than the reserve of the disk is left, whoever took the rest.
        """
        for folder in self.folders:
            if shutil.disk_usage(folder).free < BUILD_RESERVE_BYTES:
                gib = BUILD_RESERVE_BYTES // 1024**3
                raise OSError(errno.ENOSPC, f"less than {gib} GiB of disk is free for packages")
        size, count = held(self.folders)
        if size > self.most_bytes or count > self.most_files:
            reached = f"{size // 1024**2} MiB in {count} files so far"
            most = f"{self.most_bytes // 1024**2} MiB and {self.most_files} files"
            reason = f"the packages are too large: {reached}, of at most {most}; {self.advice}"
            raise ImageBuildError(self.step, reason)


def held(folders: Sequence[Path]) -> tuple[int, int]:
    """The bytes and the number of the files below these, while others come and go."""
    size = count = 0
    waiting = [os.fspath(folder) for folder in folders]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        size += _size(entry)
                        count += 1
        except FileNotFoundError:
            continue  # the program removed it between two looks
    return size, count


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0  # it was removed since the folder was read
