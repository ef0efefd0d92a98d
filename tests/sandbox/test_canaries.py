from dataclasses import replace

import pytest

from sandbox.canaries import command_line, make, without
from sandbox.conformance.hostile.attack import Attack, lying
from sandbox.contract import Patch, Sandbox, TestSpec, TestStatus
from sandbox.grading import grade
from sandbox.recipes.python import unittest_command
from sandbox.reports import NO_TESTS, OK, TESTS_FAILED, USAGE_ERROR, Outcomes
from sandbox.runner import run_tests
from tests.sandbox.conftest import LIMITS, body

ADDS, ZERO = "tests.test_calc.TestMore.test_in_a_class", "tests.test_calc.TestMore.test_skipped"
NO_ASSERTIONS = lying(
    'import importlib\nimportlib.import_module("unit" + "test").TestCase.assertEqual = lambda *_: None'
)


def test_pytest_runs_backwards_with_the_same_outcome(sandbox: Sandbox, calc: TestSpec) -> None:
    forwards = run_tests(sandbox, calc, None, LIMITS)
    backwards = run_tests(sandbox, replace(calc, backwards=True), None, LIMITS)
    assert backwards.ran
    assert backwards.statuses == forwards.statuses
    assert backwards.log_tail.index("x") < backwards.log_tail.index("F")


def test_people_do_not_see_them(sandbox: Sandbox, calc: TestSpec) -> None:
    report = run_tests(sandbox, calc, body("return a + b"), LIMITS)
    assert "canary" not in report.log_tail
    assert " failed" not in report.log_tail.replace("1 xfailed", "")


def test_the_exit_code_is_the_one_without_them(sandbox: Sandbox, calc: TestSpec) -> None:
    (wanted,) = calc.fail_to_pass
    report = run_tests(sandbox, calc, body("return a + b"), LIMITS, tests=[wanted])
    assert report.ran
    assert dict(report.statuses) == {wanted: TestStatus.PASSED}


def test_programs_that_tests_start_do_not_see_them(sandbox: Sandbox, calc: TestSpec) -> None:
    lines = (
        "import os, subprocess, sys",
        'code = \'import os, sys; sys.exit(any("evo" + "scale" in x for x in (*sys.path, *os.environ.values())))\'',
        "assert subprocess.run([sys.executable, '-c', code]).returncode == 0",
        "return a + b",
    )
    assert grade(calc, run_tests(sandbox, calc, body(*lines), LIMITS)).resolved


@pytest.fixture
def by_unittest(calc: TestSpec) -> TestSpec:
    """The class of tests alone: the functions beside it import pytest, which is there."""
    command = unittest_command("test")
    return replace(calc, command=command, fail_to_pass=(), pass_to_pass=(ADDS,))


def test_unittest_suites_have_them_too(sandbox: Sandbox, by_unittest: TestSpec) -> None:
    for tests in ((), (ADDS,)):
        report = run_tests(sandbox, by_unittest, None, LIMITS, tests=tests)
        assert report.ran, report.log_tail
        assert report.statuses.get(ADDS, TestStatus.PASSED) is TestStatus.PASSED
    patch: Patch = Attack("no assertions", NO_ASSERTIONS).patch
    assert "can only fail was reported as PASSED" in (
        run_tests(sandbox, by_unittest, patch, LIMITS).tampered or ""
    )


def test_a_runner_that_takes_none_has_none() -> None:
    assert make("maven") is None


def outcomes(token: str, **changed: str) -> Outcomes:
    names = {
        "test_fails": "FAILED",
        "test_differs": "FAILED",
        "test_raises": "ERROR",
        "test_holds": "PASSED",
        **changed,
    }
    statuses = {f"x/{token}.py::{n}": TestStatus(s) for n, s in names.items() if s}
    details = {t: f"canary {token}" for t, s in statuses.items() if s in ("FAILED", "ERROR")}
    return Outcomes(ran=True, statuses={**statuses, "t": TestStatus.PASSED}, details=details)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"test_fails": "PASSED"}, "that can only fail was reported as PASSED"),
        ({"test_fails": ""}, "is missing from its report"),
        ({"test_differs": "SKIPPED"}, "that can only fail was reported as SKIPPED"),
        ({"test_holds": "FAILED"}, "that can only pass was reported as FAILED"),
        ({"test_holds": ""}, "that can only pass was reported as absent"),
    ],
)
def test_how_they_fared_decides_whether_a_report_is_believed(
    changed: dict[str, str], said: str
) -> None:
    canaries = make("pytest")
    assert canaries is not None
    found = without(canaries, outcomes(canaries.token, **changed), OK)
    assert found.statuses == {"t": TestStatus.PASSED}
    assert said in found.why
    assert found.ran == (not said)


@pytest.mark.parametrize(
    ("exit_code", "statuses", "ran"),
    [
        (USAGE_ERROR, "PASSED FAILED", False),
        (USAGE_ERROR, "XFAIL ERROR", False),
        (USAGE_ERROR, "SKIPPED ERROR", True),
        (NO_TESTS, "XFAIL XFAIL", False),
        (NO_TESTS, "SKIPPED SKIPPED", True),
        (OK, "SKIPPED SKIPPED", False),
    ],
)
def test_where_none_ran_nothing_passed(exit_code: int, statuses: str, ran: bool) -> None:
    canaries = make("pytest")
    assert canaries is not None
    said = {f"t{n}": TestStatus(status) for n, status in enumerate(statuses.split())}
    found = without(canaries, Outcomes(ran=True, statuses=said), exit_code)
    assert found.ran == ran
    assert ("is missing from its report" in found.why) != ran


def test_a_failure_with_another_message_is_no_canarys() -> None:
    canaries = make("pytest")
    assert canaries is not None
    forged = replace(outcomes(canaries.token), details={})
    assert "in another way" in without(canaries, forged, OK).why


def test_an_exit_code_must_fit_what_is_left() -> None:
    canaries = make("pytest")
    assert canaries is not None
    assert "contradicts" in without(canaries, outcomes(canaries.token), TESTS_FAILED).why


def test_a_command_with_a_python_path_keeps_it() -> None:
    canaries = make("pytest")
    assert canaries is not None
    argv = command_line(canaries, ("env", "PYTHONPATH=src", "pytest"), named=False)
    assert argv[-2].endswith(f"/{canaries.token}:src")
