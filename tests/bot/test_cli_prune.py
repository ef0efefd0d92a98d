"""`evoscale sandbox prune` says what went and what is left, of images and of downloads."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import app
from tests.sandbox.conftest import opened


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that boxes' user can reach, as a cache has to be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_files_of_downloads_are_told_apart_from_images(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened("bubblewrap")
    monkeypatch.setenv("EVOSCALE_SANDBOX_CACHE_DIR", str(place))
    for name in ("old", "new"):
        path = place / "downloads" / "pip" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 2 * 1024**2)
    os.utime(place / "downloads" / "pip" / "old", (1000, 1000))
    ran = CliRunner().invoke(app, ["sandbox", "prune", "--sandbox", "bubblewrap"])
    assert ran.exit_code == 0, ran.output
    images, downloads = ran.stdout.splitlines()
    assert images.endswith("0 images removed: 0 MiB freed, 0 MiB of images are left")
    assert downloads == "1 files of downloads removed: 2 MiB freed, 2 MiB of downloads are left"
