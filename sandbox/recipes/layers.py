"""What a recipe gives to make an image: its content's name, files, and a finishing command."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.contract import TestCommand


@dataclass(frozen=True, slots=True)
class Layer:
    """One image above another. `key` names what decides its content; `lay` fills a directory."""

    key: str
    lay: Callable[[Path], None]
    script: tuple[str, ...]


class Recipe(Protocol):
    """How repositories of one language get their environment and run their tests."""

    def applies(self, checkout: Path) -> bool:
        """Whether this looks like one of its repositories."""
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
