"""Wheels for another Python than the one that runs this program, by the real pip."""

import zipfile
from pathlib import Path

import pytest

from sandbox.recipes import wheels
from sandbox.recipes.python_choice import Python

ASKS = "Metadata-Version: 2.1\nName: picky\nVersion: 1\nRequires-Python: >=3.8,!=3.9.0,!=3.9.1\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder instead of an index, with a package that leaves out a Python's first releases."""
    place = tmp_path / "shelf"
    place.mkdir()
    with zipfile.ZipFile(place / "picky-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("picky-1.dist-info/METADATA", ASKS)
        wheel.writestr("picky-1.dist-info/WHEEL", WHEEL)
        wheel.writestr("picky-1.dist-info/RECORD", "")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return place


@pytest.mark.parametrize("version", ["3.9", "3.9.18", "3.10.0rc1", "3.10.0+"])
def test_a_package_that_leaves_out_the_first_releases_of_a_python_is_had_for_it(
    shelf: Path, tmp_path: Path, version: str
) -> None:
    assert shelf.is_dir()
    pip = wheels.for_python(Python(version).markers)
    assert wheels.download(["picky"], tmp_path / "wheels", pip) == ()
    assert (tmp_path / "wheels/picky-1-py3-none-any.whl").is_file()
