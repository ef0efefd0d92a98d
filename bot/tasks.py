"""Celery: dispatch, snapshot, progress, publish, reconcile; the one process with the App's key.

The inbox is looked into twice a second by a thread of the worker, not through the broker: so
the receiver needs no broker, a job starts within a second, and a lost message costs nothing.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from celery.signals import worker_ready, worker_shutting_down

from bot import settings, snapshot
from bot.dispatch import Dispatcher, Later, Policy
from bot.errors import BotError, GitFailedError, GitHubUnavailableError
from bot.github import App
from bot.github.calls import Wire
from bot.inbox import Bookmarks, Delivery, DeliveryState, Inbox
from bot.publish import Publisher
from bot.reconcile import Records, SweepRules, Sweeps
from bot.settings import BotSettings
from bot.triggers import Rules
from engine import logs, queue
from engine.contract import Failed, NoPatch, RepairOutcome
from engine.errors import StorageUnwritableError
from engine.store import JobState, JobStore, StoredJob, connect, migrate

logger = logging.getLogger(__name__)

OWNER = f"bot-{uuid.uuid4()}"
CLAIM_S = 120.0
LOOK_S = 0.5
WAKE_S = 10.0
SWEEP_S = 300.0
BATCH = 20
MAX_DELIVERY_ATTEMPTS = 5
AFTER_FAILURE_S = 5.0
AFTER_REFUSAL_S = 30.0
"""Asking again does not help until somebody mends what the message names."""
BACKOFF_S = 30.0
MAX_BACKOFF_S = 900.0


class Desk:
    """The bot's work, put together from settings. `wake(task, job_id)` tells others."""

    def __init__(
        self,
        configured: BotSettings,
        wake: Callable[[str, str], object],
        wire: Wire | None = None,
    ) -> None:
        engine = connect(configured.database_url)
        migrate(engine)
        self.store = JobStore(engine)
        self.inbox = Inbox(engine)
        self.bookmarks = Bookmarks(engine)
        self.app = App(
            configured.app_id,
            configured.private_key,
            wire or Wire(configured.github_api_url),
            write_gap_s=configured.write_gap_s,
        )
        self._configured = configured
        self._wake = wake
        self._dispatcher = Dispatcher(self.app, self.store, self.bookmarks, self._policy, wake)
        self._publisher = Publisher(self.app, self.store, self.bookmarks, configured.public_url)
        records = Records(self.store, self.inbox, self.bookmarks)
        rules = SweepRules(configured.label, configured.snapshot_dir, configured.wake_s)
        self._sweeps = Sweeps(self.app, records, wake, rules)

    def _policy(self) -> Policy:
        """What the operator decided; asks GitHub once for the app's own login."""
        configured, identity = self._configured, self.app.identity()
        rules = Rules(
            label=configured.label,
            app_id=configured.app_id,
            bot_login=identity.bot_login,
            usual=configured.usual_budget,
            most=configured.most_budget,
        )
        return Policy(
            rules, configured.allow_triage, configured.jobs_per_issue, configured.public_url
        )

    def dispatch(self) -> int:
        """Work off what waits in the inbox.

        Raises:
            GitHubRefusedError: GitHub does not know us; what waits goes on waiting.
        """
        with suppress(GitHubUnavailableError):
            self.app.identity()
        claimed = self.inbox.claim(BATCH, CLAIM_S)
        for delivery in claimed:
            with logs.logged_as(delivery_id=delivery.delivery_id):
                self._dispatch_one(delivery)
        return len(claimed)

    def _dispatch_one(self, delivery: Delivery) -> None:
        paused = self._paused_s(delivery.installation_id)
        if paused > 0:
            self.inbox.defer(delivery.delivery_id, paused, "the installation's rate limit")
            return
        try:
            done = self._dispatcher.handle(delivery)
        except GitHubUnavailableError as error:
            self._pause(delivery.installation_id, error.retry_after_s)
            self.inbox.defer(delivery.delivery_id, error.retry_after_s, str(error))
        except BotError as error:
            logger.warning("a delivery is given up: %s", error)
            self.inbox.finish(delivery.delivery_id, DeliveryState.FAILED, str(error))
        except StorageUnwritableError:
            raise
        except Exception:
            logger.exception("a delivery failed")
            self._after_crash(delivery)
        else:
            if isinstance(done, Later):
                self.inbox.defer(delivery.delivery_id, done.seconds, done.reason)
            else:
                logger.info("%s: %s", done.state, done.reason)
                self.inbox.finish(delivery.delivery_id, done.state, done.reason)

    def _after_crash(self, delivery: Delivery) -> None:
        if delivery.attempts >= MAX_DELIVERY_ATTEMPTS:
            reason = f"it failed {delivery.attempts} times; see the log"
            self.inbox.finish(delivery.delivery_id, DeliveryState.FAILED, reason)
        else:
            self.inbox.give_back(delivery.delivery_id, BACKOFF_S, "it failed; see the log")

    def snapshot(self, job_id: str) -> None:
        """Take a QUEUED job's snapshot: QUEUED → READY, or FINISHED where that cannot be."""
        self._step(job_id, JobState.QUEUED, self._snapshot)

    def _snapshot(self, stored: StoredJob) -> None:
        job = stored.job
        if stored.stop_requested:
            self._finish(job.job_id, NoPatch(reason="Stopped before the search began."))
            return
        installation = self.app.installation(job.installation_id, job.repository, job.delivery_id)
        try:
            taken = snapshot.take(job, installation, self._configured.snapshot_dir)
        except BotError as error:
            if error.retryable:
                raise
            taken = Failed(reason=f"{str(error)[0].upper()}{str(error)[1:]}.", retryable=False)
        if isinstance(taken, Failed):
            self._finish(job.job_id, taken)
        elif self.store.request(job.job_id, taken):
            self.store.release(job.job_id, OWNER)
            self._wake(queue.REPAIR, job.job_id)

    def publish(self, job_id: str) -> None:
        """Publish a FINISHED job: FINISHED → DONE."""
        self._step(job_id, JobState.FINISHED, self._publish)

    def _publish(self, stored: StoredJob) -> None:
        self._publisher.publish(stored.job.job_id)

    def progress(self, job_id: str) -> None:
        """Bring a running job's status comment up to date; best effort."""
        try:
            self._publisher.progress(job_id)
        except BotError as error:
            logger.warning("the status comment was not updated: %s", error)

    def reconcile(self) -> None:
        """Look for what no delivery told us."""
        for sweep in (
            self._sweeps.wake_open_jobs,
            self._sweeps.redeliver_failed,
            self._sweeps.labels_set_while_down,
            self._sweeps.tidy,
        ):
            self._sweep(sweep)

    def wake_open_jobs(self) -> None:
        """Wake whoever owes a step that nobody works at."""
        self._sweep(self._sweeps.wake_open_jobs)

    def _sweep(self, sweep: Callable[[], int]) -> None:
        try:
            found = sweep()
        except BotError as error:
            logger.warning("%s: %s", sweep.__name__, error)
        except Exception:
            logger.exception("%s failed", sweep.__name__)
        else:
            if found:
                logger.info("%s found %s", sweep.__name__, found)

    def _step(self, job_id: str, state: JobState, work: Callable[[StoredJob], None]) -> None:
        """Do a job's next step, if it is this one and nobody else does it.

        Where our own database is full not even the end can be written down: a sweep comes back.
        """
        try:
            self._leased(job_id, state, work)
        except StorageUnwritableError as error:
            logger.warning("job %s has to wait: %s", job_id, error)

    def _leased(self, job_id: str, state: JobState, work: Callable[[StoredJob], None]) -> None:
        stored = self.store.get(job_id)
        if stored is None or stored.state is not state or self._waits(stored):
            return
        if not self.store.lease(job_id, OWNER, self._configured.lease_s):
            return
        with logs.logged_as(job_id=job_id, delivery_id=stored.job.delivery_id):
            try:
                work(stored)
            except (GitHubUnavailableError, GitFailedError, StorageUnwritableError) as error:
                self._put_off(stored, error)
            except Exception:
                logger.exception("a step of the job failed")
                self._end_crashed(stored)
            finally:
                self.store.release(job_id, OWNER)

    def _put_off(self, stored: StoredJob, error: BotError | StorageUnwritableError) -> None:
        """Come back later, ever more rarely; a search that cannot even begin ends after a while."""
        logger.warning("put off: %s", error)
        asked = error.retry_after_s if isinstance(error, GitHubUnavailableError) else BACKOFF_S
        wait = max(asked, min(BACKOFF_S * 2.0**stored.attempts, MAX_BACKOFF_S))
        self.bookmarks.put(f"wait:{stored.job.job_id}", str(time.time() + wait))
        if asked > BACKOFF_S:
            self._pause(stored.job.installation_id, asked)

    def _waits(self, stored: StoredJob) -> bool:
        until = float(self.bookmarks.get(f"wait:{stored.job.job_id}") or 0)
        return until > time.time()

    def _end_crashed(self, stored: StoredJob) -> None:
        """A fault of ours: the person still learns the end, with the id to ask us for."""
        job_id = stored.job.job_id
        if stored.state is JobState.FINISHED:
            self._put_off(stored, BotError("publishing crashed"))
            return
        reason = (
            "Something is wrong in the bot itself; whoever runs this server finds it in the log, "
            f"under job {job_id}."
        )
        self._finish(job_id, Failed(reason=reason, retryable=False))

    def _finish(self, job_id: str, outcome: RepairOutcome) -> None:
        self.store.finish(job_id, outcome)
        self.store.release(job_id, OWNER)
        self._wake(queue.PUBLISH, job_id)

    def _pause(self, installation_id: int | None, seconds: float) -> None:
        if installation_id is not None:
            self.bookmarks.put(f"pause:{installation_id}", str(time.time() + seconds))

    def _paused_s(self, installation_id: int | None) -> float:
        until = self.bookmarks.get(f"pause:{installation_id}") if installation_id else None
        return float(until or 0) - time.time()


