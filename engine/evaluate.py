"""One candidate's tests: the failing ones first, and all of them for those that fix something."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from engine.base_runs import GOOD
from engine.candidate import Candidate, Scored, Span
from engine.contract import Document
from engine.leases import kept
from engine.reproduction import FILE_NAME
from engine.reward import tests_reward
from engine.store import CandidateState, JobStore, StoredCandidate
from engine.testspec import Baseline, reproduction_spec
from sandbox.contract import Limits, Patch, Sandbox, TestCommand, TestReport, TestSpec, TestStatus
from sandbox.errors import SandboxError
from sandbox.grading import Grade, grade
from sandbox.impact import BY_FILE, affected
from sandbox.policy import Exceptions, check_patch, judged
from sandbox.runner import run_tests

logger = logging.getLogger(__name__)

UNTESTED = "was never tested: an unexpected error where the tests run; its log has the details"
MAX_FEEDBACK_CHARS = 2_000
MOST_AFFECTED = 0.5
"""Where a patch affects a greater share of the suite, the suite is run at once."""
MOST_AGAIN = 20
"""More tests than this do not all flicker at once."""


class Verdict(Document):
    """What a candidate's tests said; lies in the store as JSON.

    `statuses` holds every reported test; `suite_ran` is false where the failing tests still failed
    and the rest was spared. `tampered` says how it is known that the results are made up; `flaky`
    are tests that failed once with the patch and passed when they were run again; `broke_first` are
    tests that it affects and broke, for which the rest was spared.
    """

    statuses: dict[str, str]
    applied: bool
    suite_ran: bool
    timed_out: bool = False
    refused: str | None = None
    tampered: str | None = None
    flaky: tuple[str, ...] = ()
    broke_first: tuple[str, ...] = ()
    feedback: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What testing needs besides the candidate; `ready()` makes what is not there yet."""

    sandbox: Sandbox
    baseline: Baseline
    limits: Limits
    lease_s: float = 60.0
    ready: Callable[[], None] = lambda: None


def try_patch(bench: Bench, patch: Patch) -> Verdict:
    """Run a patch through the cascade in fresh boxes.

    Raises:
        SandboxError: the sandbox, not the patch, failed.
    """
    baseline = bench.baseline
    reports: list[TestReport] = []
    if baseline.reproduction is not None:
        spec = reproduction_spec(baseline.image, baseline.reproduction, baseline.named)
        reports.append(run_tests(bench.sandbox, spec, patch, bench.limits, tests=(FILE_NAME,)))
        if not _fixes_something(baseline, reports[0]):
            return _verdict(baseline, reports, suite_ran=False)
    broken = _broken_at_once(bench, patch, reports)
    if broken:
        verdict = _verdict(baseline, reports, suite_ran=True)
        return verdict.model_copy(update={"broke_first": broken})
    suite = run_tests(bench.sandbox, suite_spec(baseline), patch, bench.limits)
    excused = _flickered(bench, patch, suite)
    again = dict.fromkeys(excused, TestStatus.PASSED)
    reports.append(replace(suite, statuses={**suite.statuses, **again}))
    return _verdict(baseline, reports, suite_ran=True).model_copy(update={"flaky": excused})


def _broken_at_once(bench: Bench, patch: Patch, reports: list[TestReport]) -> tuple[str, ...]:
    """The tests that a patch affects and breaks, each time of two.

    Without the patch all of them have to pass as they were run, or nothing is known: a test may
    need what a file that was not chosen sets up. Their report is added to `reports` if it is the
    last.
    """
    spec = suite_spec(bench.baseline)
    broken = ran = _chosen(bench.baseline, patch)
    for _ in range(2):
        if not broken:
            return ()
        ran = broken
        report = run_tests(bench.sandbox, spec, patch, bench.limits, tests=ran)
        if not report.ran:
            return ()  # the whole suite says why
        broken = tuple(test for test in ran if report.statuses.get(test) not in GOOD)
    if not broken or not _pass(bench, None, ran, broken):
        return ()
    reports.append(report)
    return broken


