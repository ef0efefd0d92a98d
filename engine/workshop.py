"""Whoever holds the boxes: base runs, candidates' tests, and the last look at a winner.

It holds no model and no secret of GitHub's; all that it needs of a job lies in the store and with
the snapshots, so any machine may do any errand and come to the same result.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from engine import repo_config, snapshot
from engine.base_runs import forget
from engine.contract import Document, Issue, Progress, RepairJob, RepairRequest, Stage
from engine.errors import BaseRunsOutdatedError, EngineError, StorageUnwritableError
from engine.evaluate import Bench, Verdict, evaluate, from_row, scored, trial_spec, try_patch
from engine.leases import kept
from engine.localize import localize
from engine.neighbours import Asked, Neighbour, neighbours, project_of
from engine.orders import Errand, Orders
from engine.selection import choose
from engine.store import JobState, JobStore, StoredJob
from engine.testspec import Baseline, NoBaseline, learn
from sandbox.contract import Limits, Patch, Sandbox
from sandbox.errors import ImageBuildError, SandboxError
from sandbox.images import Environment, prepare, tried
from sandbox.policy import named_in
from sandbox.recipes.steps import HERE, Steps
from sandbox.recipes.telling import telling
from sandbox.settings import SandboxSettings
from sandbox.trial import Trial, blind_trial

logger = logging.getLogger(__name__)

BASELINE = "baseline"
UNEXPECTED = "an unexpected error where the tests run; the tester's log has the details"
ENVIRONMENT = "environment"
"""The step at which a build goes wrong whose every part could be built."""
ANOTHER = "what this machine can build is another one than the tests at the base commit ran in"
SHELF = "base-runs"
"""The folder in the cache where the base runs of an image are kept."""


class Prepared(Document):
    """The base runs are done; `obstacle` says why no candidate could be judged, or None.

    Where the environment cannot be built, `log` and `tried` are as in `engine.contract.Failed`.
    """

    kind: Literal["prepared"] = "prepared"
    obstacle: str | None = None
    log: str = ""
    tried: str = ""


class Checked(Document):
    """A winner's tests once more; `trial` is missing where they already said no.

    `project` is the folder whose tests they are, where the repository has several, and
    `neighbours` are the others that the patch touches, up to the first that speaks against it;
    none are asked after a trial that failed.
    """

    kind: Literal["checked"] = "checked"
    verdict: Verdict
    trial: Trial | None
    isolation: str
    project: str = ""
    neighbours: tuple[Neighbour, ...] = ()


class Setback(Document):
    """The workshop, not the tests, failed.

    `attempt` is the start of the search that it was busy for: a later one does not hear it.
    """

    reason: str
    attempt: int = 0


class Trouble(Setback):
    """Anything that no other setback is."""

    kind: Literal["trouble"] = "trouble"
    retryable: bool


class Outdated(Setback):
    """The base runs lacked something that can be had here, so they have to be made anew."""

    kind: Literal["outdated"] = "outdated"


class Unbuilt(Setback):
    """An environment that had been built cannot be built again; `log` and `tried` as in `Prepared`.

    It answers the order that needed it, or for candidates, which are no orders, `REBUILD`.
    """

    kind: Literal["unbuilt"] = "unbuilt"
    log: str = ""
    tried: str = ""

    @classmethod
    def by(cls, error: ImageBuildError) -> "Unbuilt":
        """What is told of a build that failed so."""
        return cls(reason=str(error), log=telling(error.log_tail), tried=error.tried)


def setback(error: EngineError | SandboxError) -> Setback:
    """What is told of an errand that ended so."""
    if isinstance(error, ImageBuildError):
        return Unbuilt.by(error)
    if isinstance(error, BaseRunsOutdatedError):
        return Outdated(reason=str(error))
    return Trouble(reason=str(error), retryable=error.retryable)


REBUILD = "rebuild"
"""The order under whose name a tester says that it cannot build what candidates need."""
Answer = Annotated[Prepared | Checked | Trouble | Outdated | Unbuilt, Field(discriminator="kind")]
ANSWER: TypeAdapter[Prepared | Checked | Trouble | Outdated | Unbuilt] = TypeAdapter(Answer)


def order_name(errand: Errand, slot: tuple[int, int]) -> str:
    """The name under which an order is written down."""
    return str(errand) if errand is Errand.PREPARE else f"{errand}-{slot[0]}-{slot[1]}"


def problem(job: RepairJob) -> Issue:
    """The issue, with the reviewer's words where a review started the job."""
    if not job.feedback:
        return job.issue
    body = f"{job.issue.body}\n\nA reviewer of the last patch says:\n\n{job.feedback}"
    return job.issue.model_copy(update={"body": body})


