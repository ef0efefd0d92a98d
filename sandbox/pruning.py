"""Images come and go: by age since their last use, and the longest unused when room runs out.

An image that a box or another image needs is never removed; one that is removed too early is built
again by whoever needs it next. So it is with what pip and npm keep of what they have fetched: they
fetch again what is missing.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.contract import Sandbox, StoredImage
from sandbox.errors import SandboxError
from sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)

DAY_S = 86_400.0
EVERY_S = 60.0
PRUNE_ROUNDS = 60
NPM_PART = re.compile(r"(.*/_cacache/)(content|index)-v[^/]*/.*", re.DOTALL)
SPARED_S = 600.0
"""A download may still be writing what is younger; it is killed before it is as old."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, and what is left."""

    removed: tuple[str, ...]
    freed_bytes: int
    left_bytes: int


def too_many(
    images: Sequence[StoredImage], *, older_than_s: float, most_bytes: int, now: float
) -> list[StoredImage]:
    """The images to remove, longest unused first: the too old, then until the rest fits."""
    left = sum(image.size_bytes for image in images)
    chosen: list[StoredImage] = []
    for image in sorted(images, key=lambda image: image.used_at):
        if now - image.used_at > older_than_s or left > most_bytes:
            chosen.append(image)
            left -= image.size_bytes
    return chosen


def prune(sandbox: Sandbox, *, older_than_s: float, most_bytes: int) -> Pruned:
    """Remove what is too old or too much; what is needed stays.

    An image goes after those that were made from it, so the choice is made again until nothing
    more can be removed.

    Raises:
        SandboxUnavailableError: the back end does not answer.
    """
    removed: list[str] = []
    freed = 0
    while True:
        images = sandbox.images()
        wanted = too_many(images, older_than_s=older_than_s, most_bytes=most_bytes, now=time.time())
        gone = [image for image in wanted if sandbox.discard(image.name)]
        removed += [image.name for image in gone]
        freed += sum(image.size_bytes for image in gone)
        if not gone:
            return Pruned(tuple(removed), freed, sum(image.size_bytes for image in images))


def prune_downloads(folder: Path, *, older_than_s: float, most_bytes: int) -> Pruned:
    """Remove files that package managers have kept for too long, or the longest unused of too many.

    Their time of use is as exact as the file system keeps it, which is often a day. Folders that
    this or an earlier time left empty go too.
    """
    now = time.time()
    found = list(_files(folder))
    folders = _unchanged(folder, now - SPARED_S)
    wanted = too_many(found, older_than_s=older_than_s, most_bytes=most_bytes, now=now)
    old = [each for each in wanted if now - each.used_at > SPARED_S]
    gone = [each for each in _with_indexes(old, found) if _removed(Path(each.name))]
    for each in folders:
        with suppress(OSError):  # it is not empty, or gone
            each.rmdir()
    freed = sum(each.size_bytes for each in gone)
    left = sum(each.size_bytes for each in found) - freed
    return Pruned(tuple(each.name for each in gone), freed, left)


def _with_indexes(gone: Sequence[StoredImage], found: Sequence[StoredImage]) -> list[StoredImage]:
    """What is to go, and before it the index of each of npm's caches that loses content.

    Where npm's index names content that is gone, npm fails and does not ask the registry. Without
    an index it asks, and finds by their digests the archives that are still there.
    """
    parts = {each: NPM_PART.fullmatch(each.name) for each in found}
    losing = {part[1] for each in gone if (part := parts[each]) and part[2] == "content"}
    index = [e for e, part in parts.items() if part and part[2] == "index" and part[1] in losing]
    return list(dict.fromkeys([*index, *gone]))


def _unchanged(folder: Path, since: float) -> list[Path]:
    """The folders below a folder in which nothing came or went since then, the deepest first."""
    found: list[Path] = []
    for parent, _, _ in os.walk(folder, topdown=False):
        with suppress(FileNotFoundError):
            if Path(parent) != folder and Path(parent).lstat().st_mtime < since:
                found.append(Path(parent))
    return found


def _files(folder: Path) -> Iterator[StoredImage]:
    """The files below a folder, told as images are, while others come and go."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            used_at = max(status.st_atime, status.st_mtime)
            yield StoredImage(str(path), status.st_size, used_at)


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        logger.warning("a kept download stays: %s; delete %s", error, path)
        return False
    return True


def tend(sandbox: Sandbox, settings: SandboxSettings, stop: threading.Event) -> None:
    """Every minute clear up after killed processes, every hour prune, until told to stop."""
    rounds = 0
    while not stop.is_set():
        hourly = rounds % PRUNE_ROUNDS == 0
        try:
            _tend_images(sandbox, settings, hourly=hourly)
        except SandboxError as error:
            logger.warning("boxes could not be cleared up: %s", error)
        if hourly:  # whatever becomes of the images
            _tend_downloads(settings)
        rounds += 1
        stop.wait(EVERY_S)


def _tend_images(sandbox: Sandbox, settings: SandboxSettings, *, hourly: bool) -> None:
    sandbox.reap()
    if hourly:
        age_s = settings.images_days * DAY_S
        pruned = prune(sandbox, older_than_s=age_s, most_bytes=settings.images_bytes)
        logger.info("%d images were removed", len(pruned.removed))


def _tend_downloads(settings: SandboxSettings) -> None:
    age_s = settings.images_days * DAY_S
    most = settings.downloads_bytes
    try:
        kept = prune_downloads(settings.downloads, older_than_s=age_s, most_bytes=most)
    except OSError as error:
        logger.warning("kept downloads could not be cleared up: %s", error)
    else:
        logger.info("%d files of downloads were removed", len(kept.removed))
