"""What the owners' own steps add to a recipe: commands, toolchains, a report, a folder."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes.layers import Layer, place_in_repository, program, reported
from sandbox.recipes.steps import HERE, Steps

STEP = "steps"
OUTPUTS: Mapping[str, str] = {
    "junit": "", "jest": "json", "mocha": "json", "tap": "text", "go": "text", "cargo": "both",
}  # fmt: skip
"""The formats that owners may name, and what of a command's output is the report."""
NODE_PATH = "node_modules/.bin"


def project_folder(checkout: Path, steps: Steps) -> Path:
    """The folder of the steps' project.

    Raises:
        ImageBuildError: there is none in the repository, or it leads out of it.
    """
    folder = checkout / steps.path
    inside = folder.resolve().is_relative_to(checkout.resolve())
    if not inside or not folder.is_dir():
        reason = f"the repository has no folder {steps.path!r}; correct `projects`"
        raise ImageBuildError(STEP, reason)
    return folder


def with_install(layer: Layer, steps: Steps) -> Layer:
    """The repository's layer, with the owners' commands run before its commit is made.

    The files that they make belong to the commit, so a run of the tests does not count them as
    changed. They are argvs: no shell reads what a repository's file says.
    """
    if not steps.install:
        return layer
    folder = f"/{place_in_repository(steps.path)}"
    lines = [f"cd {shlex.quote(folder)} || exit 1", "PATH=/opt/env/bin:/opt/project/bin:$PATH"]
    for number, argv in enumerate(steps.install_argvs, 1):
        said = f"install command {number} failed: {shlex.join(argv)}"
        lines.append(f"{shlex.join(argv)} || {{ code=$?; echo {shlex.quote(said)}; exit $code; }}")
    lines.append('cd / && exec "$@"')
    script = ("sh", "-c", "\n".join(lines), "sh", *layer.script)
    return Layer("\n".join([layer.key, folder, *steps.install]), layer.lay, script)


def reporting_as_told(steps: Steps) -> TestCommand | None:
    """The owners' command with the report that they describe; None where they describe none."""
    argv = steps.test_argv
    if not argv or not (steps.report or steps.report_files):
        return None
    runner = steps.report or "junit"
    order: dict[str, object] = {
        "argv": [word for word in argv if word != "{tests}"], "select": "none",
        "path": [NODE_PATH], "output": OUTPUTS[runner],
    }  # fmt: skip
    if steps.report_files:
        order |= {"collect": list(steps.report_files), "output": ""}
    return reported(runner, order, "the repository's owner set this command and its report")


def in_folder(commands: Sequence[TestCommand], steps: Steps) -> Sequence[TestCommand]:
    """The commands as they run in the project's folder; ids stay relative to the repository."""
    if steps.path == HERE:
        return commands
    return [replace(each, argv=_moved(each.argv, steps.path)) for each in commands]


def _moved(argv: Sequence[str], path: str) -> tuple[str, ...]:
    return ("python3", "-I", "-S", "-c", program("in_folder.py"), f"{path}/", *argv)
