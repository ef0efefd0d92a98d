"""Which Pythons a repository supports, read from its files without running any of them.

What its metadata asks for counts; what names one version for those who develop it counts where the
metadata asks for none. Classifiers and tox environments are not kept up to date, so they only say
which of the supported ones comes first.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet

from sandbox.recipes.conda_file import conda_python
from sandbox.recipes.declared import ini_of, strings, table, text_of, toml_of
from sandbox.recipes.pyproject_file import poetry_range
from sandbox.recipes.setup_files import setup_arguments

MINORS = range(7, 20)
"""Of Python 3: what is sent into boxes runs from 3.7 on, and nobody knows the end."""
PATCHES = range(31)
SHOWN = 60
LONGEST = 500
MOST_PARTS = 30
"""Of what asks for a range; nobody writes more, and each part is looked at for every release."""
PINNED = re.compile(r"(?:python-|cpython-)?3\.(\d{1,2})(?:\.\d+)?(?:\D.*)?")
CLASSIFIER = re.compile(r"Programming Language :: Python :: 3\.(\d{1,2})\b")
TOX = re.compile(r"\bpy3\.?(\d{1,2})\b")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A range of Pythons, and where it is asked for; `first` are minors that go before others."""

    range: SpecifierSet
    file: str
    first: frozenset[int] = frozenset()

    def takes(self, minor: int) -> bool:
        """Whether some release of 3.`minor` is in the range."""
        return any(self.range.contains(f"3.{minor}.{patch}") for patch in PATCHES)

    def nearest(self, minor: int) -> tuple[str, ...]:
        """The versions in the range, as `3.9`, the best first: named ones, then what is near."""
        taken = [each for each in MINORS if self.takes(each)]
        ranked = sorted(taken, key=lambda each: (each not in self.first, abs(each - minor), each))
        return tuple(f"3.{each}" for each in ranked)

    def __str__(self) -> str:
        shown = str(self.range)
        return f"{self.file} asks for Python {shown if len(shown) <= SHOWN else 'in a long range'}"


def wanted_python(checkout: Path, named: str = "") -> Wanted | None:
    """What a checkout asks for, or None; `named` is the version that its owners set."""
    stated = [(".github/evoscale.yml", f"=={named}.*")] if named else [*_metadata(checkout)]
    for file, text in (*stated, *_pins(checkout)):
        asked = _range(text)
        if asked is not None:
            return Wanted(asked, file, _hinted(checkout))
    return None


def _range(text: str) -> SpecifierSet | None:
    """A range that can be read and asked; a hostile one could take a second for each question."""
    if len(text) > LONGEST or text.count(",") >= MOST_PARTS:
        return None
    try:
        found = SpecifierSet(text)
        found.contains(f"3.{MINORS[0]}.0")
    except ValueError:
        return None
    return found if len(found) else None


def _metadata(checkout: Path) -> Iterator[tuple[str, str]]:
    data = toml_of(checkout / "pyproject.toml")
    project = table(data, "project").get("requires-python")
    if isinstance(project, str):
        yield "pyproject.toml", project
    poetry = table(data, "tool", "poetry", "dependencies").get("python")
    if poetry is not None:
        yield "pyproject.toml", _poetry(poetry)
    yield "setup.cfg", ini_of(checkout / "setup.cfg").get("options", "python_requires", fallback="")
    literal = setup_arguments(checkout).get("python_requires")
    if isinstance(literal, str):
        yield "setup.py", literal


def _poetry(asked: object) -> str:
    """Poetry's range; each part of `>=3.7,<4` for itself, and none of alternatives."""
    if isinstance(asked, str) and len(asked) > LONGEST:
        return ""
    parts = asked.split(",") if isinstance(asked, str) else [asked]
    ranges = [poetry_range(part) for part in parts]
    return ",".join(ranges) if all(ranges) else ""


def _pins(checkout: Path) -> Iterator[tuple[str, str]]:
    """The files that name the one version which it is developed with."""
    for name in (".python-version", "runtime.txt"):
        lines = text_of(checkout / name).split()
        yield name, _pinned(lines[0] if lines else "")
    pipfile = table(toml_of(checkout / "Pipfile"), "requires")
    for key in ("python_version", "python_full_version"):
        yield "Pipfile", _pinned("".join(strings(pipfile.get(key))))
    yield from conda_python(checkout)


def _pinned(text: str) -> str:
    match = PINNED.fullmatch(text)
    return f"==3.{match[1]}.*" if match else ""


def _hinted(checkout: Path) -> frozenset[int]:
    """The minors that classifiers name, else those of tox."""
    declared: Mapping[str, object] = table(toml_of(checkout / "pyproject.toml"), "project")
    texts = [
        *strings(declared.get("classifiers")),
        *strings(setup_arguments(checkout).get("classifiers")),
        ini_of(checkout / "setup.cfg").get("metadata", "classifiers", fallback=""),
    ]
    found = {int(minor) for text in texts for minor in CLASSIFIER.findall(text)}
    if not found:
        environments = ini_of(checkout / "tox.ini").get("tox", "envlist", fallback="")
        found = {int(minor) for minor in TOX.findall(_spread(environments))}
    return frozenset(found & set(MINORS))


def _spread(envlist: str) -> str:
    """`py{37,38}` as `py37 py38`."""
    return re.sub(
        r"py\{([\d,.\s]+)\}", lambda m: " ".join(f"py{n.strip()}" for n in m[1].split(",")), envlist
    )
