"""One job from start to end: ask for its base runs, localize, evolve, choose, check, conclude.

Every stage's result is written down first: who takes the job after a worker died finds the baseline
and all candidates in the store. Whoever holds boxes is asked (`engine.workshop`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import repo_config, snapshot
from engine.asking import Asking, HandOut, Patience
from engine.candidate import Candidate, CodeContext, Iteration, Scored, Select
from engine.conclusion import Found, no_patch, patched, stopped_with
from engine.contract import (
    Budget,
    Failed,
    Issue,
    NoPatch,
    Patched,
    Progress,
    RepairOutcome,
    RepairRequest,
    Selection,
    Stage,
)
from engine.errors import (
    BadInputError,
    BaseRunsOutdatedError,
    EnvironmentLostError,
    TestsUnavailableError,
)
from engine.evaluate import Verdict, from_row, scored, to_row
from engine.evolve import Search, evolve
from engine.leases import Clock
from engine.localize import localize
from engine.models.base import EditFormat, Model
from engine.orders import Errand, Orders
from engine.selection import by_reward, by_tests, choose, unscored
from engine.store import JobStore
from engine.testspec import Baseline
from engine.workshop import BASELINE, Checked, Prepared, config_of, problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Engine:
    """What a search needs besides its request.

    `hand_out(errand, job_id, iteration, sample)` has an errand done by somebody who holds boxes;
    `stopped()` says that the work is not wanted any more; `clock` counts the job's time over all
    its starts, from when its tests at the base commit are known; `attempt` is the start's number.
    """

    model: Model
    store: JobStore
    orders: Orders
    snapshot_dir: Path
    hand_out: HandOut
    on_progress: Callable[[Progress], None]
    stopped: Callable[[], bool]
    selection: Selection = Selection.BY_TESTS
    seed: int = 0
    max_wall_clock_s: float = 3600.0
    greedy_first: bool = False
    clock: Clock = field(default_factory=Clock)
    patience: Patience = field(default_factory=Patience)
    attempt: int = 0


def repair(request: RepairRequest, engine: Engine) -> RepairOutcome:
    """Search for a patch and say what the tests said of it.

    An environment that got lost on the way is an outcome too: it has a log to be shown. Where the
    base runs are outdated, all that was judged by them is forgotten, so that the next start begins
    with them.

    Raises:
        EngineError: the engine could not find out.
        SandboxError: the sandbox could not find out.
    """
    with TemporaryDirectory(prefix="evoscale-") as folder:
        checkout = Path(folder)
        ref = request.snapshot
        snapshot.unpack(engine.snapshot_dir, ref.key, ref.sha256, checkout)
        try:
            return _Job(request, engine, checkout).run()
        except EnvironmentLostError as lost:
            return Failed(reason=str(lost), retryable=True, log=lost.log, recipe=lost.recipe)
        except BaseRunsOutdatedError as outdated:
            engine.store.begin_anew(request.job.job_id, engine.attempt)
            return Failed(reason=str(outdated), retryable=True)


class _Job:
    """The stages of one job; its only state is what the store holds and its clock."""

    def __init__(self, request: RepairRequest, engine: Engine, checkout: Path) -> None:
        self.job = request.job
        self.engine = engine
        self.checkout = checkout
        config = config_of(request, checkout)
        self.budget: Budget = repo_config.capped(self.job.budget, config, engine.max_wall_clock_s)
        self.distrusted: dict[tuple[int, int], str] = {}
        self.asking = Asking(
            self.job.job_id,
            engine.store,
            engine.orders,
            engine.hand_out,
            engine.stopped,
            engine.clock,
            engine.patience,
            most_left_out_s=self.budget.wall_clock_s,
            attempt=engine.attempt,
        )

    def run(self) -> RepairOutcome:
        if self.engine.selection is Selection.UNSCORED and not self.engine.model.profile.evolves:
            raise BadInputError(
                f"the model {self.engine.model.name!r} is not marked as trained to improve its own "
                "patches without a score; choose the selection `by_tests`, or set "
                "EVOSCALE_ENGINE_MODEL_EVOLVES=true if it is"
            )
        baseline = self.baseline()
        if not isinstance(baseline, Baseline):
            return baseline
        self.engine.clock.begin()
        if self._cannot_judge(baseline):
            return NoPatch(reason=UNJUDGED)
        issue = problem(self.job)
        context = localize(_with_failures(issue, baseline), self.checkout, baseline.lines_executed)
        if not context.files:
            return Failed(reason="the repository holds no Python source to repair", retryable=False)
        return self.search(issue, context, baseline)

    def baseline(self) -> Baseline | Failed | NoPatch:
        """Have the environment built and what passes learnt; once per job."""
        self.say(Stage.ENVIRONMENT)
        known = self.engine.store.checkpointed(self.job.job_id, BASELINE)
        if known is None:
            answer = self.asking.ask(Errand.PREPARE, (0, 0))
            if answer is None:
                begun = "were still running" if self.asking.prepares() else "had not begun"
                known = f"The tests at the base commit {begun}"
                return NoPatch(reason=f"{self._why_over()}{known}")
            if isinstance(answer, Prepared) and answer.obstacle is not None:
                return Failed(
                    reason=answer.obstacle, retryable=False, log=answer.log, recipe=answer.tried
                )
            known = self.engine.store.checkpointed(self.job.job_id, BASELINE)
        if known is None:
            raise TestsUnavailableError("the base runs were not written down", retryable=True)
        return Baseline.model_validate_json(known)

    def search(self, issue: Issue, context: CodeContext, baseline: Baseline) -> RepairOutcome:
        """Evolve until something resolves the issue, the budget is spent, or somebody stops it.

        What resolves it by its tests and does not stand the last check ends nothing: the next best
        is looked at, and then the search goes on.
        """
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
            pool.extend(self.score(baseline, iteration.candidates))
            self._say_iteration(iteration, pool)
            won = self.conclude(baseline, pool, resolved_only=True)
            if won is not None:
                return won
            if self._over():
                break
        return self.conclude(baseline, pool) or self._no_patch(baseline, pool)

    def _found(self, baseline: Baseline, pool: Sequence[Scored]) -> Found:
        return Found(
            baseline=baseline,
            pool=pool,
            rows=self.engine.store.candidates(self.job.job_id),
            model=self.engine.model.name,
            seed=self.engine.seed,
            wall_s=round(self.engine.clock.spent_s(), 1),
        )

    def _no_patch(self, baseline: Baseline, pool: Sequence[Scored]) -> NoPatch:
        distrusted = next(iter(self.distrusted.values()), None)
        return no_patch(self._found(baseline, pool), self._why_over(), distrusted)

    def _hand_out(self, candidate: Candidate) -> None:
        self.engine.store.add_candidate(self.job.job_id, to_row(candidate))
        if candidate.patch and not self._over():
            slot = (candidate.iteration, candidate.sample)
            self.engine.hand_out(Errand.EVALUATE, self.job.job_id, *slot)

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
        rows = self.asking.tested(wanted.keys(), self._over)
        verdicts = {
            slot: Verdict.model_validate_json(row.report) if row.report else None
            for slot, row in rows.items()
        }
        return [
            scored(baseline, c, self._believed(slot, verdicts.get(slot)))
            for slot, c in wanted.items()
        ]

    def _believed(self, slot: tuple[int, int], verdict: Verdict | None) -> Verdict | None:
        """A candidate's verdict, with what the last check has said against it."""
        failure = self.distrusted.get(slot)
        if verdict is None or failure is None:
            return verdict
        return verdict.model_copy(update={"tampered": failure, "feedback": failure})

    def conclude(
        self, baseline: Baseline, pool: list[Scored], *, resolved_only: bool = False
    ) -> Patched | NoPatch | None:
        """Choose, have the choice checked in fresh boxes, and put the evidence together.

        A choice that does not stand it is scored anew in `pool`, and the next best is looked at;
        None where none is left. After a stop no second one is looked at, and what was said against
        the first may be the stop alone.

        Raises:
            TestsUnavailableError: nobody could check it.
        """
        while True:
            resolving = [s for s in pool if s.grade and s.grade.resolved]
            choice = choose(pool if resolving or not resolved_only else [])
            if choice is None:
                return None
            self.say(Stage.FINAL_CHECK, candidates=len(pool))
            candidate = choice.scored.candidate
            checked = self.asking.ask(Errand.CHECK, (candidate.iteration, candidate.sample))
            if not isinstance(checked, Checked):
                return stopped_with(self._found(baseline, pool), self._why_over(), None)
            failure = self._against(baseline, candidate, checked)
            if failure is None:
                return patched(self._found(baseline, pool), choice, checked)
            if self.engine.stopped():
                return stopped_with(self._found(baseline, pool), self._why_over(), failure)
            self._distrust(baseline, pool, candidate, failure)

    @staticmethod
    def _against(baseline: Baseline, candidate: Candidate, checked: Checked) -> str | None:
        """What the last check says against a candidate, or None."""
        if checked.trial is None:
            again = scored(baseline, candidate, checked.verdict)
            return f"it did not pass its tests a second time: {again.feedback}".strip()
        beside = (each.against for each in checked.neighbours)
        return checked.trial.failure or next(filter(None, beside), None)

    def _distrust(
        self, baseline: Baseline, pool: list[Scored], rejected: Candidate, failure: str
    ) -> None:
        """Score every candidate of the same code as one that cannot be believed."""
        logger.info("candidate %d/%d: %s", rejected.iteration, rejected.sample, failure)
        for index, one in enumerate(pool):
            candidate = one.candidate
            if candidate.key == rejected.key and candidate.patch:
                self.distrusted[candidate.iteration, candidate.sample] = failure
                verdict = Verdict(statuses={}, applied=True, suite_ran=False, tampered=failure)
                pool[index] = replace(scored(baseline, candidate, verdict), feedback=failure)

    def _cannot_judge(self, baseline: Baseline) -> bool:
        """A model that cannot read an issue must have a failing test to aim at."""
        line = self.engine.model.profile.edit_format is EditFormat.LINE
        return line and not baseline.fail_to_pass

    def _why_over(self) -> str:
        """Why the search ended before its budget of iterations, as the start of a sentence."""
        if self.engine.stopped():
            return "the search was stopped on request. "
        return "the time was used up. " if self._over() else ""

    def _over(self) -> bool:
        late = self.engine.clock.spent_s() > self.budget.wall_clock_s
        return late or self.engine.stopped()

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


def _with_failures(issue: Issue, baseline: Baseline) -> Issue:
    """The issue plus what its tests said: tracebacks are the best guide to the place."""
    said = "\n\n".join(list(baseline.failures.values())[:5])
    return issue.model_copy(update={"body": f"{issue.body}\n\n{said}"})
