"""The Python of an environment: the base image's, or another where the repository asks for one."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.recipes import python_found
from sandbox.recipes.layers import Layer
from sandbox.recipes.python_versions import Wanted, wanted_python

MOST_IMAGES = 3
"""So many versions are asked of a registry; each may cost some seconds where none answers."""
ANY_PATCH = "99"

FindImage = Callable[[str], str | None]
"""The name of an image with a Python of this version (`3.9`) to build on, or None."""


@dataclass(frozen=True, slots=True)
class Python:
    """Another Python than the base image's: of an image to build on, or of a layer to lay."""

    version: str
    below: str | None = None
    layer: Layer | None = None

    @property
    def short(self) -> str:
        """As `3.9`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def markers(self) -> dict[str, str]:
        """What requirements may make depend on it, by the names of their markers."""
        full = self.version if self.version != self.short else f"{self.short}.{ANY_PATCH}"
        return {
            "python_version": self.short,
            "python_full_version": full,
            "implementation_version": full,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """`python` is None for the base image's own; `note` says why it is what it is, if it has to."""

    python: Python | None = None
    note: str = ""


def choose_python(checkout: Path, named: str, image: FindImage) -> Choice:
    """The Python for a checkout, whose owners may have `named` one.

    The base image's where that is supported, else one of a registry's image, else one that is
    installed here; and where none can be had, the base image's all the same.
    """
    wanted = wanted_python(checkout, named)
    own = sys.version_info[1]
    if wanted is None or wanted.takes(own):
        return Choice()
    versions = wanted.nearest(own)
    found = _of_image(versions, image) or _of_machine(versions)
    if found is None:
        return Choice(note=_not_found(wanted, versions, own))
    where = f"of the image {found.below}" if found.below else "of this machine"
    return Choice(found, f"Python {found.version} {where}: {wanted}")


def _of_image(versions: Sequence[str], image: FindImage) -> Python | None:
    for version in versions[:MOST_IMAGES]:
        name = image(version)
        if name is not None:
            return Python(version, below=name)
    return None


def _of_machine(versions: Sequence[str]) -> Python | None:
    for version in versions:
        found = python_found.installed(version)
        if found is not None:
            return Python(found.version, layer=python_found.layer(found))
    return None


def _not_found(wanted: Wanted, versions: Sequence[str], own: int) -> str:
    if not versions:
        return f"{wanted}, which boxes do not run; it was tried with 3.{own}"
    return f"{wanted}; neither an image nor this machine has one; it was tried with 3.{own}"
