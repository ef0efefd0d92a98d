"""A second opinion on the winner: each FAIL_TO_PASS test and its twins, shown blind, one to a box.

The judge is this process. It sees nothing but the exit code of a child that ran one test, and only
it knows whether that was the test or a twin that must fail (`sandbox.twins`): they have the same
name, in the same file, and come in an order drawn for each trial. Code that forces a pass by
whatever means forces it for the twin as well. What it does not catch: answers that were learnt by
heart, and code that reads the test's own source to find out which of the two it runs.
"""

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.contract import Limits, Patch, Sandbox, TestSpec
from sandbox.masking import is_masked
from sandbox.policy import Exceptions, judged
from sandbox.reports import OK, TESTS_FAILED
from sandbox.runner import lay
from sandbox.trial import go, java, python, rust, script
from sandbox.trial.showing import Showing, Tree
from sandbox.unified_diff import FileChange

MOST_TESTS = 5
Show = Callable[[Tree, str], Iterator[Showing]]
SHOWN: Mapping[str, Show] = {
    **dict.fromkeys(("pytest", "unittest"), python.showings),
    **dict.fromkeys(script.RUNNERS, script.showings),
    "go": go.showings,
    "cargo": rust.showings,
    **dict.fromkeys(java.RUNNERS, java.showings),
}
"""By runner, how its tests are shown; those of others are not tried."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one showing: its exit code, None out of time; or why nothing could be laid."""

    exit_code: int | None
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it.

    `untried` tests have no twin to rely on, were beyond the first few, or are known by shape only.
    """

    tried: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def said(self) -> str:
        """What it found, in one sentence; empty where nothing was to be tried."""
        count = len(self.tried) + len(self.untried)
        if not self.tried:
            return "no test could be turned around" if count else ""
        return (
            f"{len(self.tried)} of {count} passed alone, and failed when they were turned around "
            "without the code knowing it"
        )


def blind_trial(sandbox: Sandbox, spec: TestSpec, patch: Patch, limits: Limits) -> Trial:
    """Run the FAIL_TO_PASS tests of a patch that policy let through, and their twins.

    Raises:
        SandboxUnavailableError: no box could be opened, or the box failed.
    """
    show = SHOWN.get(spec.command.runner)
    if show is None:
        return Trial(untried=spec.fail_to_pass)
    showings = _showings(sandbox, spec, limits, show)
    changes = judged(patch, Exceptions(named=spec.named))
    secrets.SystemRandom().shuffle(showings)
    tried = {showing.test for showing in showings}
    for showing in showings:
        if showing.test not in tried:
            continue
        outcome = _shown(sandbox, spec, limits, showing, changes)
        if outcome.obstacle is not None and showing.own is None:
            return Trial((), spec.fail_to_pass, outcome.obstacle)
        failure = _failure(showing, outcome.exit_code)
        if outcome.obstacle is not None:  # it reaches what was edited, or a line like it
            tried.remove(showing.test)
        elif failure is not None:
            if not _says_nothing(sandbox, spec, limits, showing, changes):
                return _trial(spec, tried, failure)
            tried.remove(showing.test)
    return _trial(spec, tried, None)


def _trial(spec: TestSpec, tried: Collection[str], failure: str | None) -> Trial:
    untried = tuple(test for test in spec.fail_to_pass if test not in tried)
    return Trial(tuple(test for test in spec.fail_to_pass if test in tried), untried, failure)


def _shown(
    sandbox: Sandbox,
    spec: TestSpec,
    limits: Limits,
    showing: Showing,
    changes: Sequence[FileChange],
) -> Outcome:
    """What a test does in a fresh box with these changes."""
    edited = [] if showing.file is None else [showing.file]
    laid = [each for each in spec.files if all(each.path != file.path for file in edited)]
    first, last = ([], edited) if showing.own is None else (edited, [])
    with sandbox.open(spec.image, limits) as box:
        obstacle = lay(box, (), first) or lay(box, showing.fitted(changes), [*laid, *last])
        if obstacle is not None:
            return Outcome(None, obstacle)
        return Outcome(box.exec(showing.argv).exit_code)


def _says_nothing(
    sandbox: Sandbox,
    spec: TestSpec,
    limits: Limits,
    showing: Showing,
    changes: Sequence[FileChange],
) -> bool:
    """Whether it is not the patch that is to blame, which one more box tells.

    Without any patch a twin passes: no test ran, or the twin cannot fail. Unedited the test passes:
    what was edited is not built, or breaks a rule of the repository's. Its file is laid then too,
    so that code that would have this said has to look at what the file holds, or how much.
    """
    if showing.turned:
        return _shown(sandbox, spec, limits, showing, ()).exit_code == OK
    unedited = showing.unedited()
    return unedited is not None and _shown(sandbox, spec, limits, unedited, changes).exit_code == OK


def _failure(showing: Showing, exit_code: int | None) -> str | None:
    if showing.turned and exit_code == OK:
        return f"{showing.test} passes as well when it is turned around so that it can only fail"
    if not showing.turned and exit_code != OK:
        how = {TESTS_FAILED: "fails", None: "runs out of time"}.get(exit_code)
        return f"{showing.test} {how or f'ends with exit code {exit_code}'} when it is run alone"
    return None


def _showings(sandbox: Sandbox, spec: TestSpec, limits: Limits, show: Show) -> list[Showing]:
    """All that is shown, made from a tree that no candidate has touched."""
    with sandbox.open(spec.image, limits) as box:
        tree = Tree(box, spec)
        named = [test for test in spec.fail_to_pass if not is_masked(test, spec.masked)]
        return [each for test in named[:MOST_TESTS] for each in show(tree, test)]
