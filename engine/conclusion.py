"""How a search ends, in words and figures: the patch with its evidence, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.candidate import Candidate, Scored
from engine.contract import Evidence, NoPatch, Patched, Tally, TestOutcome
from engine.evaluate import UNTESTED, Verdict, graded
from engine.selection import Choice
from engine.store import StoredCandidate
from engine.testspec import Baseline
from engine.workshop import Checked
from sandbox.contract import Patch
from sandbox.policy import Exceptions, carried

MAX_LISTED_TESTS = 2_000


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has to show: its scored `pool`, and the `rows` of everything it sampled."""

    baseline: Baseline
    pool: Sequence[Scored]
    rows: Sequence[StoredCandidate]
    model: str
    seed: int
    wall_s: float

    @property
    def distinct(self) -> int:
        """How many different programs were sampled."""
        return len({row.key for row in self.rows if row.key})


def patched(found: Found, choice: Choice, checked: Checked) -> Patched:
    """The chosen patch with what its last check said."""
    baseline, candidate = found.baseline, choice.scored.candidate
    patch = Patch(candidate.patch or "")
    grade = graded(baseline, checked.verdict)
    evidence = Evidence(
        resolved=grade.resolved,
        no_regression=grade.no_regression,
        fail_to_pass=Tally(passed=grade.fail_to_pass.passed, of=grade.fail_to_pass.of),
        pass_to_pass=Tally(passed=grade.pass_to_pass.passed, of=grade.pass_to_pass.of),
        tests=_outcomes(baseline, checked.verdict),
        quarantined=(*baseline.quarantined, *checked.verdict.flaky),
        trial=checked.trial.said if checked.trial else "",
        notes=baseline.notes,
        project=checked.project,
        beside=tuple(each.said for each in checked.neighbours),
        carried=carried(patch, Exceptions(named=frozenset(baseline.named))),
        isolation=checked.isolation,
        image=baseline.image,
        command=baseline.command,
        reproduction=baseline.reproduction,
        iterations=1 + max(s.candidate.iteration for s in found.pool),
        candidates=len(found.rows),
        distinct=found.distinct,
        passing=sum(1 for s in found.pool if s.grade and s.grade.resolved),
        decided_by=choice.decided_by,
        model=found.model,
        seed=found.seed,
        tokens=sum(row.tokens_in + row.tokens_out for row in found.rows),
        wall_s=found.wall_s,
    )
    return Patched(patch=patch, explanation=explain(candidate), evidence=evidence)


def no_patch(found: Found, why: str, distrusted: str | None) -> NoPatch:
    """What was tried; `why` is how the search ended early, `distrusted` what it did not believe."""
    iterations = 1 + max((row.iteration for row in found.rows), default=-1)
    fixing = sum(1 for s in found.pool if s.grade and s.grade.fail_to_pass.passed)
    counted = "1 iteration" if iterations == 1 else f"{iterations} iterations"
    made = f"{fixing} made a failing test pass, and none of those kept every other test"
    tried = (
        f"{len(found.rows)} candidates over {counted}, {found.distinct} distinct, were tested; "
        f"{made if fixing else 'none made a failing test pass'}"
    )
    if distrusted is not None:
        tried += f" or could be believed ({distrusted})"
    untested = sum(1 for row in found.rows if row.note == UNTESTED)
    if untested:
        tried += f"; {untested} could not be tested for an unexpected error, which the log has"
    goal = f"{len(found.baseline.fail_to_pass)} failing tests ({found.baseline.source})"
    return NoPatch(
        reason=f"{why}{tried}. The goal was: {goal}.",
        iterations=iterations,
        candidates=len(found.rows),
        distinct=found.distinct,
    )


def stopped_with(found: Found, why: str, failure: str | None) -> NoPatch:
    """How a search ends that was stopped when it had a patch.

    `failure` is what the last look said against that patch, None where nobody had looked. It may
    come from the stop, which ends a look at other projects; its own words say so then.
    """
    looked = "that nobody had looked at once more"
    if failure is not None:
        looked = f"that did not stand its last look: {failure}. No other one was looked at any more"
    reason = f"{why}A patch was found {looked}"
    return no_patch(found, why, None).model_copy(update={"reason": reason})


def _outcomes(baseline: Baseline, verdict: Verdict) -> tuple[TestOutcome, ...]:
    named = [*baseline.fail_to_pass, *baseline.pass_to_pass][:MAX_LISTED_TESTS]
    return tuple(
        TestOutcome(
            test_id=test,
            before=baseline.before.get(test, "absent"),
            after=verdict.statuses.get(test, "absent"),
        )
        for test in named
    )


def explain(candidate: Candidate) -> str:
    """What a candidate's author said of it; for a line edit, where it is."""
    if candidate.focus is not None:
        where = f"`{candidate.focus.name}` in `{candidate.focus.path}`"
        return f"The patch edits {where}."
    reasoning = candidate.completion.split("<<<<<<< SEARCH")[0].rstrip()
    kept = reasoning.rsplit("\n", 1)[0] if "\n" in reasoning else ""
    return kept.strip()[:4000]
