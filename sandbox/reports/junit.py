"""JUnit XML to test statuses, cross-checked with the exit code. The report is hostile input."""

from itertools import islice
from xml.etree.ElementTree import Element, ParseError  # names only; parsed by defusedxml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from sandbox.contract import TestStatus
from sandbox.reports.outcomes import MAX_TESTS, Ledger, Outcomes, contradiction

MAX_DEPTH = 50
UNREADABLE = (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError)


def read_junit(report: bytes | None, exit_code: int | None) -> Outcomes:
    """Read a report of pytest and believe it only if the exit code says the same; never raises."""
    if exit_code is None:
        return Outcomes(ran=False, why="the tests ran out of time")
    if report is None:
        return Outcomes(ran=False, why=f"no test report was written (exit code {exit_code})")
    ledger = Ledger()
    try:
        for case in cases_of(report):
            ledger.add(_test_id(case), case_status(case), case_detail(case))
    except UNREADABLE as error:
        return Outcomes(ran=False, why=f"the test report cannot be read: {error}")
    why = contradiction(exit_code, ledger.statuses)
    return Outcomes(why is None, ledger.statuses, ledger.details, why or "")


def cases_of(report: bytes) -> list[Element]:
    """The test cases of a report.

    Raises:
        ParseError: it is no XML.
        DefusedXmlException: it declares a document type or entities.
        ValueError: there are more tests than are read.
    """
    cases = list(islice(fromstring(report, forbid_dtd=True).iter("testcase"), MAX_TESTS + 1))
    if len(cases) > MAX_TESTS:
        raise ValueError(f"more than {MAX_TESTS} tests")
    return cases


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


def case_status(case: Element) -> TestStatus:
    """What became of a test case."""
    kinds = {child.tag: child for child in case}
    if "error" in kinds:
        return TestStatus.ERROR
    if "failure" in kinds:
        return TestStatus.FAILED
    if "skipped" in kinds:
        is_xfail = kinds["skipped"].get("type") == "pytest.xfail"
        return TestStatus.XFAIL if is_xfail else TestStatus.SKIPPED
    return TestStatus.PASSED


def case_detail(case: Element) -> str:
    """Why it failed or was skipped."""
    parts = (child for child in case if child.tag in {"error", "failure", "skipped"})
    return "\n".join((part.text or part.get("message") or "").strip() for part in parts)


def read_tree(report: bytes, ledger: Ledger) -> None:
    """Record the JUnit XML of runners that nest suites, as `node --test` writes it.

    A test's id is its file (where one is named), its suites and its name, joined by ` > `.

    Raises:
        ParseError: it is no XML.
        DefusedXmlException: it declares a document type or entities.
        ValueError: there are more tests than are read, or they are nested too deep.
    """
    _descend(fromstring(report, forbid_dtd=True), (), ledger)


def _descend(element: Element, above: tuple[str, ...], ledger: Ledger) -> None:
    if len(above) > MAX_DEPTH:
        raise ValueError(f"suites are nested more than {MAX_DEPTH} deep")
    for child in element:
        if child.tag == "testcase":
            ledger.add(_nested_id(child, above), case_status(child), case_detail(child))
        elif child.tag == "testsuite":
            _descend(child, (*above, child.get("name", "")), ledger)


def _nested_id(case: Element, above: tuple[str, ...]) -> str:
    file = (case.get("file") or "").removeprefix("/repo/")
    classname = case.get("classname") or ""
    suites = above or ((classname,) if classname not in {"", "test"} else ())
    return " > ".join(filter(None, (file, *suites, case.get("name") or "")))
