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
    also be skipped if it was so at base_commit (`TestSpec.skipped`); a new skip is a regression,
    because product code can skip any test. A test that the report does not mention counts as
    failed, and so does every test of a suite that did not run, was not finished or cannot be
    believed.
    """
    believed = report.applied and report.ran and not report.timed_out
    believed = believed and report.refused is None and report.tampered is None
    statuses = report.statuses if believed else {}
    fixed = [test for test in spec.fail_to_pass if statuses.get(test) in PASSES]
    may_skip = frozenset(spec.skipped)
    kept = [
        test
        for test in spec.pass_to_pass
        if statuses.get(test) in (NO_REGRESSION if test in may_skip else PASSES)
    ]
    unbroken = frozenset(kept)
    broken = tuple(test for test in spec.pass_to_pass if test not in unbroken)
    return Grade(
        Tally(len(fixed), len(spec.fail_to_pass)),
        Tally(len(kept), len(spec.pass_to_pass)),
        broken,
        evidence=believed,
    )
