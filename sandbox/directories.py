"""Images as directories: the toolchain's root file system, and a few trees for each image above."""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from sandbox.archives import publish, special_files
from sandbox.contract import StoredImage
from sandbox.errors import SandboxUnavailableError
from sandbox.locks import in_use, locked, unless_in_use, used_at
from sandbox.toolchain import fingerprint, write_tar

TREES = ("opt/env", "opt/project", "opt/repo")
"""What an image may hold; a tree it lacks is its base's."""

FOLDER = "directories"
"""Where they lie below the cache directory, and what their locks are named after."""
UNFINISHED = ".unfinished-"
HOST_UID = 2_000_000_001
"""Whom root's images belong to and its boxes run as: nobody's id, and no one's subordinate one."""


def must_be_enterable(directory: Path, isolation: str) -> None:
    """Check that the user of root's boxes can reach the cache.

    Raises:
        SandboxUnavailableError: some directory above it is closed to others.
    """
    for place in (directory, *directory.absolute().parents):
        if place.exists() and not place.stat().st_mode & 0o001:
            reason = (
                f"{place} is closed to other users and boxes never run as root; set "
                "EVOSCALE_SANDBOX_CACHE_DIR to a place that is open, such as /var/cache/evoscale"
            )
            raise SandboxUnavailableError(isolation, reason)


