"""JUnit XML to test statuses, cross-checked with the exit code. The report is hostile input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from xml.etree.ElementTree import Element, ParseError  # names only; parsed by defusedxml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from sandbox.contract import TestStatus

REPORT_BYTES = 32 * 1024**2
DETAIL_CHARS = 2000
MAX_TESTS = 200_000

OK, TESTS_FAILED, USAGE_ERROR, NO_TESTS = 0, 1, 4, 5  # pytest's exit codes; ours for unittest agree
NOT_THERE = frozenset({126, 127})  # the shell's, for a command that cannot be started
WORST_FIRST = (
    TestStatus.ERROR, TestStatus.FAILED, TestStatus.XFAIL, TestStatus.SKIPPED, TestStatus.PASSED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a suite said. `ran` is false where nothing of it can be believed; `why` says why."""

    ran: bool
    statuses: Mapping[str, TestStatus] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


def read_junit(report: bytes | None, exit_code: int | None) -> Outcomes:
    """Read a report and believe it only if the exit code says the same; never raises."""
    if exit_code is None:
        return Outcomes(ran=False, why="the tests ran out of time")
    if report is None:
        return Outcomes(ran=False, why=f"no test report was written (exit code {exit_code})")
    try:
        cases = _cases(report)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return Outcomes(ran=False, why=f"the test report cannot be read: {error}")
    statuses: dict[str, TestStatus] = {}
    details: dict[str, str] = {}
    for case in cases:
        _record(case, statuses, details)
    why = contradiction(exit_code, statuses)
    return Outcomes(why is None, statuses, details, why or "")


def _cases(report: bytes) -> list[Element]:
    cases = list(islice(fromstring(report, forbid_dtd=True).iter("testcase"), MAX_TESTS + 1))
    if len(cases) > MAX_TESTS:
        raise ValueError(f"more than {MAX_TESTS} tests")
    return cases


def contradiction(exit_code: int, statuses: Mapping[str, TestStatus]) -> str | None:
    """Why an exit code and the statuses cannot both be true, or None."""
    failed = any(s in {TestStatus.FAILED, TestStatus.ERROR} for s in statuses.values())
    passed = any(s is TestStatus.PASSED for s in statuses.values())
    # pytest says "usage error" also where the file of a test that was named cannot be imported.
    contradicts = {OK: failed, TESTS_FAILED: not failed, NO_TESTS: passed, USAGE_ERROR: not failed}
    if exit_code not in contradicts:
        return f"the test runner ended with exit code {exit_code}"
    return f"exit code {exit_code} contradicts the report" if contradicts[exit_code] else None


def _record(case: Element, statuses: dict[str, TestStatus], details: dict[str, str]) -> None:
    test_id, status = _test_id(case), _status(case)
    known = statuses.get(test_id)
    if known is None or WORST_FIRST.index(status) < WORST_FIRST.index(known):
        statuses[test_id] = status
    if status is not TestStatus.PASSED:
        text = "\n".join(filter(None, (_detail(case), details.get(test_id))))
        if text:
            details[test_id] = shorten(text)


def _test_id(case: Element) -> str:
    """The runner's own name of a test: `tests/test_x.py::TestA::test_b` for pytest."""
    name, classname, file = (case.get(key, "") for key in ("name", "classname", "file"))
    if not file:
        return f"{classname}.{name}" if classname else name
    module = file.removesuffix(".py").replace("/", ".").replace("\\", ".")
    if not classname and name == module:  # the file itself could not be collected
        return file
    inner = classname.removeprefix(module).strip(".") if classname.startswith(module) else ""
    return "::".join([file, *inner.split("."), name]) if inner else f"{file}::{name}"


def _status(case: Element) -> TestStatus:
    kinds = {child.tag: child for child in case}
    if "error" in kinds:
        return TestStatus.ERROR
    if "failure" in kinds:
        return TestStatus.FAILED
    if "skipped" in kinds:
        is_xfail = kinds["skipped"].get("type") == "pytest.xfail"
        return TestStatus.XFAIL if is_xfail else TestStatus.SKIPPED
    return TestStatus.PASSED


def _detail(case: Element) -> str:
    parts = (child for child in case if child.tag in {"error", "failure", "skipped"})
    return "\n".join((part.text or part.get("message") or "").strip() for part in parts)


def shorten(text: str) -> str:
    """The end of a failure text: its last frames and the assertion come last."""
    if len(text) <= DETAIL_CHARS:
        return text
    return "[...]\n" + text[-(DETAIL_CHARS - 6) :]
