"""What the tests say at base_commit: PASS_TO_PASS, and FAIL_TO_PASS by reproducing the issue.

There is no gold patch, so PASS_TO_PASS is what passes each time at base_commit, and FAIL_TO_PASS is
what the issue's own examples show to fail, or else the tests that are red already. Whatever
flickers, or is red without being the issue's subject, is quarantined by name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.base_runs import BAD, GOOD, BaseRuns, run_base, stable
from engine.contract import Document
from engine.obstacles import none_passes, unusable
from engine.reproduction import (
    FILE_NAME,
    Example,
    as_test_file,
    example_test_id,
    find_examples,
    read_trace,
    trace_examples_script,
    trace_tests_script,
)
from sandbox.contract import (
    Limits,
    Sandbox,
    TestCommand,
    TestFile,
    TestSpec,
    TestStatus,
)
from sandbox.images import Environment
from sandbox.impact import Impact, learn_impact
from sandbox.masking import is_masked, shape
from sandbox.policy import named_in
from sandbox.recipes.python import PYTEST
from sandbox.runner import run_script, run_tests

TRIES = 2
"""So often an example has to fail to count as failing."""
MIN_WALL_CLOCK_S = 60.0
SLOWER_THAN_BASE = 3.0
MOST_TRACED = 20
LONG_S = 5.0
"""A suite this long is worth choosing from: another box costs a good part of a second."""
SLOWER_NOTED = 4.0
"""How much noting every call may slow a suite down, before Python 3.12 made it cheap."""
_INCOMPLETE = re.compile(r"\b(NameError|ModuleNotFoundError|ImportError|SyntaxError)\b")


class Baseline(Document):
    """Everything needed to judge a candidate, as learnt at base_commit; a job's first checkpoint.

    `before` holds each test's status before the patch, `executed` the lines that the failing tests
    ran, per path, `failures` their messages. `quarantined` are the tests that count for nothing:
    the `flaky` ones, and those that were red without being the issue's subject. `churn`,
    `canaries`, `masked` and `named` are as in `sandbox.contract.TestSpec`; `notes` say what the
    suite did not bear. `impact` is there for suites that are long enough to choose from, in any
    order. `complete` is as in `sandbox.images.Environment`.
    """

    image: str
    runner: str
    command: tuple[str, ...]
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    quarantined: tuple[str, ...]
    before: dict[str, str]
    source: Literal["issue", "red tests", "none"]
    reproduction: str | None
    executed: dict[str, tuple[int, ...]]
    failures: dict[str, str]
    wall_clock_s: float
    flaky: tuple[str, ...] = ()
    churn: tuple[str, ...] = ()
    canaries: bool = True
    masked: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    impact: Impact | None = None
    complete: bool = True

    @property
    def lines_executed(self) -> dict[str, frozenset[int]]:
        """`executed` as sets."""
        return {path: frozenset(lines) for path, lines in self.executed.items()}


class NoBaseline(Document):
    """Why no candidate of this repository could be judged, and what to do about it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failing:
    """What fails at base_commit and should pass afterwards, and where it was learnt from."""

    source: Literal["issue", "red tests", "none"]
    tests: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()


def learn(
    sandbox: Sandbox,
    environment: Environment,
    problem: str,
    limits: Limits,
    shelf: Path | None = None,
) -> Baseline | NoBaseline:
    """Run the suite and the issue's examples at base_commit.

    What the suite did is kept on `shelf` by the image's name, and read from there the next time.

    Raises:
        SandboxError: the sandbox, not the tests, failed.
    """
    words = named_in(problem)
    suite = TestSpec(environment.image, environment.command, named=words)
    runs = run_base(sandbox, suite, limits, shelf)
    obstacle = unusable(runs.first, limits.wall_clock_s)
    if obstacle:
        return NoBaseline(reason=obstacle)
    good = runs.with_status(GOOD)
    if not good:
        return NoBaseline(reason=none_passes(runs.first))
    failing = _from_issue(sandbox, environment, problem, limits)
    if not failing.tests:
        failing = _from_red_tests(runs, problem)
    before = {test: str(status) for test, status in runs.first.statuses.items()}
    before.update(dict.fromkeys(failing.tests, str(TestStatus.FAILED)))
    red = set(runs.with_status(BAD)) - set(failing.tests)
    return Baseline(
        image=environment.image,
        complete=environment.complete,
        runner=environment.command.runner,
        command=environment.command.argv,
        fail_to_pass=failing.tests,
        pass_to_pass=good,
        quarantined=tuple(sorted({*runs.flaky, *red})),
        flaky=runs.flaky,
        churn=runs.suite.churn,
        canaries=runs.suite.canaries,
        masked=runs.suite.masked,
        named=tuple(sorted(words)),
        notes=runs.notes,
        impact=_impact(sandbox, runs, limits),
        before=before,
        source=failing.source,
        reproduction=as_test_file(failing.examples).text if failing.examples else None,
        executed=_executed(sandbox, runs, failing, limits),
        failures=dict(failing.failures),
        wall_clock_s=max(MIN_WALL_CLOCK_S, SLOWER_THAN_BASE * runs.first.duration_s),
    )