class Store:
    """The images of one machine; another toolchain has another directory."""

    def __init__(self, cache_dir: Path, owner: int | None, isolation: str) -> None:
        """`owner` is whom an image's files are given to, for root, whose boxes are not root's.

        `isolation` is who speaks in this store's errors; all back ends of a machine share it.
        """
        self._cache_dir = cache_dir
        self._owner = owner
        self._isolation = isolation
        self._toolchain = cache_dir / FOLDER / f"toolchain-{fingerprint()}"
        self._images = cache_dir / FOLDER / f"images-{fingerprint()}"

    @contextmanager
    def building(self, image: str, base: str | None) -> Iterator[bool]:
        """Hold the right to make an image of a base, which stays; false where it is made by now.

        Raises:
            SandboxUnavailableError: the cache cannot be written.
        """
        kept = nullcontext() if base is None else in_use(self._cache_dir, base)
        with locked(self._cache_dir, f"{FOLDER}-{image}"), kept:
            yield not self.has(image)

    def has(self, image: str) -> bool:
        """Whether an image of this name can be opened: it is there, and so are all its bases."""
        name: str | None = image
        while name:
            name = self._base_of(name)
        return name is not None

    def trees(self, image: str) -> dict[str, Path]:
        """Where each tree of an image lies: its own, else the nearest of its bases'.

        Raises:
            SandboxUnavailableError: there is no such image.
        """
        found: dict[str, Path] = {}
        name = image
        while name:
            base = self._base_of(name)
            if base is None:
                reason = f"there is no image {name!r}; build it"
                raise SandboxUnavailableError(self._isolation, reason)
            directory = self._images / name
            for tree in TREES:
                if (directory / tree).is_dir():
                    found.setdefault(tree, directory / tree)
            name = base
        return found

    def _base_of(self, image: str) -> str | None:
        """What an image was made from, "" for the toolchain alone; None where there is none."""
        try:
            return (self._images / image / "base").read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextmanager
    def making(self, image: str, base: str | None, layer: Path) -> Iterator[Path]:
        """A copy of a layer that becomes the image when the block ends well.

        Raises:
            SandboxUnavailableError: the cache cannot be written.
        """
        with self._writing():
            _open_directory(self._images)
            prefix = f"{UNFINISHED}{os.getpid()}-"
            made = Path(tempfile.mkdtemp(dir=self._images, prefix=prefix))
        try:
            own = made / "image"
            with self._writing():
                shutil.copytree(layer, own, symlinks=True, ignore=special_files)
                publish(own, self._owner)
                made.chmod(0o755)
            yield own
            with self._writing():
                (own / "base").write_text(base or "", encoding="utf-8")
                with suppress(FileNotFoundError):  # one whose base is gone is of no use to anybody
                    (self._images / image).rename(made / "useless")
                own.rename(self._images / image)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    @contextmanager
    def opened(self, image: str) -> Iterator[dict[str, Path]]:
        """An image's trees, which nobody discards before the block ends.

        Raises:
            SandboxUnavailableError: there is no such image, or the cache cannot be written.
        """
        with in_use(self._cache_dir, image):
            yield self.trees(image)

    def images(self) -> list[StoredImage]:
        """All images, those of other toolchains too; names are paths below this store's folder."""
        found = [
            StoredImage(
                str(path.relative_to(self._cache_dir / FOLDER)),
                _size(path),
                used_at(self._cache_dir, path.name) or _made_at(path),
            )
            for path in (self._cache_dir / FOLDER).glob("images-*/*")
            if (path / "base").is_file() and not path.name.startswith(UNFINISHED)
        ]
        others = (self._cache_dir / FOLDER).glob("toolchain-*")
        idle = [path for path in others if path != self._toolchain]
        return [*found, *(StoredImage(p.name, _size(p), _made_at(p)) for p in idle)]

    def discard(self, name: str) -> bool:
        """Remove an image; false where a box or another image needs it.

        Raises:
            SandboxUnavailableError: the cache cannot be written.
        """
        path = self._cache_dir / FOLDER / name
        with unless_in_use(self._cache_dir, path.name) as free:
            if not free or self._is_needed(path) or not path.is_dir():
                return False
            with self._writing():  # renamed first, so that no half of it is ever an image
                doomed = path.with_name(f"{UNFINISHED}{os.getpid()}-{path.name}")
                path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
        return True

    def _is_needed(self, path: Path) -> bool:
        toolchain = path.name.removeprefix("toolchain-")
        if toolchain != path.name:
            others = self._cache_dir / FOLDER / f"images-{toolchain}"
            return path == self._toolchain or any(others.glob("*/base"))
        bases = (base.read_text(encoding="utf-8") for base in path.parent.glob("*/base"))
        return path.name in bases

    def rootfs(self) -> Path:
        """The root file system that every image starts from; made on first use.

        Raises:
            SandboxUnavailableError: the cache cannot be written, or the machine lacks something.
        """
        if not self._toolchain.is_dir():
            with locked(self._cache_dir, f"{FOLDER}-toolchain"), self._writing():
                if not self._toolchain.is_dir():
                    self._lay_toolchain()
        return self._toolchain

    def scratch(self) -> Path:
        """An empty directory for boxes to mount over, each in a namespace of its own.

        Raises:
            SandboxUnavailableError: the cache cannot be written.
        """
        place = self._toolchain.with_name("scratch")
        with self._writing():
            _open_directory(place)
        return place

    def reap(self) -> int:
        """Remove what processes left unfinished that are gone; says how many."""
        removed = 0
        for directory in self._images.glob(f"{UNFINISHED}*"):
            process = directory.name.removeprefix(UNFINISHED).split("-")[0]
            if not Path("/proc", process).exists():
                shutil.rmtree(directory, ignore_errors=True)
                removed += 1
        return removed

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"{error}; make room in {self._cache_dir} or set EVOSCALE_SANDBOX_CACHE_DIR"
            raise SandboxUnavailableError(self._isolation, reason) from error

    def _lay_toolchain(self) -> None:
        parent = self._toolchain.parent
        _open_directory(parent)
        with tempfile.TemporaryDirectory(dir=parent) as made, tempfile.TemporaryFile() as file:
            write_tar(file)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                if hasattr(tarfile, "fully_trusted_filter"):
                    archive.extraction_filter = tarfile.fully_trusted_filter
                archive.extractall(Path(made, "rootfs"))  # noqa: S202  # written by us, just now
            Path(made, "rootfs").chmod(0o755)
            Path(made, "rootfs").rename(self._toolchain)


def _size(directory: Path) -> int:
    """Bytes of the files below a directory."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):  # somebody else is discarding it
                total += Path(parent, name).lstat().st_size
    return total


def _made_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _open_directory(directory: Path) -> None:
    """Make a directory that every user may enter, whatever this process's umask."""
    for place in reversed((directory, *directory.parents)):
        if not place.exists():
            place.mkdir(exist_ok=True)
            place.chmod(0o755)
