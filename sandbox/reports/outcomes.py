"""What a suite said, and when an exit code and a report cannot both be true."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.contract import TestStatus

REPORT_BYTES = 32 * 1024**2
DETAIL_CHARS = 2000
MAX_TESTS = 200_000
NAME_CHARS = 2000

OK, TESTS_FAILED, USAGE_ERROR, NO_TESTS = 0, 1, 4, 5  # pytest's exit codes; ours for unittest agree
NOT_THERE = frozenset({126, 127})  # the shell's, for a command that cannot be started
SIGNALLED = 128
BAD = frozenset({TestStatus.FAILED, TestStatus.ERROR})
RAN_WELL = frozenset({TestStatus.PASSED, TestStatus.XFAIL})
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


class Ledger:
    """Collects tests of a report; of two results under one name the worse one counts."""

    def __init__(self) -> None:
        self.statuses: dict[str, TestStatus] = {}
        self.details: dict[str, str] = {}

    def add(self, test_id: str, status: TestStatus, detail: str = "") -> None:
        """Record one test.

        Raises:
            ValueError: there are more tests than are read, or the name is no name.
        """
        test_id = test_id[:NAME_CHARS].replace("\0", "?")
        if not test_id.strip():
            raise ValueError("a test without a name")
        known = self.statuses.get(test_id)
        if known is None and len(self.statuses) >= MAX_TESTS:
            raise ValueError(f"more than {MAX_TESTS} tests")
        if known is None or WORST_FIRST.index(status) < WORST_FIRST.index(known):
            self.statuses[test_id] = status
        if status is not TestStatus.PASSED:
            text = "\n".join(filter(None, (detail.strip(), self.details.get(test_id))))
            if text:
                self.details[test_id] = shorten(text)


def shorten(text: str) -> str:
    """The end of a failure text: its last frames and the assertion come last."""
    if len(text) <= DETAIL_CHARS:
        return text
    return "[...]\n" + text[-(DETAIL_CHARS - 6) :]


def contradiction(exit_code: int, statuses: Mapping[str, TestStatus]) -> str | None:
    """Why an exit code of pytest and the statuses cannot both be true, or None."""
    failed = any(s in BAD for s in statuses.values())
    well = any(s in RAN_WELL for s in statuses.values())
    # pytest says "usage error" also where the file of a test that was named cannot be imported.
    # There and where it has no tests it runs none, but reports modules that skip themselves.
    contradicts = {
        OK: failed,
        TESTS_FAILED: not failed,
        USAGE_ERROR: well or not failed,
        NO_TESTS: well,
    }
    if exit_code not in contradicts:
        return f"the test runner ended with exit code {exit_code}"
    return f"exit code {exit_code} contradicts the report" if contradicts[exit_code] else None


def disagreement(exit_code: int, statuses: Mapping[str, TestStatus]) -> str | None:
    """The same for runners that only say whether all went well: zero, or anything else.

    A report without any test proves nothing, whatever the exit code.
    """
    failed = any(s in BAD for s in statuses.values())
    if exit_code in NOT_THERE or exit_code > SIGNALLED:
        return f"the test runner ended with exit code {exit_code}"
    if not statuses:
        return f"the report names no test (exit code {exit_code})"
    if failed == (exit_code == OK):
        return f"exit code {exit_code} contradicts the report"
    return None
