"""What a Python repository says about itself, read from its files without running any of them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from packaging.version import InvalidVersion, Version

from sandbox.recipes.conda_file import read_conda
from sandbox.recipes.declared import Declared, stays_inside
from sandbox.recipes.hints import read_hints
from sandbox.recipes.needless import left_out, needed, sources_of
from sandbox.recipes.pyproject_file import read_pyproject
from sandbox.recipes.python_locks import Pins, read_pins
from sandbox.recipes.requirement_files import askable, names_of, read_requirement_files
from sandbox.recipes.setup_files import read_ini_files, read_setup_cfg, read_setup_py

READERS = (
    read_pyproject,
    read_setup_cfg,
    read_setup_py,
    read_ini_files,
    read_requirement_files,
)
"""In the order in which they count where only one can."""

PYTEST_FILES = ("test_*.py", "*_test.py")
OTHER_FILES = (*PYTEST_FILES, "test*.py")
NO_VERSION = "0.0.0"
PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,80}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Project:
    """A repository's declarations made safe: names are plain, paths exist and stay inside.

    `runner` is what its tox or nox file starts; `python_files` is set where tests are in files
    that pytest would not look into.
    """

    name: str
    version: str
    requirements: tuple[str, ...]
    paths: tuple[str, ...]
    entry_points: Mapping[str, Mapping[str, str]]
    made_up_files: Mapping[str, str]
    addopts: str
    uses_pytest: bool
    left_out: tuple[str, ...] = ()
    pins: Pins = field(default_factory=Pins)
    runner: str = ""
    runner_from: str = ""
    python_files: str = ""


def read_project(checkout: Path, markers: Mapping[str, str] | None = None) -> Project:
    """Read all that the usual files declare; what cannot be read is as if it were not there.

    `markers` is as in `askable`.
    """
    found = Declared()
    for reader in READERS:
        found = found.plus(reader(checkout))
    hints = read_hints(checkout)
    found = found.plus(Declared(requirements=hints.requirements))
    found = found.plus(read_conda(checkout, names_of(found.requirements)))
    name = found.name if PLAIN_NAME.fullmatch(found.name) else "repository"
    roots = dict.fromkeys((*found.paths, "src"))
    inside = [p for p in roots if stays_inside(p) and p != "." and (checkout / p).is_dir()]
    asked = askable(found.requirements, name, markers)
    requirements = needed(asked, checkout)
    return Project(
        name=name,
        version=_version(found.version),
        requirements=requirements,
        paths=(*inside, "."),
        entry_points=found.entry_points,
        made_up_files={
            file: text
            for file, text in found.made_up_files.items()
            if not os.path.lexists(checkout / file) and (checkout / file).parent.is_dir()
        },
        addopts=found.addopts,
        uses_pytest=found.uses_pytest or any(r.startswith("pytest") for r in requirements),
        left_out=left_out(asked),
        pins=read_pins(checkout, markers),
        runner=hints.runner,
        runner_from=hints.file,
        python_files=_python_files(checkout),
    )


def _python_files(checkout: Path) -> str:
    """Patterns for pytest where the tests are in `tests.py` or `testsomething.py` alone."""
    sources = [path.name for path in sources_of(checkout)]
    if any(fnmatch(name, pattern) for name in sources for pattern in PYTEST_FILES):
        return ""
    return " ".join(OTHER_FILES) if any(fnmatch(n, "test*.py") for n in sources) else ""


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion:
        return NO_VERSION
