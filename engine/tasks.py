"""Celery tasks: `repair` searches; `prepare`, `evaluate` and `check` are errands in boxes.

Wiring, leases and the last net. Queues for two processes: the one that searches holds the model and
opens no box, the one that does errands holds the engine's socket and loads no model. Where one
process is both, `testers` do the errands of its searches. Neither holds a GitHub credential. The
settings are read when this is loaded, because Celery wants an app object.
"""

import logging
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import sqlalchemy as sa
from celery import Celery
from celery.signals import worker_shutdown

from engine import models
from engine.asking import Patience
from engine.contract import Failed, Progress, RepairOutcome, RepairRequest, Selection
from engine.errors import EngineError
from engine.leases import Clock, kept
from engine.logs import logged_as, set_up
from engine.models.base import Model
from engine.orders import Errand, Orders
from engine.pipeline import Engine
from engine.pipeline import repair as repair_job
from engine.queue import CHECK, EVALUATE, PREPARE, PROGRESS, PUBLISH, REPAIR, make_app, wake
from engine.settings import EngineSettings
from engine.store import JobState, JobStore, SearchTimes, StoredJob, connect
from engine.workshop import Workshop
from sandbox.contract import Sandbox
from sandbox.errors import SandboxError
from sandbox.guarantees import open_checked
from sandbox.pool import empty
from sandbox.pruning import tend
from sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)

settings = EngineSettings()
app: Celery = make_app(settings.broker_url, settings.broker_dir)
set_up(settings.log_style)

TASKS = {Errand.PREPARE: PREPARE, Errand.EVALUATE: EVALUATE, Errand.CHECK: CHECK}


@cache
def _database() -> sa.Engine:
    return connect(settings.database_url)


@cache
def _store() -> JobStore:
    return JobStore(_database())


@cache
def _orders() -> Orders:
    return Orders(_database())


@cache
def _model() -> Model:
    return models.load(settings)


@worker_shutdown.connect
def close_model(**_: object) -> None:
    """Close the model with the worker, if it was loaded at all."""
    if _model.cache_info().currsize:
        models.close(_model())


@worker_shutdown.connect
def empty_pool(**_: object) -> None:
    """End the testers and close the boxes that wait, if the worker opened a sandbox at all."""
    testers.stop()
    if _sandbox.cache_info().currsize:
        empty(_sandbox())


@cache
def _sandbox() -> Sandbox:
    sandbox_settings = SandboxSettings()
    sandbox = open_checked(sandbox_settings)
    arguments = (sandbox, sandbox_settings, threading.Event())
    threading.Thread(target=tend, args=arguments, name="tend", daemon=True).start()
    return sandbox


@app.task(name=REPAIR)
def repair(job_id: str) -> None:
    """Work one job from its request to its outcome, if nobody else does."""
    store, owner = _store(), _owner()
    if not store.lease(job_id, owner, settings.lease_s):
        return
    with logged_as(job_id=job_id):
        try:
            stored = store.get(job_id)
            if stored is None or stored.state is not JobState.READY or stored.request is None:
                return
            clock = Clock(stored.times.spent_s, stored.times.waited_s)

            def renew() -> bool:
                times = SearchTimes(clock.spent_s(), clock.waited_s)
                return store.renew(job_id, owner, settings.lease_s, times)

            with kept(renew, settings.lease_s) as lost:
                outcome = _outcome(stored, stored.request, lost, clock)
            renew()
            if outcome is not None:
                store.finish(job_id, outcome)
                logger.info("job ended: %s", outcome.status)
        finally:
            store.release(job_id, owner)
    wake(app, PUBLISH, job_id)


def _outcome(
    stored: StoredJob, request: RepairRequest, lost: threading.Event, clock: Clock
) -> RepairOutcome | None:
    """The job's outcome; None when the lease was lost or a later attempt may find out."""
    if stored.attempts > settings.max_attempts:
        return Failed(reason=f"given up after {settings.max_attempts} starts", retryable=True)
    outcome = _tried(stored, request, lost, clock)
    last = stored.attempts >= settings.max_attempts
    if isinstance(outcome, Failed) and outcome.retryable and not last:
        return None
    return None if lost.is_set() else outcome


