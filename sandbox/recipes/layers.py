"""What a recipe gives to make an image: its content's name, files, and a finishing command."""

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes.place import REPORT
from sandbox.recipes.steps import HERE, Steps


@dataclass(frozen=True, slots=True)
class Layer:
    """One image above another. `key` names what decides its content; `lay` fills a directory."""

    key: str
    lay: Callable[[Path], None]
    script: tuple[str, ...]


def program(name: str) -> str:
    """The text of a program of this package that runs in boxes."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def script(name: str) -> tuple[str, ...]:
    """A program of this package as a command for the base image's Python."""
    return ("python3", "-I", "-S", "-c", program(name))


def reported(runner: str, order: Mapping[str, object], reason: str) -> TestCommand:
    """A command that `run_reported.py` runs: `order` says how, see there."""
    told = json.dumps({"report": REPORT, **order}, sort_keys=True)
    return TestCommand(runner, (*script("run_reported.py"), told, "{tests}"), reason)


def together(layers: Sequence[Layer]) -> Layer:
    """Several layers as one: what an image has of `/opt/env` hides what its base has there."""
    if len(layers) == 1:
        return layers[0]

    def lay(target: Path) -> None:
        for layer in layers:
            layer.lay(target)

    steps = [shlex.join(layer.script) for layer in layers]
    return Layer("\n".join(layer.key for layer in layers), lay, ("sh", "-ec", "\n".join(steps)))


def place_in_repository(path: str) -> str:
    """Where a project's folder lies below the root that images have the repository in."""
    return "opt/repo" if path == HERE else f"opt/repo/{path}"


def leads_out(place: Path, target: Path) -> bool:
    """Whether links lead a place out of the repository that was copied below `target`."""
    root = os.path.realpath(target / place_in_repository(HERE))
    return not Path(os.path.realpath(place)).is_relative_to(root)


def nothing(target: Path) -> None:
    """Lay nothing: what is built is the repository alone."""
    del target


def no_packages(language: str, packages: Sequence[str] | None) -> None:
    """Refuse packages where there is no place to ask for them.

    Raises:
        ImageBuildError: some were named.
    """
    if packages:
        reason = f"`packages` means nothing for {language}, whose packages lie in the repository"
        raise ImageBuildError("packages", f"{reason} or on this machine; remove the key")


class Recipe(Protocol):
    """How repositories of one language get their environment and run their tests."""

    def applies(self, checkout: Path) -> bool:
        """Whether this looks like one of its repositories."""
        ...

    def toolchain(self, checkout: Path) -> Layer | None:
        """The language's programs, below its environment; None where the base image has them.

        Raises:
            ImageBuildError: this machine does not have them; says what to install.
        """
        ...

    def dependencies(self, checkout: Path, packages: Sequence[str] | None = None) -> Layer:
        """The environment without the repository: what another commit can use again.

        `packages` take the place of those that the manifests name.

        Raises:
            ImageBuildError: what it needs is known to be missing, or no package is meant.
        """
        ...

    def source(self, checkout: Path, path: str = HERE) -> Layer:
        """The repository itself, importable, on top of its environment.

        `checkout` is the project's folder, and `path` is where it lies in the repository.
        """
        ...

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """Ways to run the tests, best first; the first that the runner accepts is taken."""
        ...

    def found(self, checkout: Path) -> Steps:
        """What it finds, in the owners' words: packages, and the test command where there is one.

        As settings they give the same layers and the same command.
        """
        ...
