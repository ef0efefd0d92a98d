"""One job from start to end: unpack, build, baseline, localize, evolve, choose, check, conclude.

Every stage's result is written down before the next begins, so a worker that dies costs at most one
candidate: whoever takes the job next finds the baseline and all candidates in the store.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import repo_config, snapshot
from engine.candidate import Candidate, CodeContext, Iteration, Scored, Select
from engine.contract import (
    Budget,
    Evidence,
    Failed,
    Issue,
    NoPatch,
    Patched,
    Progress,
    RepairOutcome,
    RepairRequest,
    Selection,
    Stage,
    Tally,
    TestOutcome,
)
from engine.errors import BadInputError
from engine.evaluate import (
    Bench,
    Verdict,
    from_row,
    graded,
    scored,
    to_row,
    trial_spec,
    try_patch,
)
from engine.evolve import Search, evolve
from engine.localize import localize
from engine.models.base import EditFormat, Model
from engine.selection import Choice, by_reward, by_tests, choose, unscored
from engine.store import CandidateState, JobStore
from engine.testspec import Baseline, NoBaseline, learn
from sandbox.contract import Limits, Patch, Sandbox
from sandbox.errors import ImageBuildError
from sandbox.images import prepare
from sandbox.policy import Exceptions, carried
from sandbox.settings import SandboxSettings
from sandbox.trial import Trial, blind_trial

logger = logging.getLogger(__name__)

POLL_S = 0.05
RETEST_S = 5.0
"""So often candidates that wait are handed out again: a message or a tester may be lost."""
MAX_LISTED_TESTS = 2_000
BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Engine:
    """What a search needs besides its request.

    `hand_out(job_id, iteration, sample)` has a candidate tested by somebody; `stopped()` says that
    the work is not wanted any more; `spent_s` is what earlier starts of this job have used of its
    time.
    """

    model: Model
    sandbox: Sandbox
    sandbox_settings: SandboxSettings
    store: JobStore
    snapshot_dir: Path
    hand_out: Callable[[str, int, int], None]
    on_progress: Callable[[Progress], None]
    stopped: Callable[[], bool]
    selection: Selection = Selection.BY_TESTS
    seed: int = 0
    max_wall_clock_s: float = 3600.0
    test_command: tuple[str, ...] | None = None
    greedy_first: bool = False
    spent_s: float = 0.0


def repair(request: RepairRequest, engine: Engine) -> RepairOutcome:
    """Search for a patch and say what the tests said of it.

    Raises:
        EngineError: the engine could not find out.
        SandboxError: the sandbox could not find out.
    """
    with TemporaryDirectory(prefix="evoscale-") as folder:
        checkout = Path(folder)
        ref = request.snapshot
        snapshot.unpack(engine.snapshot_dir, ref.key, ref.sha256, checkout)
        return _Job(request, engine, checkout).run()


class _Job:
    """The stages of one job; its only state is what the store holds and when it began."""

    def __init__(self, request: RepairRequest, engine: Engine, checkout: Path) -> None:
        self.job = request.job
        self.engine = engine
        self.checkout = checkout
        config = _config(request, checkout)
        self.test_command = engine.test_command or config.test_argv
        self.budget: Budget = repo_config.capped(self.job.budget, config, engine.max_wall_clock_s)
        self.began = time.monotonic() - engine.spent_s
        self.distrusted: list[str] = []

    def run(self) -> RepairOutcome:
        if self.engine.selection is Selection.UNSCORED and not self.engine.model.profile.evolves:
            raise BadInputError(
                f"the model {self.engine.model.name!r} is not marked as trained to improve its own "
                "patches without a score; choose the selection `by_tests`, or set "
                "EVOSCALE_ENGINE_MODEL_EVOLVES=true if it is"
            )
        baseline = self.baseline()
        if isinstance(baseline, NoBaseline):
            return Failed(reason=baseline.reason, retryable=False)
        if self._cannot_judge(baseline):
            return NoPatch(reason=UNJUDGED)
        issue = self.problem()
        context = localize(_with_failures(issue, baseline), self.checkout, baseline.lines_executed)
        if not context.files:
            return Failed(reason="the repository holds no Python source to repair", retryable=False)
        pool = self.search(issue, context, baseline)
        return self.conclude(baseline, pool)

    def baseline(self) -> Baseline | NoBaseline:
        """Build the environment and learn what passes; once per job."""
        self.say(Stage.ENVIRONMENT)
        try:
            environment = prepare(
                self.engine.sandbox,
                self.checkout,
                test_command=self.test_command,
                settings=self.engine.sandbox_settings,
            )
        except ImageBuildError as error:
            return NoBaseline(reason=f"{error}\n{error.log_tail[-1500:]}".strip())
        known = self.engine.store.checkpointed(self.job.job_id, BASELINE)
        if known is not None:
            return Baseline.model_validate_json(known)
        self.say(Stage.BASELINE, note=environment.recipe)
        limits = self.engine.sandbox_settings.limits()
        baseline = learn(self.engine.sandbox, environment, self.problem().text, limits)
        if isinstance(baseline, Baseline):
            document = baseline.model_dump_json()
            self.engine.store.checkpoint(self.job.job_id, BASELINE, document)
        return baseline

    def problem(self) -> Issue:
        """The issue, with the reviewer's words where a review started the job."""
        if not self.job.feedback:
            return self.job.issue
        body = f"{self.job.issue.body}\n\nA reviewer of the last patch says:\n\n{self.job.feedback}"
        return self.job.issue.model_copy(update={"body": body})

    def search(self, issue: Issue, context: CodeContext, baseline: Baseline) -> list[Scored]:
        """Evolve until something resolves the issue, the budget is spent, or somebody stops it."""
        pool: list[Scored] = []
        earlier = [from_row(row) for row in self.engine.store.candidates(self.job.job_id)]
        self.say(Stage.SEARCH, note=f"{len(baseline.fail_to_pass)} failing tests to fix")
        iterations = evolve(
            Search(
                issue,
                context,
                self.engine.model,
                self.engine.seed,
                greedy_first=self.engine.greedy_first,
            ),
            self.budget,
            select=self._select(baseline),
            on_candidate=self._hand_out,
            earlier=earlier,
        )
        for candidate in earlier:
            self._hand_out(candidate)
        for iteration in iterations:
            tested = self.score(baseline, iteration.candidates)
            pool.extend(tested)
            self._say_iteration(iteration, pool)
            if self._over() or any(s.grade and s.grade.resolved for s in tested):
                break
        return pool

    def _hand_out(self, candidate: Candidate) -> None:
        self.engine.store.add_candidate(self.job.job_id, to_row(candidate))
        if candidate.patch and not self._over():
            self.engine.hand_out(self.job.job_id, candidate.iteration, candidate.sample)

    def _select(self, baseline: Baseline) -> Select:
        def score(candidates: Sequence[Candidate]) -> Sequence[Scored]:
            return self.score(baseline, candidates)

        table: dict[Selection, Select] = {
            Selection.UNSCORED: unscored,
            Selection.BY_REWARD: by_reward(score, lambda s: s.reward),
            Selection.BY_TESTS: by_tests(score),
        }
        return table[self.engine.selection]

    def score(self, baseline: Baseline, candidates: Sequence[Candidate]) -> list[Scored]:
        """Wait for the candidates' tests; those that time did not reach stay without a grade."""
        wanted = {(c.iteration, c.sample): c for c in candidates}
        handed_out = time.monotonic()
        while True:
            rows = {
                (r.iteration, r.sample): r
                for r in self.engine.store.candidates(self.job.job_id)
                if (r.iteration, r.sample) in wanted
            }
            waiting = [slot for slot, r in rows.items() if r.state is CandidateState.SAMPLED]
            if not waiting or self._over():
                break
            if time.monotonic() - handed_out > RETEST_S:
                handed_out = time.monotonic()
                for slot in waiting:
                    self.engine.hand_out(self.job.job_id, *slot)
            time.sleep(POLL_S)
        verdicts = {
            slot: Verdict.model_validate_json(row.report) if row.report else None
            for slot, row in rows.items()
        }
        return [scored(baseline, c, verdicts.get(slot)) for slot, c in wanted.items()]

    def conclude(self, baseline: Baseline, pool: list[Scored]) -> RepairOutcome:
        """Choose, check the choice once more in a fresh box, and put the evidence together."""
        choice = choose(pool)
        while choice is not None:
            self.say(Stage.FINAL_CHECK, candidates=len(pool))
            patch = choice.scored.candidate.patch or Patch("")
            bench = Bench(self.engine.sandbox, baseline, self._limits(baseline))
            verdict = try_patch(bench, patch)
            again = scored(baseline, choice.scored.candidate, verdict)
            if choose([again]) is not None:
                trial = blind_trial(bench.sandbox, trial_spec(baseline), patch, bench.limits)
                if trial.failure is None:
                    return self._patched(baseline, pool, choice, (verdict, trial))
                self.distrusted.append(trial.failure)
            rejected = choice.scored.candidate.key
            pool = [s for s in pool if s.candidate.key != rejected]
            choice = choose(pool)
        return self._no_patch(baseline, pool)

    def _patched(
        self,
        baseline: Baseline,
        pool: list[Scored],
        choice: Choice,
        checked: tuple[Verdict, Trial],
    ) -> Patched:
        verdict, trial = checked
        candidate = choice.scored.candidate
        patch = Patch(candidate.patch or "")
        grade = graded(baseline, verdict)
        rows = self.engine.store.candidates(self.job.job_id)
        evidence = Evidence(
            resolved=grade.resolved,
            no_regression=grade.no_regression,
            fail_to_pass=Tally(passed=grade.fail_to_pass.passed, of=grade.fail_to_pass.of),
            pass_to_pass=Tally(passed=grade.pass_to_pass.passed, of=grade.pass_to_pass.of),
            tests=_outcomes(baseline, verdict),
            quarantined=(*baseline.quarantined, *verdict.flaky),
            trial=trial.said,
            notes=baseline.notes,
            carried=carried(patch, Exceptions(named=frozenset(baseline.named))),
            isolation=self.engine.sandbox.isolation,
            image=baseline.image,
            command=baseline.command,
            reproduction=baseline.reproduction,
            iterations=1 + max(s.candidate.iteration for s in pool),
            candidates=len(rows),
            distinct=len({r.key for r in rows if r.key}),
            passing=sum(1 for s in pool if s.grade and s.grade.resolved),
            decided_by=choice.decided_by,
            model=self.engine.model.name,
            seed=self.engine.seed,
            tokens=sum(r.tokens_in + r.tokens_out for r in rows),
            wall_s=round(time.monotonic() - self.began, 1),
        )
        return Patched(patch=patch, explanation=explain(candidate), evidence=evidence)

    def _no_patch(self, baseline: Baseline, pool: list[Scored]) -> NoPatch:
        rows = self.engine.store.candidates(self.job.job_id)
        distinct = len({r.key for r in rows if r.key})
        iterations = 1 + max((r.iteration for r in rows), default=-1)
        fixing = sum(1 for s in pool if s.grade and s.grade.fail_to_pass.passed)
        why = "the search was stopped on request. " if self.engine.stopped() else ""
        if not why and self._over():
            why = "the time was used up. "
        counted = "1 iteration" if iterations == 1 else f"{iterations} iterations"
        made = f"{fixing} made a failing test pass, and none of those kept every other test"
        tried = (
            f"{len(rows)} candidates over {counted}, {distinct} distinct, were tested; "
            f"{made if fixing else 'none made a failing test pass'}"
        )
        if self.distrusted:
            tried += f" or could be believed ({self.distrusted[0]})"
        goal = f"{len(baseline.fail_to_pass)} failing tests ({baseline.source})"
        return NoPatch(
            reason=f"{why}{tried}. The goal was: {goal}.",
            iterations=iterations,
            candidates=len(rows),
            distinct=distinct,
        )

    def _cannot_judge(self, baseline: Baseline) -> bool:
        """A model that cannot read an issue must have a failing test to aim at."""
        line = self.engine.model.profile.edit_format is EditFormat.LINE
        return line and not baseline.fail_to_pass

    def _limits(self, baseline: Baseline) -> Limits:
        return replace(self.engine.sandbox_settings.limits(), wall_clock_s=baseline.wall_clock_s)

    def _over(self) -> bool:
        spent = time.monotonic() - self.began
        return spent > self.budget.wall_clock_s or self.engine.stopped()

    def _say_iteration(self, iteration: Iteration, pool: Sequence[Scored]) -> None:
        best = max((s.reward for s in pool), default=None)
        logger.info("iteration %d: %d candidates in all", iteration.index, len(pool))
        self.say(Stage.SEARCH, iteration=iteration.index, candidates=len(pool), best_reward=best)

    def say(
        self,
        stage: Stage,
        *,
        iteration: int | None = None,
        candidates: int = 0,
        best_reward: float | None = None,
        note: str = "",
    ) -> None:
        """Tell whoever listens where the job is."""
        self.engine.on_progress(
            Progress(
                job_id=self.job.job_id,
                stage=stage,
                iteration=iteration,
                candidates=candidates,
                best_reward=best_reward,
                note=note,
            )
        )


UNJUDGED = (
    "the issue holds no example that fails, and no test fails at the base commit, so nothing would "
    "tell a fix from a guess. Add an example to the issue, as typed at a Python prompt "
    "(`>>> call()` and the expected value below), or push a failing test, and ask again"
)


def _config(request: RepairRequest, checkout: Path) -> repo_config.RepoConfig:
    """What the repository's owners set: a branch that anybody else may write is not asked."""
    if request.config is None:
        return repo_config.read(checkout)
    return repo_config.parse(request.config)


def _with_failures(issue: Issue, baseline: Baseline) -> Issue:
    """The issue plus what its tests said: tracebacks are the best guide to the place."""
    said = "\n\n".join(list(baseline.failures.values())[:5])
    return issue.model_copy(update={"body": f"{issue.body}\n\n{said}"})


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
