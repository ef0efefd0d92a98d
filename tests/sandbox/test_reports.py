import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.contract import TestStatus
from sandbox.reports import DETAIL_CHARS, MAX_TESTS, contradiction, read_junit, shorten

PASSED, FAILED, ERROR, SKIPPED, XFAIL = (
    TestStatus.PASSED, TestStatus.FAILED, TestStatus.ERROR, TestStatus.SKIPPED, TestStatus.XFAIL,
)  # fmt: skip
EXPECTED = '<skipped type="pytest.xfail"/>'


def xml(*cases: str) -> bytes:
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>".encode()


def case(
    name: str, inner: str = "", classname: str = "tests.test_x", file: str = "tests/test_x.py"
) -> str:
    return f'<testcase classname="{classname}" name="{name}" file="{file}">{inner}</testcase>'


@pytest.mark.parametrize(
    ("inner", "status", "code"),
    [
        ("", PASSED, 0),
        ("<failure>no</failure>", FAILED, 1),
        ("<error>broke</error>", ERROR, 1),
        ('<skipped type="pytest.skip" message="later"/>', SKIPPED, 0),
        ('<skipped type="pytest.xfail" message="known"/>', XFAIL, 0),
    ],
)
def test_every_status_is_read(inner: str, status: TestStatus, code: int) -> None:
    outcomes = read_junit(xml(case("test_a", inner)), code)
    assert outcomes.ran
    assert outcomes.statuses == {"tests/test_x.py::test_a": status}


def test_ids_are_what_pytest_calls_the_tests() -> None:
    outcomes = read_junit(
        xml(
            case("test_a[c::d]"),
            case("test_b", classname="tests.test_x.TestA.TestInner"),
            case("tests.test_y", "<error>import</error>", classname="", file="tests/test_y.py"),
            case("test_c", classname="elsewhere.test_x", file="tests/test_x.py"),
        ),
        1,
    )
    assert set(outcomes.statuses) == {
        "tests/test_x.py::test_a[c::d]",
        "tests/test_x.py::TestA::TestInner::test_b",
        "tests/test_y.py",
        "tests/test_x.py::test_c",
    }


def test_ids_of_unittest_stay_as_they_are() -> None:
    report = b'<testsuite><testcase classname="" name="test_u.T.test_x"/><testcase classname="a.B" name="c"/></testsuite>'
    assert set(read_junit(report, 0).statuses) == {"test_u.T.test_x", "a.B.c"}


def test_the_worst_of_two_results_counts() -> None:
    outcomes = read_junit(
        xml(case("test_a", "<failure>x</failure>"), case("test_a", "<error>y</error>")), 1
    )
    assert outcomes.statuses == {"tests/test_x.py::test_a": ERROR}
    assert set(outcomes.details["tests/test_x.py::test_a"].split()) == {"x", "y"}
    assert read_junit(xml(case("test_a", "<failure/>"), case("test_a")), 1).statuses == {
        "tests/test_x.py::test_a": FAILED
    }


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        (None, 0, "no test report"),
        (None, None, "out of time"),
        (b"<testsuite>", 0, "cannot be read"),
        (b"", 0, "cannot be read"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>', 0, "cannot be read"),
        (b'<?xml version="1.0" encoding="no-such"?><testsuite/>', 0, "cannot be read"),
        (xml(case("a", "<failure/>")), 0, "contradicts"),
        (xml(case("a")), 1, "contradicts"),
        (xml(case("a")), 4, "contradicts"),
        (xml(case("a")), 5, "contradicts"),
        (xml(case("a"), case("b", "<failure/>")), 4, "contradicts"),
        (xml(case("a", EXPECTED), case("b", "<error/>")), 4, "contradicts"),
        (xml(case("a", EXPECTED)), 5, "contradicts"),
        (xml(case("a")), 2, "exit code 2"),
        (xml(case("a")), 137, "exit code 137"),
    ],
)
def test_what_cannot_be_believed_did_not_run(
    report: bytes | None, code: int | None, said: str
) -> None:
    outcomes = read_junit(report, code)
    assert not outcomes.ran
    assert said in outcomes.why


def test_no_tests_is_an_answer() -> None:
    outcomes = read_junit(xml(), 5)
    assert outcomes.ran
    assert outcomes.statuses == {}


def test_modules_that_skip_themselves_are_no_tests() -> None:
    assert read_junit(xml(case("a", "<skipped/>")), 5).ran
    assert read_junit(xml(case("a", "<skipped/>"), case("b", "<error/>")), 4).ran


def test_named_tests_of_a_file_that_cannot_be_imported_ran() -> None:
    assert read_junit(xml(case("a", "<error>import</error>")), 4).ran


def test_a_report_without_end_is_refused() -> None:
    report = b"<testsuite>" + b'<testcase name="a"/>' * (MAX_TESTS + 1) + b"</testsuite>"
    assert "more than" in read_junit(report, 0).why


@given(st.binary(max_size=300), st.one_of(st.none(), st.integers(-1, 255)))
def test_no_report_makes_it_raise(report: bytes, code: int | None) -> None:
    assert not read_junit(report, code).ran


@given(st.text(max_size=DETAIL_CHARS * 2))
def test_details_are_capped_and_keep_their_end(text: str) -> None:
    short = shorten(text)
    assert len(short) <= DETAIL_CHARS
    assert short[-50:] == text[-50:]


@given(st.dictionaries(st.text(max_size=3), st.sampled_from(TestStatus)))
def test_a_good_exit_code_and_a_failure_never_agree(statuses: dict[str, TestStatus]) -> None:
    failed = any(status in (FAILED, ERROR) for status in statuses.values())
    assert (contradiction(0, statuses) is None) is not failed
    assert (contradiction(1, statuses) is None) is failed