def _chosen(baseline: Baseline, patch: Patch) -> tuple[str, ...]:
    """The PASS_TO_PASS tests that a patch affects; none where they are too many or not known."""
    spec = suite_spec(baseline)
    if baseline.impact is None or check_patch(patch, Exceptions(named=spec.named)):
        return ()
    found = affected(baseline.impact, judged(patch, Exceptions(named=spec.named)))
    chosen = tuple(t for t in spec.pass_to_pass if found is not None and t in found)
    return chosen if len(chosen) <= MOST_AFFECTED * len(spec.pass_to_pass) else ()


def _pass(bench: Bench, patch: Patch | None, ran: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether the wanted tests pass where `ran` are run, with a patch or at the base commit."""
    spec = suite_spec(bench.baseline)
    report = run_tests(bench.sandbox, spec, patch, bench.limits, tests=ran)
    return report.ran and all(report.statuses.get(test) in GOOD for test in wanted)


def _flickered(bench: Bench, patch: Patch, report: TestReport) -> tuple[str, ...]:
    """The PASS_TO_PASS tests that failed newly and are none the worse for it; all or none.

    They are run twice more in fresh boxes, alone and then in the whole suite as before, and one
    that fails again is a regression. Where a runner's files fail alone without the patch too, that
    says nothing, and the whole suite runs twice. A FAIL_TO_PASS test is never run until it passes.
    """
    spec = suite_spec(bench.baseline)
    broken = grade(spec, report).broken
    if not report.ran or report.tampered or not 0 < len(broken) <= MOST_AGAIN:
        return ()
    for tests in (broken, ()):
        again = _pass(bench, patch, tests, broken)
        if not again and tests and spec.command.runner in BY_FILE:
            alone = _pass(bench, None, tests, broken)
            again = not alone and _pass(bench, patch, (), broken)
        if not again:
            return ()
    return broken


def suite_spec(baseline: Baseline) -> TestSpec:
    """The whole suite, as it ran at base_commit."""
    command = TestCommand(baseline.runner, baseline.command, "as at the base commit")
    return TestSpec(
        baseline.image,
        command,
        fail_to_pass=baseline.fail_to_pass,
        pass_to_pass=baseline.pass_to_pass,
        churn=baseline.churn,
        named=frozenset(baseline.named),
        canaries=baseline.canaries,
        masked=baseline.masked,
    )


def trial_spec(baseline: Baseline) -> TestSpec:
    """The FAIL_TO_PASS tests, as they are run one by one."""
    if baseline.reproduction is None:
        return suite_spec(baseline)
    spec = reproduction_spec(baseline.image, baseline.reproduction, baseline.named)
    return replace(spec, fail_to_pass=baseline.fail_to_pass)


def _fixes_something(baseline: Baseline, report: TestReport) -> bool:
    return any(report.statuses.get(test) in GOOD for test in baseline.fail_to_pass)


def _verdict(baseline: Baseline, reports: list[TestReport], *, suite_ran: bool) -> Verdict:
    statuses = {t: str(s) for report in reports for t, s in report.statuses.items()}
    last = reports[-1]
    return Verdict(
        statuses=statuses,
        applied=all(report.applied for report in reports),
        suite_ran=suite_ran and all(report.ran for report in reports),
        timed_out=any(report.timed_out for report in reports),
        refused=next((report.refused for report in reports if report.refused), None),
        tampered=next((report.tampered for report in reports if report.tampered), None),
        feedback=_feedback(baseline, reports),
        duration_s=sum(report.duration_s for report in reports) or last.duration_s,
    )


def _feedback(baseline: Baseline, reports: list[TestReport]) -> str:
    """The first failure that matters: a broken test before one that is still red."""
    for report in reports:
        if report.refused:
            return report.refused
        if report.tampered:
            return report.tampered
        if report.timed_out:
            return "the tests ran out of time"
    details = {test: text for report in reports for test, text in report.details.items()}
    wanted = [*baseline.pass_to_pass, *baseline.fail_to_pass]
    failed = next((test for test in wanted if test in details), None)
    text = f"{failed}\n{details[failed]}" if failed else reports[-1].log_tail
    return text[-MAX_FEEDBACK_CHARS:]


def graded(baseline: Baseline, verdict: Verdict) -> Grade:
    """Grade a verdict against the baseline; tests that were spared count as not passed.

    Except where a test that the patch affects broke: then the rest is taken as unharmed, so that
    such a patch is told from one that breaks everything. It is a regression in any case.
    """
    spared = dict.fromkeys(baseline.pass_to_pass if verdict.broke_first else (), "PASSED")
    report = TestReport(
        applied=verdict.applied and verdict.refused is None,
        timed_out=verdict.timed_out,
        ran=verdict.suite_ran,
        tampered=verdict.tampered,
        statuses={t: TestStatus(status) for t, status in {**spared, **verdict.statuses}.items()},
    )
    return grade(suite_spec(baseline), report)


def scored(baseline: Baseline, candidate: Candidate, verdict: Verdict | None) -> Scored:
    """A candidate with its reward; without a verdict it was unusable or never tested."""
    if verdict is None:
        return Scored(candidate, tests_reward(None), None, candidate.note)
    result = graded(baseline, verdict)
    return Scored(candidate, tests_reward(result), result, verdict.feedback)


def evaluate(store: JobStore, bench: Bench, job_id: str, slot: tuple[int, int], owner: str) -> bool:
    """Test one stored candidate under a lease; False when there was nothing to do.

    What is made ready first is the job's own work, so it is done under the lease too. Where trying
    it fails for no reason that has a name, it stays without a verdict and says so.

    Raises:
        ImageBuildError: what the candidate needs cannot be made ready.
        SandboxError: the sandbox failed; the lease runs out and the candidate is tested again.
    """
    row = store.lease_candidate(job_id, *slot, owner, bench.lease_s)
    if row is None or row.patch is None:
        return False
    renew = partial(store.renew_candidate, job_id, *slot, owner, bench.lease_s)
    with kept(renew, bench.lease_s):
        bench.ready()
        verdict = _tried(bench, Patch(row.patch))
    if verdict is None:
        store.tested(job_id, *slot, None, UNTESTED, owner)
        return True
    note = note_for(bench.baseline, verdict)
    logger.info("candidate %d/%d: %s", *slot, note)
    store.tested(job_id, *slot, verdict.model_dump_json(), note, owner)
    return True


def _tried(bench: Bench, patch: Patch) -> Verdict | None:
    """A patch's verdict; None where trying it fails in a way that no later try would mend."""
    try:
        return try_patch(bench, patch)
    except (SandboxError, OSError):
        raise
    except Exception:
        logger.exception("a candidate could not be tested")
        return None


def note_for(baseline: Baseline, verdict: Verdict) -> str:
    """A verdict in a few words, for people."""
    if verdict.refused or verdict.tampered:
        return f"refused: {verdict.refused}" if verdict.refused else str(verdict.tampered)
    if verdict.timed_out or not verdict.applied:
        return "ran out of time" if verdict.timed_out else "did not apply"
    result = graded(baseline, verdict)
    fixed = f"fixes {result.fail_to_pass.passed} of {result.fail_to_pass.of}"
    if not verdict.suite_ran:
        return fixed if result.fail_to_pass.of else "gave no test report"
    broken = f", breaks {len(result.broken)}" if result.broken else ", breaks nothing"
    return (fixed if result.fail_to_pass.of else f"keeps {result.pass_to_pass.passed}") + broken


def to_row(candidate: Candidate) -> StoredCandidate:
    """A candidate as the store keeps it; an unusable one needs no test."""
    focus = candidate.focus
    state = CandidateState.SAMPLED if candidate.patch else CandidateState.TESTED
    document = (
        _Focus(path=focus.path, name=focus.name, start=focus.start, end=focus.end)
        if focus
        else None
    )
    return StoredCandidate(
        iteration=candidate.iteration,
        sample=candidate.sample,
        completion=candidate.completion,
        patch=candidate.patch,
        key=candidate.key,
        focus=document.model_dump_json() if document else None,
        tokens_in=candidate.tokens_in,
        tokens_out=candidate.tokens_out,
        state=state,
        report=None,
        note=candidate.note,
    )


def from_row(row: StoredCandidate) -> Candidate:
    """The candidate of a stored row."""
    focus = _Focus.model_validate_json(row.focus) if row.focus else None
    return Candidate(
        iteration=row.iteration,
        sample=row.sample,
        completion=row.completion,
        patch=Patch(row.patch) if row.patch else None,
        key=row.key,
        focus=Span(focus.path, focus.name, focus.start, focus.end) if focus else None,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        note=row.note,
    )


class _Focus(Document):
    path: str
    name: str
    start: int
    end: int
