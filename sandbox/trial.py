"""A second opinion on the winner: each FAIL_TO_PASS test and its twins, shown blind, one to a box.

The judge is this process. It sees nothing but the exit code of a child that ran one test, and only
it knows whether that was the test or a twin that must fail (`sandbox.twins`): they have the same
name, in the same file, and come in an order drawn for each trial. Code that forces a pass by
whatever means forces it for the twin as well. What it does not catch: answers that were learnt by
heart, and code that reads the test's own source to find out which of the two it runs.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sandbox.contract import Limits, Patch, Sandbox, TestFile, TestSpec
from sandbox.policy import Exceptions, judged
from sandbox.reports import OK, TESTS_FAILED
from sandbox.runner import command_line, lay
from sandbox.twins import twins

MOST_TESTS = 5
SOURCE_BYTES = 1024 * 1024
PYTHON_RUNNERS = frozenset({"pytest", "unittest"})


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `untried` tests have no twin to rely on, or were beyond the first few."""

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


@dataclass(frozen=True, slots=True)
class Showing:
    """One test in one box: as it is, or turned around, in which case it has to fail."""

    test: str
    path: str
    text: str
    turned: bool


def blind_trial(sandbox: Sandbox, spec: TestSpec, patch: Patch, limits: Limits) -> Trial:
    """Run the FAIL_TO_PASS tests of a patch that policy let through, and their twins.

    Raises:
        SandboxUnavailableError: no box could be opened, or the box failed.
    """
    if spec.command.runner not in PYTHON_RUNNERS:
        return Trial(untried=spec.fail_to_pass)
    showings = list(_showings(sandbox, spec, limits))
    tried = tuple(dict.fromkeys(showing.test for showing in showings))
    untried = tuple(test for test in spec.fail_to_pass if test not in tried)
    changes = judged(patch, Exceptions(named=spec.named))
    secrets.SystemRandom().shuffle(showings)
    for showing in showings:
        with sandbox.open(spec.image, limits) as box:
            laid = [f for f in spec.files if f.path != showing.path or not showing.turned]
            twin = [TestFile(showing.path, showing.text)] if showing.turned else []
            obstacle = lay(box, changes, [*laid, *twin])
            if obstacle is not None:
                return Trial((), spec.fail_to_pass, obstacle)
            exit_code = box.exec(command_line(spec.command, [showing.test])).exit_code
        failure = _failure(showing, exit_code)
        if failure is not None:
            return Trial(tried, untried, failure)
    return Trial(tried, untried)


def _failure(showing: Showing, exit_code: int | None) -> str | None:
    if showing.turned and exit_code == OK:
        return f"{showing.test} passes as well when it is turned around so that it can only fail"
    if not showing.turned and exit_code != OK:
        how = {TESTS_FAILED: "fails", None: "runs out of time"}.get(exit_code)
        return f"{showing.test} {how or f'ends with exit code {exit_code}'} when it is run alone"
    return None


def _showings(sandbox: Sandbox, spec: TestSpec, limits: Limits) -> Iterator[Showing]:
    """Every test that has a twin, once as it is and once for each of its twins."""
    laid = {file.path: file.text for file in spec.files}
    with sandbox.open(spec.image, limits) as box:
        for test in spec.fail_to_pass[:MOST_TESTS]:
            path, names = place_of(test, spec.command.runner)
            if not path.endswith(".py") or path.startswith("/") or ".." in path.split("/"):
                continue
            text = laid.get(path)
            if text is None:
                data = box.read_file(path, SOURCE_BYTES)
                text = None if data is None else data.decode("utf-8", errors="replace")
            turned = twins(text, names) if text and names else ()
            if text and turned:
                yield Showing(test, path, text, turned=False)
                yield from (Showing(test, path, twin, turned=True) for twin in turned)


def place_of(test: str, runner: str) -> tuple[str, Sequence[str]]:
    """The file that a test id leads to, and the names inside it; empty where it does not say."""
    if runner == "pytest":
        path, *names = test.split("[", maxsplit=1)[0].split("::")
        return path, names
    *module, owner, name = test.split(".") if test.count(".") > 1 else ("", "", "")
    return "/".join(module) + ".py", (owner, name)
