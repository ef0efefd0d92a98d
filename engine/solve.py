"""The whole search on a local checkout: no GitHub, no queue, no accelerator."""

import logging
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import models, snapshot
from engine.contract import (
    Budget,
    Document,
    Evidence,
    Issue,
    NoPatch,
    Patched,
    Progress,
    RepairJob,
    RepairOutcome,
    RepairRequest,
    RepositoryRef,
    Selection,
    SnapshotRef,
    TriggerKind,
)
from engine.errors import BadInputError, StorageUnwritableError
from engine.orders import Errand, Orders
from engine.pipeline import Engine, repair
from engine.settings import EngineSettings
from engine.store import JobStore, connect, migrate
from engine.workshop import Workshop
from sandbox.guarantees import open_checked
from sandbox.pool import emptied
from sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)

MAX_ISSUE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """What a person can say to `evoscale solve`."""

    issue: Path
    repo: Path
    budget: Budget = field(default_factory=Budget)
    selection: Selection = Selection.BY_TESTS
    seed: int = 0
    test_command: tuple[str, ...] | None = None
    greedy: bool = False


class Solution(Document):
    """The result as `--json` prints it."""

    status: str
    reason: str = ""
    log: str = ""
    recipe: str = ""
    patch: str = ""
    iterations: int = 0
    candidates: int = 0
    distinct: int = 0
    evidence: Evidence | None = None
    model: str
    seed: int
    tokens: int = 0
    wall_s: float


def read_issue(path: Path) -> Issue:
    """An issue from a Markdown file: its first line is the title.

    Raises:
        BadInputError: no such file, no text in it, or far too much.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"the issue file {path} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_ISSUE_BYTES:
        raise BadInputError(f"the issue file {path} is larger than {MAX_ISSUE_BYTES} bytes")
    text = raw.decode("utf-8", "replace").strip()
    if not text:
        raise BadInputError(f"the issue file {path} is empty; describe what goes wrong in it")
    title, _, body = text.partition("\n")
    return Issue(number=0, title=title.lstrip("# ").strip(), body=body.strip())


def solve(
    options: SolveOptions,
    settings: EngineSettings,
    sandbox_settings: SandboxSettings,
    on_progress: Callable[[Progress], None],
) -> RepairOutcome:
    """Search for a patch to a local checkout; the checkout itself is never changed.

    Raises:
        BadInputError: the issue or the checkout cannot be worked on.
        EngineError: the engine could not find out.
        SandboxError: the sandbox could not find out.
    """
    issue = read_issue(options.issue)
    if not options.repo.is_dir():
        raise BadInputError(f"{options.repo} is no folder; name a checkout with --repo")
    with (
        emptied(open_checked(sandbox_settings)) as sandbox,
        models.opened(settings) as model,
        TemporaryDirectory(prefix="evoscale-solve-") as folder,
    ):
        root = Path(folder)
        database = connect(f"sqlite:///{root / 'jobs.sqlite3'}")
        migrate(database)
        store = JobStore(database)
        request = _request(issue, options, root / "snapshots")
        store.add(request.job, key=request.job.job_id)
        store.request(request.job.job_id, request)
        orders = Orders(database)
        workshop = Workshop(
            sandbox=sandbox,
            settings=sandbox_settings,
            store=store,
            orders=orders,
            snapshot_dir=root / "snapshots",
            on_progress=on_progress,
            owner="local",
            test_command=options.test_command,
        )
        with _testers(workshop, settings.sandbox_workers) as hand_out:
            engine = Engine(
                model=model,
                store=store,
                orders=orders,
                snapshot_dir=root / "snapshots",
                hand_out=hand_out,
                on_progress=on_progress,
                stopped=lambda: False,
                selection=options.selection,
                seed=options.seed,
                max_wall_clock_s=options.budget.wall_clock_s,
                greedy_first=options.greedy,
            )
            outcome = repair(request, engine)
        database.dispose()
    return outcome


def _request(issue: Issue, options: SolveOptions, snapshots: Path) -> RepairRequest:
    packed = snapshot.pack(options.repo, snapshots, "checkout")
    job = RepairJob(
        job_id=uuid.uuid4().hex,
        delivery_id="local",
        installation_id=0,
        repository=RepositoryRef(id=0, owner="local", name=options.repo.resolve().name),
        issue=issue,
        trigger=TriggerKind.COMMAND,
        requested_by="local",
        generation=1,
        budget=options.budget,
    )
    ref = SnapshotRef(
        base_commit=_commit(options.repo),
        base_branch="local",
        key=packed.key,
        sha256=packed.sha256,
    )
    return RepairRequest(job=job, snapshot=ref)


def _commit(repo: Path) -> str:
    """The checkout's commit, or `unversioned` where it is no git checkout."""
    asked = ["git", "-C", str(repo), "rev-parse", "HEAD"]
    result = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=10)
    return result.stdout.strip() if result.returncode == 0 else "unversioned"


@contextmanager
def _testers(workshop: Workshop, workers: int) -> Iterator[Callable[[Errand, str, int, int], None]]:
    """A pool of threads that do errands; failures are logged and the errand stays open.

    A disk that is full ends the search at the next errand: no later one could be written down.
    """
    full: list[StorageUnwritableError] = []
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="sandbox") as pool:

        def work(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
            try:
                workshop.do(errand, job_id, (iteration, sample))
            except StorageUnwritableError as error:
                full.append(error)

        def hand_out(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
            if full:
                raise full[0]
            done = pool.submit(work, errand, job_id, iteration, sample)
            done.add_done_callback(_log_failure)

        try:
            yield hand_out
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _log_failure(future: Future[None]) -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None:
        logger.error("an errand could not be done: %s", error)


def solution(outcome: RepairOutcome, model: str, seed: int, wall_s: float) -> Solution:
    """The outcome in the form that `--json` prints."""
    spent = round(wall_s, 1)
    if isinstance(outcome, Patched):
        evidence = outcome.evidence
        return Solution(
            status="resolved" if evidence.resolved else "no_regression",
            patch=outcome.patch,
            iterations=evidence.iterations,
            candidates=evidence.candidates,
            distinct=evidence.distinct,
            evidence=evidence,
            tokens=evidence.tokens,
            model=model,
            seed=seed,
            wall_s=spent,
        )
    if isinstance(outcome, NoPatch):
        return Solution(
            status="no_patch",
            reason=outcome.reason,
            iterations=outcome.iterations,
            candidates=outcome.candidates,
            distinct=outcome.distinct,
            model=model,
            seed=seed,
            wall_s=spent,
        )
    return Solution(
        status="failed",
        reason=outcome.reason,
        log=outcome.log,
        recipe=outcome.recipe,
        model=model,
        seed=seed,
        wall_s=spent,
    )
