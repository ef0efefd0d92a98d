"""The steps of one environment in the words of `.github/evoscale.yml`: set by owners, or found.

What a recipe finds is written in the same words, so that whoever reads why an environment cannot be
built can paste the text into the file and change the step that is wrong.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

HERE = "."
LINE = 100


@dataclass(frozen=True, slots=True)
class Steps:
    """What is empty, or None, the recipe finds. `path` is the project's folder.

    `toolchains` are languages whose programs are needed besides its own; `packages` replace the
    ones that the manifests name; `python` is a version as `3.9`; `install` are command lines that
    run in the image, without any network, after the files are laid; `report` is the format of what
    `test_command` prints, or of the `report_files` that it writes.
    """

    path: str = HERE
    language: str = ""
    toolchains: tuple[str, ...] = ()
    packages: tuple[str, ...] | None = None
    install: tuple[str, ...] = ()
    test_command: str = ""
    report: str = ""
    report_files: tuple[str, ...] = ()
    python: str = ""

    @property
    def test_argv(self) -> tuple[str, ...] | None:
        """The test command as argv, or None where the recipe finds it."""
        return tuple(shlex.split(self.test_command)) if self.test_command else None

    @property
    def install_argvs(self) -> tuple[tuple[str, ...], ...]:
        """The install commands as argvs."""
        return tuple(tuple(shlex.split(line)) for line in self.install)


FOUND = Steps()
"""Nothing set: the recipe finds everything."""


def as_text(projects: Sequence[Steps]) -> str:
    """The steps as text for `.github/evoscale.yml`; what is left to the recipe is left out."""
    said = {steps.path: _keys(steps) for steps in projects}
    whole = said[HERE] if list(said) == [HERE] else {"projects": said}
    return yaml.safe_dump(whole, sort_keys=False, width=LINE, allow_unicode=True) if whole else ""


def _keys(steps: Steps) -> dict[str, object]:
    keys: dict[str, object] = {
        "language": steps.language,
        "python": steps.python,
        "toolchains": list(steps.toolchains),
        "packages": list(steps.packages or ()),
        "install": list(steps.install),
        "test_command": steps.test_command,
        "report": steps.report,
        "report_files": list(steps.report_files),
    }
    is_set = steps.packages is not None
    return {key: value for key, value in keys.items() if value or (key == "packages" and is_set)}
