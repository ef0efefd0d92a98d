from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sandbox.contract import TestCommand, TestReport, TestSpec, TestStatus
from sandbox.grading import Tally, grade

COMMAND = TestCommand("pytest", ("pytest",), "test")
NAMES = st.lists(st.sampled_from([f"t{i}" for i in range(8)]), unique=True, max_size=5)
STATUSES = st.dictionaries(
    st.sampled_from([f"t{i}" for i in range(8)]), st.sampled_from(TestStatus)
)


def spec(fail_to_pass: tuple[str, ...] = (), pass_to_pass: tuple[str, ...] = ()) -> TestSpec:
    return TestSpec("image", COMMAND, fail_to_pass, pass_to_pass)


def report(statuses: Mapping[str, TestStatus], **changes: object) -> TestReport:
    given_fields: dict[str, object] = {"applied": True, "timed_out": False, "ran": True, **changes}
    return TestReport(statuses=statuses, **given_fields)  # type: ignore[arg-type]  # by name, from anything


@given(NAMES, NAMES, STATUSES, st.booleans(), st.booleans(), st.booleans())
def test_resolved_is_never_said_without_a_fail_to_pass_test_that_passed(
    fail: list[str],
    keep: list[str],
    statuses: dict[str, TestStatus],
    applied: bool,
    timed_out: bool,
    ran: bool,
) -> None:
    graded = grade(
        spec(tuple(fail), tuple(keep)),
        report(statuses, applied=applied, timed_out=timed_out, ran=ran),
    )
    if graded.resolved:
        assert fail
        assert applied
        assert ran
        assert not timed_out
        assert all(statuses[test] in (TestStatus.PASSED, TestStatus.XFAIL) for test in fail)
        assert graded.no_regression
    assert set(graded.broken) <= set(keep)
    assert graded.pass_to_pass.of - graded.pass_to_pass.passed == len(graded.broken)
    assert graded.fail_to_pass.of == len(fail)


@given(NAMES, NAMES, STATUSES, st.sampled_from(["applied", "ran", "timed_out", "refused"]))
def test_a_suite_that_did_not_run_proves_nothing(
    fail: list[str], keep: list[str], statuses: dict[str, TestStatus], broken: str
) -> None:
    value = {"applied": False, "ran": False, "timed_out": True, "refused": "touches tests"}[broken]
    graded = grade(spec(tuple(fail), tuple(keep)), report(statuses, **{broken: value}))
    assert graded.fail_to_pass == Tally(0, len(fail))
    assert graded.pass_to_pass == Tally(0, len(keep))
    assert not graded.resolved
    assert not graded.no_regression


def test_a_fix_without_regression_is_resolved() -> None:
    statuses = {"new": TestStatus.PASSED, "old": TestStatus.PASSED}
    assert grade(spec(("new",), ("old",)), report(statuses)).resolved


def test_a_skipped_test_is_no_fix() -> None:
    statuses = {"new": TestStatus.SKIPPED, "old": TestStatus.PASSED}
    graded = grade(spec(("new",), ("old",)), report(statuses))
    assert not graded.resolved
    assert graded.no_regression


def test_a_skip_is_no_regression_only_where_it_was_there_before() -> None:
    statuses = {"a": TestStatus.SKIPPED, "b": TestStatus.PASSED}
    graded = grade(spec((), ("a", "b")), report(statuses))
    assert graded.broken == ("a",)
    skipped_before = replace(spec((), ("a", "b")), skipped=("a",))
    assert grade(skipped_before, report(statuses)).no_regression


def test_made_up_results_prove_nothing() -> None:
    statuses = {"a": TestStatus.PASSED}
    assert not grade(spec(("a",)), report(statuses, tampered="the results are made up")).resolved


def test_a_missing_test_is_broken() -> None:
    graded = grade(spec((), ("a", "gone")), report({"a": TestStatus.PASSED}))
    assert graded.broken == ("gone",)


def test_an_expected_failure_counts_as_a_pass() -> None:
    assert grade(spec(("x",)), report({"x": TestStatus.XFAIL})).resolved


def test_a_suite_without_named_tests_has_no_regression_and_resolves_nothing() -> None:
    graded = grade(spec(), report({"x": TestStatus.FAILED}))
    assert graded.no_regression
    assert not graded.resolved
