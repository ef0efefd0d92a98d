"""Lock files of Python projects, read as pins: the versions that somebody has seen work together.

Only what is from an index is taken, and of a name with several versions the one whose markers hold
here; what is left in several, or is from an address, a folder or a git repository, stays open.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sandbox.recipes.declared import strings, table, text_of
from sandbox.recipes.requirement_files import holds

LOCK_BYTES = 16 * 1024 * 1024
ELSEWHERE = frozenset(
    {"git", "url", "path", "directory", "editable", "virtual", "vcs", "archive", "file", "hg"}
)
OTHER_INDEX = "legacy"
"""What Poetry calls an index of the owners' choice; it stands there with its address."""
MARKERS = ("resolution-markers", "markers", "marker")
"""Where uv, Poetry and the others say for which Pythons and platforms an entry is."""


@dataclass(frozen=True, slots=True)
class Pins:
    """`name==version` lines, and the file that they are from; empty where there is none."""

    file: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Locked:
    """An entry as written; it is for environments where any of `markers` holds, or for all."""

    name: str
    version: str
    markers: tuple[str, ...] = ()


def read_pins(checkout: Path, markers: Mapping[str, str] | None = None) -> Pins:
    """The pins of the first lock file that has any; `markers` is as in `askable`."""
    here = {"extra": "", **(markers or {})}
    for name, read in READERS.items():
        lines = _single(read(text_of(checkout / name, LOCK_BYTES)), here)
        if lines:
            return Pins(name, lines)
    return Pins()


def _single(found: Iterable[_Locked], here: dict[str, str]) -> tuple[str, ...]:
    versions: dict[str, dict[str, bool]] = {}
    for entry in found:
        try:
            name = canonicalize_name(entry.name, validate=True)
            version = str(Version(entry.version))
        except (InvalidVersion, ValueError):
            continue
        known = versions.setdefault(name, {})
        known[version] = known.get(version, False) or _holds(entry.markers, here)
    chosen = {name: _chosen(known) for name, known in versions.items()}
    return tuple(f"{name}=={v[0]}" for name, v in sorted(chosen.items()) if len(v) == 1)


def _chosen(known: Mapping[str, bool]) -> list[str]:
    return list(known) if len(known) == 1 else [v for v, here in known.items() if here]


def _holds(markers: tuple[str, ...], here: dict[str, str]) -> bool:
    """Whether any of them does; one that cannot be read does, so that nothing hangs on it."""
    try:
        return not markers or any(holds(Marker(text), here) for text in markers)
    except (InvalidMarker, RecursionError):
        return True


def _packages(key: str) -> Callable[[str], Iterable[_Locked]]:
    def read(text: str) -> Iterable[_Locked]:
        listed = _toml(text).get(key)
        for entry in listed if isinstance(listed, list) else ():
            package = table(entry)
            if not _from_elsewhere(package):
                name, version = str(package.get("name", "")), str(package.get("version", ""))
                yield _Locked(name, version, _markers(package))

    return read


def _from_elsewhere(package: Mapping[str, object]) -> bool:
    source = table(package, "source")
    if source.get("type") == OTHER_INDEX:
        source = {}
    return bool(ELSEWHERE & {*package, *source, str(source.get("type", ""))})


def _markers(package: Mapping[str, object]) -> tuple[str, ...]:
    """Its markers; Poetry has a table of them where an entry's groups have different ones."""
    found = next((package[key] for key in MARKERS if key in package), ())
    return strings(list(table(found).values()) or found)


def _pipfile(text: str) -> Iterable[_Locked]:
    try:
        data = table(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return
    for group in ("default", "develop"):
        for name, entry in table(data, group).items():
            version = str(table(entry).get("version", ""))
            if version.startswith("=="):
                yield _Locked(str(name), version.removeprefix("=="))


def _toml(text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


READERS: Mapping[str, Callable[[str], Iterable[_Locked]]] = {
    "uv.lock": _packages("package"),
    "poetry.lock": _packages("package"),
    "pdm.lock": _packages("package"),
    "pylock.toml": _packages("packages"),
    "Pipfile.lock": _pipfile,
}
