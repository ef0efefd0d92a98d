"""Reports of test runners to statuses by test id. Every report is hostile input.

Whatever is missing, cannot be read, or contradicts the exit code makes the run count for nothing.
"""

from collections.abc import Callable, Mapping

from sandbox.reports import json_reports, junit, text_reports
from sandbox.reports.cargo import read_cargo
from sandbox.reports.junit import read_junit
from sandbox.reports.outcomes import (
    DETAIL_CHARS,
    MAX_TESTS,
    NO_TESTS,
    NOT_THERE,
    OK,
    REPORT_BYTES,
    TESTS_FAILED,
    USAGE_ERROR,
    Ledger,
    Outcomes,
    contradiction,
    disagreement,
    shorten,
)

__all__ = [
    "DETAIL_CHARS", "MAX_TESTS", "NOT_THERE", "NO_TESTS", "OK", "REPORT_BYTES", "TESTS_FAILED",
    "USAGE_ERROR", "Ledger", "Outcomes", "contradiction", "disagreement", "read_junit",
    "read_report", "shorten",
]  # fmt: skip

READERS: Mapping[str, Callable[[bytes, Ledger], None]] = {
    "vitest": json_reports.read_jest,
    "jest": json_reports.read_jest,
    "mocha": json_reports.read_mocha,
    "node": junit.read_tree,
    "tap": text_reports.read_tap,
    "go": json_reports.read_go,
    "cargo": read_cargo,
    "nextest": junit.read_tree,
    "maven": junit.read_tree,
    "gradle": junit.read_tree,
    "junit": junit.read_tree,
}
"""By the runner's name in a test command; pytest and unittest have exit codes of their own."""


def read_report(runner: str, report: bytes | None, exit_code: int | None) -> Outcomes:
    """Read a runner's report and believe it only if the exit code says the same; never raises."""
    reader = READERS.get(runner)
    if reader is None:
        return read_junit(report, exit_code)
    if exit_code is None:
        return Outcomes(ran=False, why="the tests ran out of time")
    if report is None:
        return Outcomes(ran=False, why=f"no test report was written (exit code {exit_code})")
    ledger = Ledger()
    try:
        reader(report, ledger)
    except junit.UNREADABLE as error:
        why = f"the test report cannot be read: {str(error)[:300]}"
        return Outcomes(ran=False, statuses=ledger.statuses, details=ledger.details, why=why)
    why = disagreement(exit_code, ledger.statuses) or ""
    return Outcomes(not why, ledger.statuses, ledger.details, why)