def _tried(
    stored: StoredJob, request: RepairRequest, lost: threading.Event, clock: Clock
) -> RepairOutcome:
    try:
        return repair_job(request, _engine(stored, lost, clock))
    except (EngineError, SandboxError) as error:
        logger.warning("the job could not be worked: %s", error)
        return Failed(reason=str(error), retryable=error.retryable)
    except OSError as error:
        logger.exception("a file could not be read or written")
        said = error.strerror or type(error).__name__
        reason = f"the engine could not read or write a file: {said}; the operator's log has more"
        return Failed(reason=reason, retryable=True)
    except Exception:
        logger.exception("unexpected failure")
        reason = "an unexpected error in the engine; the operator's log has the details"
        return Failed(reason=reason, retryable=True)


def _engine(begun: StoredJob, lost: threading.Event, clock: Clock) -> Engine:
    store, job_id = _store(), begun.job.job_id

    def stopped() -> bool:
        stored = store.get(job_id)
        return lost.is_set() or stored is None or stored.stop_requested

    def hand_out(errand: Errand, job: str, iteration: int, sample: int) -> None:
        if not testers.take(errand, job, (iteration, sample)):
            wake(app, TASKS[errand], job, iteration, sample)

    return Engine(
        model=_model(),
        store=store,
        orders=_orders(),
        snapshot_dir=settings.snapshot_dir,
        hand_out=hand_out,
        on_progress=_report,
        stopped=stopped,
        selection=Selection(settings.selection),
        seed=settings.seed,
        max_wall_clock_s=settings.max_wall_clock_s,
        greedy_first=settings.greedy_first,
        clock=clock,
        patience=Patience(again_s=min(Patience().again_s, settings.lease_s)),
        attempt=begun.attempts,
    )


def _report(progress: Progress) -> None:
    _store().report(progress)
    wake(app, PROGRESS, progress.job_id)


@app.task(name=PREPARE)
def prepare(job_id: str, iteration: int, sample: int) -> None:
    """Make a job's environment and learn what its tests say without any patch."""
    _do(Errand.PREPARE, job_id, (iteration, sample))


@app.task(name=EVALUATE)
def evaluate(job_id: str, iteration: int, sample: int) -> None:
    """Test one candidate."""
    _do(Errand.EVALUATE, job_id, (iteration, sample))


@app.task(name=CHECK)
def check(job_id: str, iteration: int, sample: int) -> None:
    """Look at a search's winner once more."""
    _do(Errand.CHECK, job_id, (iteration, sample))


def _do(errand: Errand, job_id: str, slot: tuple[int, int]) -> None:
    """Do an errand, if nobody else does; a failure leaves it to be handed out again."""
    with logged_as(job_id=job_id, iteration=slot[0]):
        try:
            _workshop().do(errand, job_id, slot)
        except Exception:
            logger.exception("the errand %s %d/%d could not be done", errand, *slot)


class Testers:
    """Threads of this process that do errands, so that no search waits for another's thread.

    The last look at a winner has a thread of its own: it does not stand behind other jobs' builds.
    """

    def __init__(self) -> None:
        self._pools: dict[Errand, ThreadPoolExecutor] = {}
        self._taken: set[tuple[Errand, str, tuple[int, int]]] = set()
        self._lock = threading.Lock()

    def start(self, workers: int) -> None:
        """From now on this process does the errands of its own searches."""
        boxes = ThreadPoolExecutor(workers, thread_name_prefix="tester")
        look = ThreadPoolExecutor(1, thread_name_prefix="last-look")
        self._pools = {Errand.PREPARE: boxes, Errand.EVALUATE: boxes, Errand.CHECK: look}

    def take(self, errand: Errand, job_id: str, slot: tuple[int, int]) -> bool:
        """Do an errand that is not being done yet; False where others are to be told."""
        one = (errand, job_id, slot)
        with self._lock:
            if self._pools and one not in self._taken:
                self._taken.add(one)
                self._pools[errand].submit(self._work, one)
            return bool(self._pools)

    def stop(self) -> None:
        """Let what is being done come to its end, and drop the rest."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)

    def _work(self, one: tuple[Errand, str, tuple[int, int]]) -> None:
        try:
            _do(*one)
        finally:
            with self._lock:
                self._taken.discard(one)


testers = Testers()


def _workshop() -> Workshop:
    return Workshop(
        sandbox=_sandbox(),
        settings=SandboxSettings(),
        store=_store(),
        orders=_orders(),
        snapshot_dir=settings.snapshot_dir,
        on_progress=_report,
        owner=_owner(),
        lease_s=settings.lease_s,
    )


def _owner() -> str:
    return f"{socket.gethostname()}:{uuid.uuid4().hex[:12]}"
