"""What the tests say at base_commit: PASS_TO_PASS, and FAIL_TO_PASS by reproducing the issue.

There is no gold patch, so PASS_TO_PASS is what passes twice at base_commit, and FAIL_TO_PASS is
what the issue's own examples show to fail, or else the tests that are red already. Whatever
flickers, or is red without being the issue's subject, is quarantined by name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.contract import Document
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
    TestReport,
    TestSpec,
    TestStatus,
)
from sandbox.images import Environment
from sandbox.recipes.python import PYTEST
from sandbox.runner import run_script, run_tests

BASE_RUNS = 2
MIN_WALL_CLOCK_S = 60.0
SLOWER_THAN_BASE = 3.0
GOOD = frozenset({TestStatus.PASSED, TestStatus.XFAIL})
BAD = frozenset({TestStatus.FAILED, TestStatus.ERROR})
_INCOMPLETE = re.compile(r"\b(NameError|ModuleNotFoundError|ImportError|SyntaxError)\b")


class Baseline(Document):
    """Everything needed to judge a candidate, as learnt at base_commit; a job's first checkpoint.

    `before` holds each test's status before the patch, `executed` the lines that the failing tests
    ran, per path, `failures` their messages.
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
    sandbox: Sandbox, environment: Environment, problem: str, limits: Limits
) -> Baseline | NoBaseline:
    """Run the suite and the issue's examples at base_commit.

    Raises:
        SandboxError: the sandbox, not the tests, failed.
    """
    suite = TestSpec(environment.image, environment.command)
    runs = [run_tests(sandbox, suite, None, limits) for _ in range(BASE_RUNS)]
    problem_found = _unusable(runs[0])
    if problem_found:
        return NoBaseline(reason=problem_found)
    stable = _stable(runs)
    good = tuple(sorted(t for t, status in stable.items() if status in GOOD))
    if not good:
        return NoBaseline(reason=_none_passes(runs[0]))
    failing = _from_issue(sandbox, environment, problem, limits)
    if not failing.tests:
        failing = _from_red_tests(stable, runs[0], problem)
    everything = set().union(*(run.statuses for run in runs))
    before = {test: str(status) for test, status in runs[0].statuses.items()}
    before.update(dict.fromkeys(failing.tests, str(TestStatus.FAILED)))
    return Baseline(
        image=environment.image,
        runner=environment.command.runner,
        command=environment.command.argv,
        fail_to_pass=failing.tests,
        pass_to_pass=good,
        quarantined=tuple(sorted(everything - set(good) - set(failing.tests) - _skipped(runs[0]))),
        before=before,
        source=failing.source,
        reproduction=as_test_file(failing.examples).text if failing.examples else None,
        executed=_executed(sandbox, environment, failing, limits),
        failures=dict(failing.failures),
        wall_clock_s=max(MIN_WALL_CLOCK_S, SLOWER_THAN_BASE * runs[0].duration_s),
    )


def _unusable(report: TestReport) -> str | None:
    if report.timed_out:
        return (
            "the tests ran out of time at the base commit; set `test_command` in "
            ".github/evoscale.yml to a faster part of the suite"
        )
    if not report.ran:
        return (
            "the tests gave no report at the base commit, so nothing could be judged; the log ends "
            f"with:\n{report.log_tail[-1500:]}"
        )
    if not report.statuses:
        return (
            "no test was found in the repository; add one, or set `test_command` in "
            ".github/evoscale.yml to the command that runs them"
        )
    return None


def _none_passes(report: TestReport) -> str:
    test, detail = next(iter(report.details.items()), ("", report.log_tail))
    return (
        f"none of the {len(report.statuses)} tests passes at the base commit, which points to the "
        f"environment and not to the issue; {test} says:\n{detail[-1500:]}"
    )


def _stable(runs: Sequence[TestReport]) -> dict[str, TestStatus]:
    """The tests that every run reports alike."""
    first = runs[0].statuses
    return {t: s for t, s in first.items() if all(run.statuses.get(t) == s for run in runs)}


def _skipped(report: TestReport) -> set[str]:
    return {t for t, status in report.statuses.items() if status is TestStatus.SKIPPED}


def _from_issue(
    sandbox: Sandbox, environment: Environment, problem: str, limits: Limits
) -> Failing:
    """The issue's examples that fail at base_commit, each time, and not for being incomplete."""
    examples = find_examples(problem)
    if not examples:
        return Failing("none")
    spec = reproduction_spec(environment.image, as_test_file(examples).text)
    runs = [run_tests(sandbox, spec, None, limits, tests=(FILE_NAME,)) for _ in range(BASE_RUNS)]
    stable = _stable(runs)
    chosen = [e for e in examples if stable.get(example_test_id(e)) in BAD]
    chosen = [e for e in chosen if _complete(runs[0].details.get(example_test_id(e), ""), problem)]
    tests = tuple(example_test_id(e) for e in chosen)
    failures = tuple((t, runs[0].details.get(t, "")) for t in tests)
    return Failing("issue" if tests else "none", tests, tuple(chosen), failures)


def _complete(detail: str, problem: str) -> bool:
    """Whether a failure is the issue's, and not a snippet that lacks an import or a definition."""
    missing = _INCOMPLETE.search(detail)
    return missing is None or missing[1] in problem


def _from_red_tests(stable: Mapping[str, TestStatus], report: TestReport, problem: str) -> Failing:
    """Tests that fail at base_commit already; those the issue names, if it names any."""
    red = sorted(t for t, status in stable.items() if status in BAD)
    named = [t for t in red if re.split(r"[:\[]", t.split("::")[-1])[0] in problem]
    tests = tuple(named or red)
    failures = tuple((t, report.details.get(t, "")) for t in tests)
    return Failing("red tests" if tests else "none", tests, (), failures)


def reproduction_spec(image: str, text: str) -> TestSpec:
    """How the generated file runs: always by pytest, whatever the repository uses."""
    argv = (*PYTEST, "-o", "addopts=", "--noconftest", "{tests}")
    command = TestCommand("pytest", argv, "the issue's examples run by pytest")
    return TestSpec(image, command, files=(TestFile(FILE_NAME, text),))


def _executed(
    sandbox: Sandbox, environment: Environment, failing: Failing, limits: Limits
) -> dict[str, tuple[int, ...]]:
    """The lines that the failing tests ran; empty where that cannot be learnt."""
    if failing.source == "none":
        return {}
    script = (
        trace_examples_script(failing.examples)
        if failing.examples
        else trace_tests_script(failing.tests[:20])
    )
    result = run_script(sandbox, environment.image, script, patch=None, limits=limits)
    traced = read_trace(result.output.decode("utf-8", "replace"))
    return {path: tuple(sorted(lines)) for path, lines in traced.items()}
