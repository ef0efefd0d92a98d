"""Pythons of this machine: where they are looked for, and which of them are passed over."""

import json
import os
from pathlib import Path

import pytest

from sandbox.recipes.python_found import RELATIVE, Installed, installed, relink

NOBODYS = "3.99"
SAYS = {
    "version": f"{NOBODYS}.2",
    "cpython": True,
    "executable": "/opt/python3.99",
    "library": "/opt/lib/python3.99",
    "plain": True,
}


def program(home: Path, folder: str, said: str, code: int = 0) -> None:
    place = home / folder / "bin" / f"python{NOBODYS}"
    place.parent.mkdir(parents=True)
    place.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {code}\n")
    place.chmod(0o755)


@pytest.mark.parametrize(
    "folder",
    [".pyenv/versions/3.99.2", ".local/share/uv/python/cpython-3.99.2-linux-x86_64-gnu",
     ".local/share/mise/installs/python/3.99.2", ".asdf/installs/python/3.99.2"],
)  # fmt: skip
def test_version_managers_folders_are_looked_into(tmp_path: Path, folder: str) -> None:
    program(tmp_path, folder, json.dumps(SAYS))
    assert installed(NOBODYS, [tmp_path]) == Installed.model_validate(SAYS)
    assert installed("3.98", [tmp_path]) is None


def test_the_newest_release_goes_first_and_not_the_last_by_its_letters(tmp_path: Path) -> None:
    for folder in ("3.99.2", "3.99.18", "3.99-dev"):
        said = {**SAYS, "executable": f"/opt/{folder}"}
        program(tmp_path, f".pyenv/versions/{folder}", json.dumps(said))
    found = installed(NOBODYS, [tmp_path])
    assert found is not None
    assert found.executable == "/opt/3.99.18"


@pytest.mark.parametrize(("folder", "asked"), [("one", 2), ("shims", 3)])
def test_a_program_is_asked_again_when_it_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, asked: int
) -> None:
    home, log = tmp_path / folder, tmp_path / "log"
    home.mkdir()
    place, said = home / f"python{NOBODYS}", json.dumps(SAYS)
    place.write_text(f"#!/bin/sh\necho asked >>{log}\necho '{said}'\n")
    place.chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    for changed in (1000, 1000, 2000):
        os.utime(place, (changed, changed))
        assert installed(NOBODYS, []) == Installed.model_validate(SAYS)
    assert len(log.read_text().splitlines()) == asked


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (json.dumps(SAYS), 1),
        ("no such version is switched on", 0),
        (json.dumps({**SAYS, "cpython": False}), 0),
        (json.dumps({**SAYS, "plain": False}), 0),
        (json.dumps({**SAYS, "version": "3.9.9"}), 0),
        (json.dumps({**SAYS, "more": 1}), 0),
    ],
)
def test_what_is_no_interpreter_to_be_laid_is_passed_over(
    tmp_path: Path, said: str, code: int
) -> None:
    program(tmp_path, ".pyenv/versions/3.99.3", said, code)
    assert installed(NOBODYS, [tmp_path]) is None
    program(tmp_path, ".pyenv/versions/3.99.2", json.dumps(SAYS))
    assert installed(NOBODYS, [tmp_path]) is not None, "the next one is"


def test_a_program_is_told_where_its_library_lies_if_there_is_room_for_it(tmp_path: Path) -> None:
    built, short = "/home/somebody/versions/3.9.18/lib", "/opt/lib"
    for old in (built, short):
        data = f"\x7fELF\0libc.so.6\0{old}\0{old}/else\0".encode()
        (tmp_path / "python").write_bytes(data)
        relink(tmp_path / "python", old)
        found = (tmp_path / "python").read_bytes()
        assert len(found) == len(data)
        assert (f"\0{RELATIVE}\0".encode() in found) is (old == built)
        assert f"{old}/else\0".encode() in found
