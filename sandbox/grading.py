"""Pure: which of the named tests a report says passed, and what may be said about a candidate."""

from dataclasses import dataclass

from sandbox.contract import TestReport, TestSpec, TestStatus

PASSES = frozenset({TestStatus.PASSED, TestStatus.XFAIL})
NO_REGRESSION = PASSES | {TestStatus.SKIPPED}


@dataclass(frozen=True, slots=True)
class Tally:
    """So many of so many."""

    passed: int
    of: int

    @property
    def complete(self) -> bool:
        """Whether all of them passed; also true of none."""
        return self.passed == self.of


@dataclass(frozen=True, slots=True)
class Grade:
    """A candidate's tests, counted. `broken` names the PASS_TO_PASS tests that no longer pass."""

    fail_to_pass: Tally
    pass_to_pass: Tally
    broken: tuple[str, ...]
    evidence: bool

    @property
    def no_regression(self) -> bool:
        """Whether nothing that passed before fails now. A suite that did not run proves nothing."""
        return self.evidence and self.pass_to_pass.complete

    @property
    def resolved(self) -> bool:
        """SWE-bench's verdict, said only where there is a FAIL_TO_PASS test to base it on."""
        return self.fail_to_pass.of > 0 and self.fail_to_pass.complete and self.no_regression


def grade(spec: TestSpec, report: TestReport) -> Grade:
    """Count as SWE-bench does.

    A FAIL_TO_PASS test must pass (or fail as expected): a skip is no fix. A PASS_TO_PASS test may
    also be skipped: a skip is no regression, unless none of them passes any more. A test that the
    report does not mention counts as failed, and so does every test of a suite that did not run,
    was not finished or cannot be believed.
    """
    believed = report.applied and report.ran and not report.timed_out and report.refused is None
    statuses = report.statuses if believed else {}
    fixed = [test for test in spec.fail_to_pass if statuses.get(test) in PASSES]
    kept = [test for test in spec.pass_to_pass if statuses.get(test) in NO_REGRESSION]
    if not any(statuses.get(test) in PASSES for test in kept):
        kept = []
    unbroken = frozenset(kept)
    broken = tuple(test for test in spec.pass_to_pass if test not in unbroken)
    return Grade(
        Tally(len(fixed), len(spec.fail_to_pass)),
        Tally(len(kept), len(spec.pass_to_pass)),
        broken,
        evidence=believed,
    )
