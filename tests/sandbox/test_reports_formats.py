import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.contract import TestStatus
from sandbox.reports import READERS, Outcomes, read_report

PASSED, FAILED, ERROR, SKIPPED = (
    TestStatus.PASSED, TestStatus.FAILED, TestStatus.ERROR, TestStatus.SKIPPED,
)  # fmt: skip
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuites><testcase name="&a;"/></testsuites>'


def go(*events: dict[str, str]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def test_jest_and_vitest() -> None:
    suites = [
        {
            "name": "/repo/a.test.js",
            "status": "failed",
            "assertionResults": [
                {"ancestorTitles": ["sum"], "title": "adds", "status": "passed"},
                {"title": "fails", "status": "failed", "failureMessages": ["expected 1"]},
                {"title": "later", "status": "todo"},
            ],
        },
        {"name": "/repo/b.test.js", "status": "failed", "message": "SyntaxError"},
    ]
    found = read_report("jest", json.dumps({"testResults": suites}).encode(), 1)
    assert found.ran
    assert found.statuses == {
        "a.test.js > sum > adds": PASSED,
        "a.test.js > fails": FAILED,
        "a.test.js > later": SKIPPED,
        "b.test.js": ERROR,
    }
    assert found.details["a.test.js > fails"] == "expected 1"


def test_mocha_whose_exit_code_counts_failures() -> None:
    report = {
        "passes": [{"fullTitle": "a b", "file": "/repo/t.js"}],
        "failures": [{"fullTitle": "a c", "err": {"stack": "Error: no"}}] * 2,
        "pending": [{"fullTitle": "a d"}],
    }
    found = read_report("mocha", json.dumps(report).encode(), 2)
    assert found.ran
    assert found.statuses == {"t.js > a b": PASSED, "a c": FAILED, "a d": SKIPPED}


def test_nodes_own_runner_nests_suites() -> None:
    text = b"""<testsuites><testsuite name="count"><testcase name="one" classname="test"/>
    <testcase name="two" classname="test"><failure message="no"/></testcase></testsuite></testsuites>"""
    assert read_report("node", text, 1).statuses == {"count > one": PASSED, "count > two": FAILED}


def test_go_events() -> None:
    found = read_report(
        "go",
        go(
            {"Action": "run", "Package": "p", "Test": "TestA"},
            {"Action": "output", "Package": "p", "Test": "TestA", "Output": "a_test.go:1: no\n"},
            {"Action": "fail", "Package": "p", "Test": "TestA"},
            {"Action": "fail", "Package": "p"},
            {"Action": "run", "Package": "q", "Test": "TestDies"},
            {"Action": "fail", "Package": "q"},
            {"Action": "skip", "Package": "r", "Test": "TestS"},
        ),
        1,
    )
    assert found.ran
    assert found.statuses == {
        "p.TestA": FAILED, "q.TestDies": ERROR, "q": ERROR, "r.TestS": SKIPPED,
    }  # fmt: skip
    assert "no" in found.details["p.TestA"]


def test_tap() -> None:
    text = (
        b"TAP version 13\n# adds\nok 1 equal\nnot ok 2 equal\nok 3 x # SKIP why\n1..3\n# tests 3\n"
    )
    assert read_report("tap", text, 1).statuses == {
        "adds > equal": PASSED,
        "adds > equal #2": FAILED,
        "adds > x": SKIPPED,
    }


@pytest.mark.parametrize(
    ("runner", "report", "exit_code"),
    [
        ("tap", b"ok 1 a\nok 2 b\n1..3\n", 0),  # cut off
        ("tap", b"ok 1 a\n", 0),  # no plan
        ("tap", b"not ok 1 a\n1..1\n", 0),
        ("go", b"", 0),
        ("go", go({"Action": "pass", "Package": "p", "Test": "TestA"}), 1),
        ("go", go({"Action": "pass", "Package": "p", "Test": "TestA"}), 139),
        ("jest", b'{"testResults": []}', 0),
        ("jest", b"{}", 0),
        ("mocha", b'{"passes": [{"fullTitle": "a"}], "failures": []}', 3),
        ("node", BOMB, 0),
        ("node", b"<testsuite>" * 500, 0),
        ("vitest", None, 0),
        ("vitest", b"x", None),
    ],
)
def test_what_is_missing_or_contradicts_counts_for_nothing(
    runner: str, report: bytes | None, exit_code: int | None
) -> None:
    found = read_report(runner, report, exit_code)
    assert not found.ran
    assert found.why


@given(
    runner=st.sampled_from(sorted(READERS)),
    report=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)),
    exit_code=st.integers(0, 255),
)
def test_no_report_breaks_the_reading(runner: str, report: bytes, exit_code: int) -> None:
    assert isinstance(read_report(runner, report, exit_code), Outcomes)
