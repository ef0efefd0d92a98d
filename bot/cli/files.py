"""Files that a command writes for a person: whole or not at all, and refused before the work."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from engine.errors import BadInputError

NO_ROOM = frozenset({errno.EDQUOT, errno.ENOSPC, errno.EROFS})


def check_writable(path: Path) -> None:
    """Say so now, not after an hour's work, where `path` cannot be written.

    Raises:
        BadInputError: its folder is missing or not ours to write, or it is a folder itself.
    """
    folder = path.resolve().parent
    if path.is_dir():
        raise BadInputError(f"{path} is a folder; name a file to write")
    if not folder.is_dir():
        raise BadInputError(f"{path} cannot be written: there is no folder {folder}; make it first")
    target = path if path.exists() else folder
    if not os.access(target, os.W_OK):
        raise BadInputError(f"{path} cannot be written: permission denied; name another file")


def write_whole(path: Path, text: str) -> None:
    """Write `text` aside and put it in the place of `path`; a pipe or device is written as it is.

    Raises:
        BadInputError: it cannot be written; what was there before is still there.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text)
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise BadInputError(
            f"{path} cannot be written: {said}; make room or name another"
        ) from error


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with aside.open("wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        if path.exists():
            aside.chmod(path.stat().st_mode & 0o777)
        aside.replace(path)
    except OSError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