def _impact(sandbox: Sandbox, runs: BaseRuns, limits: Limits) -> Impact | None:
    """Which code each test enters or imports, where running all tests takes long.

    None for a suite that lives off its order too: a few of its tests alone fail with any patch.
    """
    if runs.first.duration_s < LONG_S or runs.ordered:
        return None
    slowed = replace(limits, wall_clock_s=SLOWER_NOTED * limits.wall_clock_s)
    return learn_impact(sandbox, runs.suite, tuple(runs.first.statuses), slowed)


def _from_issue(
    sandbox: Sandbox, environment: Environment, problem: str, limits: Limits
) -> Failing:
    """The issue's examples that fail at base_commit, each time, and not for being incomplete."""
    examples = find_examples(problem)
    if not examples:
        return Failing("none")
    spec = reproduction_spec(environment.image, as_test_file(examples).text)
    runs = [run_tests(sandbox, spec, None, limits, tests=(FILE_NAME,)) for _ in range(TRIES)]
    alike = stable(runs)
    chosen = [e for e in examples if alike.get(example_test_id(e)) in BAD]
    chosen = [e for e in chosen if _complete(runs[0].details.get(example_test_id(e), ""), problem)]
    tests = tuple(example_test_id(e) for e in chosen)
    failures = tuple((t, runs[0].details.get(t, "")) for t in tests)
    return Failing("issue" if tests else "none", tests, tuple(chosen), failures)


def _complete(detail: str, problem: str) -> bool:
    """Whether a failure is the issue's, and not a snippet that lacks an import or a definition."""
    missing = _INCOMPLETE.search(detail)
    return missing is None or missing[1] in problem


def _from_red_tests(runs: BaseRuns, problem: str) -> Failing:
    """Tests that fail at base_commit already; those the issue names, if it names any."""
    red = runs.with_status(BAD)
    named = [t for t in red if re.split(r"[:\[]", t.split("::")[-1])[0] in problem]
    tests = tuple(named or red)
    failures = tuple((t, runs.first.details.get(t, "")) for t in tests)
    return Failing("red tests" if tests else "none", tests, (), failures)


def reproduction_spec(image: str, text: str, named: Iterable[str] = ()) -> TestSpec:
    """How the generated file runs: always by pytest, whatever the repository uses."""
    argv = (*PYTEST, "-o", "addopts=", "--noconftest", "{tests}")
    command = TestCommand("pytest", argv, "the issue's examples run by pytest")
    return TestSpec(image, command, files=(TestFile(FILE_NAME, text),), named=frozenset(named))


def _executed(
    sandbox: Sandbox, runs: BaseRuns, failing: Failing, limits: Limits
) -> dict[str, tuple[int, ...]]:
    """The lines that the failing tests ran; empty where that cannot be learnt."""
    tests = _as_pytest_knows(failing.tests, runs)[:MOST_TRACED]
    if not tests:  # pytest would run them all
        return {}
    script = (
        trace_examples_script(failing.examples) if failing.examples else trace_tests_script(tests)
    )
    result = run_script(sandbox, runs.suite.image, script, patch=None, limits=limits)
    traced = read_trace(result.output.decode("utf-8", "replace"))
    return {path: tuple(sorted(lines)) for path, lines in traced.items()}


def _as_pytest_knows(tests: Iterable[str], runs: BaseRuns) -> tuple[str, ...]:
    """Ids for pytest; for all tests of a shape those of their functions, which have all of them.

    What pytest would not find is left out: it would run none of the others either.
    """
    ids: list[str] = []
    for test in tests:
        known = is_masked(test, runs.suite.masked)
        ids += runs.functions.get(shape(test), ()) if known else [test]
    return tuple(dict.fromkeys(ids))