def config_of(request: RepairRequest, checkout: Path) -> repo_config.RepoConfig:
    """What the repository's owners set: a branch that anybody else may write is not asked.

    Raises:
        BadInputError: it is no settings file; says which key is wrong.
    """
    if request.config is None:
        return repo_config.read(checkout)
    return repo_config.parse(request.config)


def steps_of(request: RepairRequest, checkout: Path) -> Steps:
    """What the owners set for the project that the issue is about.

    Where the issue names no project, it is the one that holds the code that it seems to be about,
    else the first.

    Raises:
        BadInputError: their file is no settings file; says which key is wrong.
    """
    config, issue = config_of(request, checkout), request.job.issue

    def holding() -> str:
        files = localize(issue, checkout).files
        projects = (project_of(file.path, config.projects) for file in files)
        return next(filter(None, projects), "")

    return config.steps_for(f"{issue.title}\n{issue.body}", holding)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What doing errands needs. `owner` is whose leases they are; a new one for each errand."""

    sandbox: Sandbox
    settings: SandboxSettings
    store: JobStore
    orders: Orders
    snapshot_dir: Path
    on_progress: Callable[[Progress], None]
    owner: str
    lease_s: float = 60.0
    test_command: tuple[str, ...] | None = None

    def do(self, errand: Errand, job_id: str, slot: tuple[int, int]) -> None:
        """Do one errand, if it is still wanted and nobody else does it.

        Raises:
            EngineError: a candidate could not be tested, or nothing can be written down.
            SandboxError: the same, by the sandbox's failure.
        """
        stored = self.store.get(job_id)
        if stored is None or stored.request is None or stored.state is not JobState.READY:
            return
        if stored.stop_requested and errand is not Errand.CHECK:
            return  # a winner that was found before the stop is still looked at
        if errand is Errand.EVALUATE:
            self._evaluate(stored, stored.request, slot)
            return
        name = order_name(errand, slot)
        if not self.orders.lease(job_id, name, self.owner, self.lease_s):
            return
        renew = partial(self.orders.renew, job_id, name, self.owner, self.lease_s)
        try:
            with kept(renew, self.lease_s):
                answer = self._answer(errand, stored.request, slot)
            if isinstance(answer, Setback):
                answer = answer.model_copy(update={"attempt": stored.attempts})
            self.orders.answer(job_id, name, self.owner, answer.model_dump_json())
        finally:
            self.orders.release(job_id, name, self.owner)

    def _answer(
        self, errand: Errand, request: RepairRequest, slot: tuple[int, int]
    ) -> Prepared | Checked | Setback:
        """Do an errand; whatever goes wrong is told to the search, which else waits for nothing."""
        try:
            return (
                self._prepare(request) if errand is Errand.PREPARE else self._check(request, slot)
            )
        except StorageUnwritableError:
            raise
        except (EngineError, SandboxError) as error:
            logger.warning("an errand could not be done: %s", error)
            return setback(error)
        except OSError as error:
            logger.exception("a file could not be read or written")
            said = error.strerror or type(error).__name__
            reason = f"the tester could not read or write a file: {said}; its log has more"
            return Trouble(reason=reason, retryable=True)
        except Exception:
            logger.exception("unexpected failure of the errand %s %d/%d", errand, *slot)
            return Trouble(reason=UNEXPECTED, retryable=True)

    def _prepare(self, request: RepairRequest) -> Prepared:
        """Build the environment and learn what passes; the baseline is a job's first checkpoint."""
        job = request.job
        if self.store.checkpointed(job.job_id, BASELINE) is not None:
            return Prepared()
        with TemporaryDirectory(prefix="evoscale-") as folder:
            checkout = Path(folder)
            self._unpack(request, checkout)
            try:
                environment = self._environment(request, checkout)
            except ImageBuildError as error:
                return Prepared(obstacle=str(error), log=telling(error.log_tail), tried=error.tried)
        note = environment.recipe
        self.on_progress(Progress(job_id=job.job_id, stage=Stage.BASELINE, note=note))
        limits, shelf = self.settings.limits(), self.settings.cache_dir / SHELF
        baseline = learn(self.sandbox, environment, problem(job).text, limits, shelf)
        if isinstance(baseline, NoBaseline):
            return Prepared(obstacle=baseline.reason)
        self.store.checkpoint(job.job_id, BASELINE, baseline.model_dump_json())
        return Prepared()

    def _evaluate(self, stored: StoredJob, request: RepairRequest, slot: tuple[int, int]) -> None:
        job_id = request.job.job_id
        baseline = self._baseline(job_id)
        if baseline is None:
            return
        ready = partial(self._make_sure_of_image, request, baseline)
        bench = Bench(self.sandbox, baseline, self._limits(baseline), self.lease_s, ready)
        try:
            evaluate(self.store, bench, job_id, slot, self.owner)
        except (ImageBuildError, BaseRunsOutdatedError) as error:
            self._set_back(stored, setback(error))
            raise

    def _set_back(self, stored: StoredJob, said: Setback) -> None:
        """Tell the search what its candidates wait for in vain; the first who says it is heard."""
        job_id = stored.job.job_id
        self.orders.place(job_id, REBUILD)
        if self.orders.lease(job_id, REBUILD, self.owner, self.lease_s):
            document = said.model_copy(update={"attempt": stored.attempts}).model_dump_json()
            self.orders.answer(job_id, REBUILD, self.owner, document)

    def _check(self, request: RepairRequest, slot: tuple[int, int]) -> Checked | Trouble:
        job_id = request.job.job_id
        baseline = self._baseline(job_id)
        rows = self.store.candidates(job_id)
        candidate = next((from_row(r) for r in rows if (r.iteration, r.sample) == slot), None)
        if baseline is None or candidate is None or candidate.patch is None:
            return Trouble(reason=f"candidate {slot[0]}/{slot[1]} is not there", retryable=True)
        self._make_sure_of_image(request, baseline)
        bench = Bench(self.sandbox, baseline, self._limits(baseline))
        verdict = try_patch(bench, candidate.patch)
        checked = Checked(verdict=verdict, trial=None, isolation=self.sandbox.isolation)
        if choose([scored(baseline, candidate, verdict)]) is None:
            return checked
        trial = self._trial(baseline, candidate.patch)
        checked = checked.model_copy(update={"trial": trial})
        if trial.failure:
            return checked  # others' environments may have to be built, so they come last
        project, beside = self._beside(request, candidate.patch)
        return checked.model_copy(update={"project": project, "neighbours": beside})

    def _beside(self, request: RepairRequest, patch: Patch) -> tuple[str, tuple[Neighbour, ...]]:
        """The project that the patch is for, and what the tests of others say that it touches."""
        with TemporaryDirectory(prefix="evoscale-") as folder:
            checkout = Path(folder)
            self._unpack(request, checkout)
            own = steps_of(request, checkout).path
            if own == HERE:
                return "", ()
            named = named_in(problem(request.job).text)
            shelf = self.settings.cache_dir / SHELF
            stopped = partial(self._stopped, request.job.job_id)
            asked = Asked(self.sandbox, self.settings, checkout, patch, named, shelf, stopped)
            return own, neighbours(config_of(request, checkout), own, asked)

    def _stopped(self, job_id: str) -> bool:
        stored = self.store.get(job_id)
        return stored is None or stored.stop_requested

    def _trial(self, baseline: Baseline, patch: Patch) -> Trial:
        return blind_trial(self.sandbox, trial_spec(baseline), patch, self._limits(baseline))

    def _baseline(self, job_id: str) -> Baseline | None:
        known = self.store.checkpointed(job_id, BASELINE)
        return None if known is None else Baseline.model_validate_json(known)

    def _limits(self, baseline: Baseline) -> Limits:
        return replace(self.settings.limits(), wall_clock_s=baseline.wall_clock_s)

    def _unpack(self, request: RepairRequest, folder: Path) -> None:
        ref = request.snapshot
        snapshot.unpack(self.snapshot_dir, ref.key, ref.sha256, folder)

    def _make_sure_of_image(self, request: RepairRequest, baseline: Baseline) -> None:
        """Build the job's image on this machine, where another one built it first.

        Raises:
            ImageBuildError: it cannot be built, or what this machine can build is another one, such
                as one without the packages that no index gives any more.
            BaseRunsOutdatedError: it is the other way round, the base runs lacked something.
        """
        if self.sandbox.has_image(baseline.image):
            return
        with TemporaryDirectory(prefix="evoscale-") as folder:
            checkout = Path(folder)
            self._unpack(request, checkout)
            made = self._environment(request, checkout)
            if made.image != baseline.image:
                if made.complete and not baseline.complete:
                    raise BaseRunsOutdatedError
                error = ImageBuildError(ENVIRONMENT, f"{ANOTHER}: {made.recipe}")
                error.tried = tried(checkout, steps_of(request, checkout))
                raise error

    def _environment(self, request: RepairRequest, checkout: Path) -> Environment:
        """The job's environment, always made from the same steps; one built anew is run anew.

        The baseline's command takes no part: it is none of an owner's words, so a project that only
        the owners' report describes would be one in a language that nobody knows.
        """
        environment = prepare(
            self.sandbox,
            checkout,
            test_command=self.test_command,
            settings=self.settings,
            steps=steps_of(request, checkout),
        )
        if environment.built:
            forget(self.settings.cache_dir / SHELF, environment.image)
        return environment
