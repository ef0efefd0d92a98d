"""Lock files of Python projects, read as pins: the versions that somebody has seen work together.

Only names with one version are taken, from an index; what a lock holds for several platforms, or
from an address, a folder or a git repository, is left open.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sandbox.recipes.declared import table, text_of

LOCK_BYTES = 16 * 1024 * 1024
ELSEWHERE = frozenset(
    {"git", "url", "path", "directory", "editable", "virtual", "vcs", "archive", "file", "hg"}
)


@dataclass(frozen=True, slots=True)
class Pins:
    """`name==version` lines, and the file that they are from; empty where there is none."""

    file: str = ""
    lines: tuple[str, ...] = ()


def read_pins(checkout: Path) -> Pins:
    """The pins of the first lock file that has any."""
    for name, read in READERS.items():
        lines = _single(read(text_of(checkout / name, LOCK_BYTES)))
        if lines:
            return Pins(name, lines)
    return Pins()


def _single(found: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    versions: dict[str, set[str]] = {}
    for name, version in found:
        try:
            versions.setdefault(canonicalize_name(name, validate=True), set()).add(
                str(Version(version))
            )
        except (InvalidVersion, ValueError):
            continue
    return tuple(f"{name}=={min(v)}" for name, v in sorted(versions.items()) if len(v) == 1)


def _packages(key: str) -> Callable[[str], Iterable[tuple[str, str]]]:
    def read(text: str) -> Iterable[tuple[str, str]]:
        listed = _toml(text).get(key)
        for entry in listed if isinstance(listed, list) else ():
            package = table(entry)
            source = table(package, "source")
            other = ELSEWHERE & {*package, *source, str(source.get("type", ""))}
            if not other:
                yield str(package.get("name", "")), str(package.get("version", ""))

    return read


def _pipfile(text: str) -> Iterable[tuple[str, str]]:
    try:
        data = table(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return
    for group in ("default", "develop"):
        for name, entry in table(data, group).items():
            version = str(table(entry).get("version", ""))
            if version.startswith("=="):
                yield str(name), version.removeprefix("==")


def _toml(text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


READERS: Mapping[str, Callable[[str], Iterable[tuple[str, str]]]] = {
    "uv.lock": _packages("package"),
    "poetry.lock": _packages("package"),
    "pdm.lock": _packages("package"),
    "pylock.toml": _packages("packages"),
    "Pipfile.lock": _pipfile,
}
