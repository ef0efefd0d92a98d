"""Celery tasks: `repair` (one job) and `evaluate` (one candidate). Wiring, leases and the last net.

This process holds no GitHub credential and needs no network but the database, the broker and the
model server. It reads its settings when loaded, because Celery wants an app object.
"""

import logging
import socket
import threading
import time
import uuid
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from celery import Celery
from celery.signals import worker_shutdown

from engine import models, snapshot
from engine.contract import Failed, Progress, RepairOutcome, RepairRequest, Selection
from engine.errors import EngineError
from engine.evaluate import Bench
from engine.evaluate import evaluate as evaluate_candidate
from engine.leases import kept
from engine.logs import logged_as, set_up
from engine.models.base import Model
from engine.pipeline import BASELINE, Engine
from engine.pipeline import repair as repair_job
from engine.queue import EVALUATE, PROGRESS, PUBLISH, REPAIR, make_app, wake
from engine.settings import EngineSettings
from engine.store import JobState, JobStore, StoredJob, connect
from engine.testspec import Baseline
from sandbox.contract import Sandbox
from sandbox.errors import SandboxError
from sandbox.guarantees import open_checked
from sandbox.images import prepare
from sandbox.pool import empty
from sandbox.pruning import tend
from sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)

settings = EngineSettings()
app: Celery = make_app(settings.broker_url, settings.broker_dir)
set_up(settings.log_style)


@cache
def _store() -> JobStore:
    return JobStore(connect(settings.database_url))


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
    """Close the boxes that wait with the worker, if it opened a sandbox at all."""
    if _sandbox.cache_info().currsize:
        empty(_sandbox())


@cache
def _sandbox() -> Sandbox:
    sandbox_settings = SandboxSettings()
    sandbox = open_checked(sandbox_settings)
    left = sandbox.reap()
    if left:
        logger.info("%d boxes of dead workers were removed", left)
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
            began = time.monotonic() - stored.spent_s

            def renew() -> bool:
                spent_s = time.monotonic() - began
                return store.renew(job_id, owner, settings.lease_s, spent_s)

            with kept(renew, settings.lease_s) as lost:
                outcome = _outcome(stored, stored.request, lost)
            renew()
            if outcome is not None:
                store.finish(job_id, outcome)
                logger.info("job ended: %s", outcome.status)
        finally:
            store.release(job_id, owner)
    wake(app, PUBLISH, job_id)


def _outcome(
    stored: StoredJob, request: RepairRequest, lost: threading.Event
) -> RepairOutcome | None:
    """The job's outcome; None when the lease was lost or a later attempt may find out."""
    if stored.attempts > settings.max_attempts:
        return Failed(reason=f"given up after {settings.max_attempts} starts", retryable=True)
    outcome = _tried(stored, request, lost)
    last = stored.attempts >= settings.max_attempts
    if isinstance(outcome, Failed) and outcome.retryable and not last:
        return None
    return None if lost.is_set() else outcome


def _tried(stored: StoredJob, request: RepairRequest, lost: threading.Event) -> RepairOutcome:
    try:
        return repair_job(request, _engine(stored, lost))
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


def _engine(begun: StoredJob, lost: threading.Event) -> Engine:
    store, job_id = _store(), begun.job.job_id

    def stopped() -> bool:
        stored = store.get(job_id)
        return lost.is_set() or stored is None or stored.stop_requested

    def hand_out(job: str, iteration: int, sample: int) -> None:
        wake(app, EVALUATE, job, iteration, sample)

    return Engine(
        model=_model(),
        sandbox=_sandbox(),
        sandbox_settings=SandboxSettings(),
        store=store,
        snapshot_dir=settings.snapshot_dir,
        hand_out=hand_out,
        on_progress=_report,
        stopped=stopped,
        selection=Selection(settings.selection),
        seed=settings.seed,
        max_wall_clock_s=settings.max_wall_clock_s,
        greedy_first=settings.greedy_first,
        spent_s=begun.spent_s,
    )


def _report(progress: Progress) -> None:
    _store().report(progress)
    wake(app, PROGRESS, progress.job_id)


@app.task(name=EVALUATE)
def evaluate(job_id: str, iteration: int, sample: int) -> None:
    """Test one candidate, if nobody else does; a failure leaves it to be handed out again."""
    store = _store()
    with logged_as(job_id=job_id, iteration=iteration):
        known = store.checkpointed(job_id, BASELINE)
        stored = store.get(job_id)
        if known is None or stored is None or stored.request is None or stored.stop_requested:
            return
        baseline = Baseline.model_validate_json(known)
        try:
            _make_sure_of_image(stored.request, baseline)
            limits = replace(SandboxSettings().limits(), wall_clock_s=baseline.wall_clock_s)
            bench = Bench(_sandbox(), baseline, limits, settings.lease_s)
            evaluate_candidate(store, bench, job_id, (iteration, sample), _owner())
        except Exception:
            logger.exception("candidate %d/%d could not be tested", iteration, sample)


def _make_sure_of_image(request: RepairRequest, baseline: Baseline) -> None:
    """Build the job's image on this machine, where another one built it first."""
    if _sandbox().has_image(baseline.image):
        return
    with TemporaryDirectory(prefix="evoscale-") as folder:
        ref = request.snapshot
        snapshot.unpack(settings.snapshot_dir, ref.key, ref.sha256, Path(folder))
        prepare(_sandbox(), Path(folder), test_command=baseline.command, settings=SandboxSettings())


def _owner() -> str:
    return f"{socket.gethostname()}:{uuid.uuid4().hex[:12]}"
