"""What a recipe gives to make an image: its content's name, files, and a finishing command."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.contract import TestCommand
from sandbox.recipes.place import REPORT


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

    def dependencies(self, checkout: Path) -> Layer:
        """The environment without the repository: what another commit can use again."""
        ...

    def source(self, checkout: Path) -> Layer:
        """The repository itself, importable, on top of its environment."""
        ...

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """Ways to run the tests, best first; the first that the runner accepts is taken."""
        ...