@dataclass(frozen=True, slots=True)
class Ticker:
    """A thread that does one thing again and again; a slow sweep must not hold up the inbox."""

    work: Callable[[], object]
    gap_s: float
    stop: threading.Event

    def run(self) -> None:
        """Work until told to stop; no failure ends it."""
        gap_s = 0.0
        while not self.stop.wait(gap_s):
            gap_s = self.gap_s
            try:
                self.work()
            except (StorageUnwritableError, BotError) as error:
                logger.warning("nothing can be done: %s", error)
                gap_s = max(self.gap_s, AFTER_REFUSAL_S)
            except Exception:
                logger.exception("looking failed; trying again")
                gap_s = max(self.gap_s, AFTER_FAILURE_S)


_configured = settings.load()
app = queue.make_app(_configured.broker_url, _configured.broker_dir)
app.conf.beat_schedule = {"reconcile": {"task": queue.RECONCILE, "schedule": SWEEP_S}}
_lock = threading.Lock()
_desks: list[Desk] = []
_stop = threading.Event()


def desk() -> Desk:
    """The one desk of this process, put together on first use."""
    with _lock:
        if not _desks:
            _desks.append(Desk(_configured, lambda task, job_id: queue.wake(app, task, job_id)))
        return _desks[0]


@app.task(name=queue.DISPATCH)
def dispatch() -> None:
    """Work off what waits in the inbox."""
    desk().dispatch()


@app.task(name=queue.SNAPSHOT)
def take_snapshot(job_id: str) -> None:
    """Take a job's snapshot."""
    desk().snapshot(job_id)


@app.task(name=queue.PROGRESS)
def progress(job_id: str) -> None:
    """Bring a job's status comment up to date."""
    desk().progress(job_id)


@app.task(name=queue.PUBLISH)
def publish(job_id: str) -> None:
    """Publish a job's outcome."""
    desk().publish(job_id)


@app.task(name=queue.RECONCILE)
def reconcile() -> None:
    """Look for what no delivery told us."""
    desk().reconcile()


@worker_ready.connect
def start_looking(**_: object) -> None:
    """Start the tickers beside the worker."""
    logs.set_up(_configured.log_style)
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for work, gap_s in (
        (lambda: desk().dispatch(), LOOK_S),
        (lambda: desk().wake_open_jobs(), min(WAKE_S, _configured.wake_s)),
    ):
        ticker = Ticker(work, gap_s, _stop)
        threading.Thread(target=ticker.run, name="ticker", daemon=True).start()
    queue.wake(app, queue.RECONCILE)


@worker_shutting_down.connect
def stop_looking(**_: object) -> None:
    """End the tickers with the worker."""
    _stop.set()
