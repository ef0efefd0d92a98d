"""Projects beside the one that a search works on, whose files its patch touches all the same.

The search runs one project's tests. Before a patch is offered, the tests of every other project
that it reaches are run as well: each that passes without it has to pass with it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.base_runs import GOOD, forget, run_base
from engine.contract import Document
from engine.obstacles import none_passes, unusable
from engine.repo_config import RepoConfig
from sandbox.contract import Limits, Patch, Sandbox, TestSpec
from sandbox.errors import ImageBuildError, StoppedError
from sandbox.grading import grade
from sandbox.images import prepare
from sandbox.recipes.steps import HERE
from sandbox.runner import run_tests
from sandbox.settings import SandboxSettings
from sandbox.stops import stoppable
from sandbox.unified_diff import parse

MOST_NAMED = 3
MOST_ASKED = 5
"""A patch for more projects than this is not offered: each may cost a build and four runs."""
STOPPED = "the search was stopped before they had said anything"


class Neighbour(Document):
    """What another project's tests said of a patch; `obstacle` says why they could not be asked."""

    path: str
    kept: int = 0
    of: int = 0
    broken: tuple[str, ...] = ()
    obstacle: str = ""

    @property
    def against(self) -> str | None:
        """What this says against the patch, or None."""
        if self.obstacle:
            return f"it touches {self.path!r}, whose tests cannot be run: {self.obstacle}"
        if self.kept == self.of:
            return None
        broken = ", ".join(self.broken[:MOST_NAMED])
        return f"it touches {self.path!r} and breaks {self.of - self.kept} tests there: {broken}"

    @property
    def said(self) -> str:
        """The same for people, where nothing is against it."""
        return f"{self.path}: {self.kept} of {self.of} tests that passed before pass"


@dataclass(frozen=True, slots=True)
class Asked:
    """The repository, the patch, and where its tests may run.

    `stopped()` says that the job's work is not wanted any more.
    """

    sandbox: Sandbox
    settings: SandboxSettings
    checkout: Path
    patch: Patch
    named: frozenset[str]
    shelf: Path
    stopped: Callable[[], bool]


def touched(config: RepoConfig, own: str, patch: Patch) -> tuple[str, ...]:
    """The other projects of which a patch touches files; a file belongs to the innermost."""
    if own == HERE:
        return ()
    paths = [path for change in parse(patch) for path in change.paths]
    found = {project_of(path, config.projects) for path in paths}
    return tuple(sorted(found - {"", own}))


def project_of(path: str, projects: Iterable[str]) -> str:
    """The innermost project that a file lies in; empty for none."""
    holding = [each for each in projects if path.startswith(f"{each}/")]
    return max(holding, key=len, default="")


def neighbours(config: RepoConfig, own: str, asked: Asked) -> tuple[Neighbour, ...]:
    """Run the tests of the other projects that a patch touches, without it and with it.

    It ends with the first that speaks against the patch. A stop ends a build or a run under way: a
    winner whose neighbours were not asked to the end is not offered.

    Raises:
        SandboxUnavailableError: the sandbox, not the tests, failed.
    """
    paths = touched(config, own, asked.patch)
    if len(paths) > MOST_ASKED:
        most = f"the patch touches {len(paths)} other projects; at most {MOST_ASKED} are asked"
        return (Neighbour(path=paths[MOST_ASKED], obstacle=most),)
    looked: list[Neighbour] = []
    for path in paths:
        try:
            with stoppable(asked.stopped):
                looked.append(_look(config, path, asked))
        except StoppedError:
            looked.append(Neighbour(path=path, obstacle=STOPPED))
        if looked[-1].against:
            break
    return tuple(looked)


def _look(config: RepoConfig, path: str, asked: Asked) -> Neighbour:
    steps = config.projects[path].steps(path)
    try:
        made = prepare(
            asked.sandbox, asked.checkout, test_command=None, settings=asked.settings, steps=steps
        )
    except ImageBuildError as error:
        return Neighbour(path=path, obstacle=str(error))
    if made.built:
        forget(asked.shelf, made.image)
    limits = asked.settings.limits()
    suite = TestSpec(made.image, made.command, named=asked.named)
    runs = run_base(asked.sandbox, suite, limits, asked.shelf)
    good = runs.with_status(GOOD)
    obstacle = unusable(runs.first, limits.wall_clock_s)
    if obstacle or not good:
        return Neighbour(path=path, obstacle=obstacle or none_passes(runs.first))
    broken = _broken(asked, replace(runs.suite, pass_to_pass=good), limits)
    return Neighbour(path=path, kept=len(good) - len(broken), of=len(good), broken=broken)


def _broken(asked: Asked, spec: TestSpec, limits: Limits) -> Sequence[str]:
    """The tests that fail with the patch, each time of two."""
    broken = spec.pass_to_pass
    for _ in range(2):
        report = run_tests(asked.sandbox, spec, asked.patch, limits)
        failed = frozenset(grade(spec, report).broken)
        broken = tuple(test for test in broken if test in failed)
        if not broken:
            break
    return broken
