"""Images as directories: the toolchain's root file system, and a few trees for each image above."""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.archives import publish, special_files
from sandbox.errors import SandboxUnavailableError
from sandbox.locks import locked
from sandbox.toolchain import fingerprint, write_tar

TREES = ("opt/env", "opt/project", "opt/repo")
"""What an image may hold; a tree it lacks is its base's."""

UNFINISHED = ".unfinished-"


@contextmanager
def _writing(cache_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"{error}; make room in {cache_dir} or set EVOSCALE_SANDBOX_CACHE_DIR"
        raise SandboxUnavailableError("bubblewrap", reason) from error


class Store:
    """The images of one machine; another toolchain has another directory."""

    def __init__(self, cache_dir: Path, owner: int | None) -> None:
        """`owner` is whom an image's files are given to, for root, whose boxes are not root's."""
        self._cache_dir = cache_dir
        self._owner = owner
        self._toolchain = cache_dir / "bubblewrap" / f"toolchain-{fingerprint()}"
        self._images = cache_dir / "bubblewrap" / f"images-{fingerprint()}"

    def has(self, image: str) -> bool:
        """Whether an image of this name can be opened."""
        return (self._images / image / "base").is_file()

    def trees(self, image: str) -> dict[str, Path]:
        """Where each tree of an image lies: its own, else the nearest of its bases'.

        Raises:
            SandboxUnavailableError: there is no such image.
        """
        found: dict[str, Path] = {}
        name = image
        while name:
            if not self.has(name):
                raise SandboxUnavailableError("bubblewrap", f"there is no image {name!r}; build it")
            directory = self._images / name
            for tree in TREES:
                if (directory / tree).is_dir():
                    found.setdefault(tree, directory / tree)
            name = (directory / "base").read_text(encoding="utf-8")
        return found

    @contextmanager
    def making(self, image: str, base: str | None, layer: Path) -> Iterator[Path]:
        """A copy of a layer that becomes the image when the block ends well.

        Raises:
            SandboxUnavailableError: the cache cannot be written.
        """
        with _writing(self._cache_dir):
            _open_directory(self._images)
            prefix = f"{UNFINISHED}{os.getpid()}-"
            made = Path(tempfile.mkdtemp(dir=self._images, prefix=prefix))
        try:
            own = made / "image"
            with _writing(self._cache_dir):
                shutil.copytree(layer, own, symlinks=True, ignore=special_files)
                publish(own, self._owner)
                made.chmod(0o755)
            yield own
            with _writing(self._cache_dir):
                (own / "base").write_text(base or "", encoding="utf-8")
                own.rename(self._images / image)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def rootfs(self) -> Path:
        """The root file system that every image starts from; made on first use.

        Raises:
            SandboxUnavailableError: the cache cannot be written, or the machine lacks something.
        """
        if not self._toolchain.is_dir():
            with locked(self._cache_dir, "bubblewrap-toolchain"), _writing(self._cache_dir):
                if not self._toolchain.is_dir():
                    self._lay_toolchain()
        return self._toolchain

    def reap(self) -> int:
        """Remove what processes left unfinished that are gone; says how many."""
        removed = 0
        for directory in self._images.glob(f"{UNFINISHED}*"):
            process = directory.name.removeprefix(UNFINISHED).split("-")[0]
            if not Path("/proc", process).exists():
                shutil.rmtree(directory, ignore_errors=True)
                removed += 1
        return removed

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


def _open_directory(directory: Path) -> None:
    """Make a directory that every user may enter, whatever this process's umask."""
    for place in reversed((directory, *directory.parents)):
        if not place.exists():
            place.mkdir(exist_ok=True)
            place.chmod(0o755)
