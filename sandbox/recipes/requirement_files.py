"""Reads requirements files, and says which of all requirements can be asked of an index."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sandbox.recipes.declared import Declared, text_of

COMMENT = re.compile(r"(^|\s)#.*$")
INCLUDE = re.compile(r"(?:-r|--requirement)[ =]?(.+)")
KINDS = ("test", "tests", "testing", "dev", "base", "main")


def read_requirement_files(checkout: Path) -> Declared:
    """The lines of all files that are usually called so."""
    names = ["requirements.txt"]
    for kind in KINDS:
        names += [f"requirements-{kind}.txt", f"requirements_{kind}.txt"]
        names += [f"{kind}-requirements.txt", f"{kind}_requirements.txt"]
        names += [f"requirements/{kind}.txt", f"{kind}/requirements.txt"]
    return Declared(
        requirements=tuple(line for name in names for line in requirement_lines(checkout, name))
    )


def requirement_lines(checkout: Path, name: str) -> tuple[str, ...]:
    """A file's lines, included files too, as long as they stay in the repository."""
    return tuple(_lines(checkout.resolve(), checkout / name, set()))


def _lines(checkout: Path, path: Path, seen: set[Path]) -> Iterable[str]:
    resolved = path.resolve()
    if resolved in seen or not resolved.is_relative_to(checkout):
        return
    seen.add(resolved)
    for raw in text_of(resolved).replace("\\\n", " ").splitlines():
        line = COMMENT.sub("", raw).strip()
        include = INCLUDE.match(line)
        if include:
            yield from _lines(checkout, resolved.parent / include[1].strip(), seen)
        elif line and not line.startswith("-"):
            yield line.split(" --")[0]


def askable(
    requirements: Iterable[str], own: str, markers: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Those to ask an index for: no addresses, no markers against this machine, not itself.

    `markers` is what of this machine is not so in the environment.
    """
    here = {"extra": "", **(markers or {})}
    kept: dict[str, None] = {}
    for text in requirements:
        requirement = _read(text)
        if requirement is None:
            continue
        marker, requirement.marker = requirement.marker, None
        is_own = canonicalize_name(requirement.name) == canonicalize_name(own)
        if requirement.url or is_own or (marker is not None and not holds(marker, here)):
            continue
        kept[str(requirement)] = None
    return tuple(sorted(kept))


def _read(text: str) -> Requirement | None:
    try:
        return Requirement(text.strip())
    except (InvalidRequirement, RecursionError):
        return None


def holds(marker: Marker, here: Mapping[str, str]) -> bool:
    """Whether a marker holds; one that compares what cannot be compared does.

    Nothing should hang on it.
    """
    try:
        return marker.evaluate(dict(here))
    except (ValueError, RecursionError):
        return True


def names_of(requirements: Iterable[str]) -> tuple[str, ...]:
    """The names of those that can be read."""
    found = map(_read, requirements)
    return tuple(requirement.name for requirement in found if requirement)
