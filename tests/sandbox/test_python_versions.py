"""Which Python a repository asks for, out of the files that it may say so in."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.recipes import python_choice
from sandbox.recipes.python_choice import Choice, Python, choose_python
from sandbox.recipes.python_versions import wanted_python

PROJECT = '[project]\nname = "p"\nrequires-python = "{}"\n'
POETRY = '[tool.poetry.dependencies]\npython = "{}"\n'


def checkout(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "best", "file"),
    [
        ({"pyproject.toml": PROJECT.format(">=3.7,<3.9")}, "3.8", "pyproject.toml"),
        ({"pyproject.toml": PROJECT.format(">=3.13")}, "3.13", "pyproject.toml"),
        ({"pyproject.toml": PROJECT.format("~=3.8.2")}, "3.8", "pyproject.toml"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = ">=3.7,<3.10"\n'}, "3.9", "pyproject.toml"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "~3.8"\n'}, "3.8", "pyproject.toml"),
        ({"setup.cfg": "[options]\npython_requires = ==3.9.*\n"}, "3.9", "setup.cfg"),
        ({"setup.py": "from setuptools import setup\nsetup(python_requires='<3.8')\n"}, "3.7", "setup.py"),
        ({".python-version": "3.9.18\n"}, "3.9", ".python-version"),
        ({"runtime.txt": "python-3.10.4\n"}, "3.10", "runtime.txt"),
        ({"Pipfile": '[requires]\npython_version = "3.8"\n'}, "3.8", "Pipfile"),
        ({"environment.yml": "dependencies:\n- python=3.7\n- numpy\n"}, "3.7", "environment.yml"),
        ({"pyproject.toml": PROJECT.format("<3.10"),
          "setup.cfg": "[metadata]\nclassifiers =\n  Programming Language :: Python :: 3.7\n"},
         "3.7", "pyproject.toml"),
        ({"pyproject.toml": PROJECT.format("<3.10"), "tox.ini": "[tox]\nenvlist = lint, py{37,38}-x\n"},
         "3.8", "pyproject.toml"),
    ],
)  # fmt: skip
def test_the_best_version_of_what_a_file_asks_for(
    tmp_path: Path, files: Mapping[str, str], best: str, file: str
) -> None:
    wanted = wanted_python(checkout(tmp_path, files))
    assert wanted is not None
    assert (wanted.nearest(11)[0], wanted.file) == (best, file)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"pyproject.toml": PROJECT.format("latest")},
        {"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.7 || ^3.9"\n'},
        {".python-version": "pypy3.9\n"},
        {".python-version": "system\n"},
        {"environment.yml": "dependencies:\n- python\n"},
        {"environment.yml": "dependencies: !!python/object:os.system\n"},
        {"setup.py": "setup(python_requires=read())\n"},
        {"setup.cfg": "[metadata]\nclassifiers = Programming Language :: Python :: 3.7\n"},
        {"pyproject.toml": PROJECT.format("==3." + "9" * 5000)},
        {
            "pyproject.toml": PROJECT.format(
                "==3." + "9" * 400 + "".join(f",!=3.{n}" for n in range(40))
            )
        },
        {"pyproject.toml": PROJECT.format(",".join(f"!=3.9.{n}" for n in range(31)))},
        {"pyproject.toml": POETRY.format("^" + "9" * 5000)},
        {"pyproject.toml": POETRY.format("^" + "9" * 400)},
        {"pyproject.toml": POETRY.format(",".join(["^3.7"] * 200))},
        {
            "pyproject.toml": '[tool.poetry.dependencies]\npython = {version = "^'
            + "9" * 5000
            + '"}\n'
        },
        {"setup.cfg": "[options]\npython_requires = >=3." + "9" * 5000 + "\n"},
    ],
)
def test_what_says_nothing_or_cannot_be_read_asks_for_nothing(
    tmp_path: Path, files: Mapping[str, str]
) -> None:
    assert wanted_python(checkout(tmp_path, files)) is None


def test_metadata_goes_before_what_developers_use_and_owners_before_both(tmp_path: Path) -> None:
    files = {"pyproject.toml": PROJECT.format(">=3.9"), ".python-version": "3.8"}
    wanted = wanted_python(checkout(tmp_path, files))
    assert str(wanted) == "pyproject.toml asks for Python >=3.9"
    named = wanted_python(tmp_path, "3.10")
    assert str(named) == ".github/evoscale.yml asks for Python ==3.10.*"


def test_a_range_that_our_own_python_is_in_asks_nobody(tmp_path: Path) -> None:
    checkout(tmp_path, {"pyproject.toml": PROJECT.format(">=3.6")})
    assert choose_python(tmp_path, "", pytest.fail) == Choice()


def test_an_image_goes_before_what_is_installed(tmp_path: Path) -> None:
    checkout(tmp_path, {"pyproject.toml": PROJECT.format("<3.9")})
    found = choose_python(tmp_path, "", lambda version: f"python-{version}-0")
    assert found.python == Python("3.8", below="python-3.8-0")
    assert found.note == "Python 3.8 of the image python-3.8-0: pyproject.toml asks for Python <3.9"
    assert found.python.markers["python_full_version"] == "3.8.99"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("<3.9", "neither an image nor this machine has one; it was tried with 3."),
        ("<3", "which boxes do not run; it was tried with 3."),
    ],
)
def test_where_none_can_be_had_the_note_says_what_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, said: str
) -> None:
    monkeypatch.setattr(python_choice.python_found, "installed", lambda _: None)
    checkout(tmp_path, {"pyproject.toml": PROJECT.format(asked)})
    found = choose_python(tmp_path, "", lambda _: None)
    assert found.python is None
    assert found.note.startswith(f"pyproject.toml asks for Python {asked}")
    assert said in found.note
