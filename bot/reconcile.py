"""Looks now and then for what no delivery told us: lost wake-ups, failed deliveries, old labels.

GitHub never delivers again by itself, so whatever happened while we were down is found here.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from bot.errors import BotError
from bot.events import (
    InstallationRef,
    IssueData,
    LabelRef,
    Payload,
    RepositoryData,
)
from bot.github import App, Installation
from bot.inbox import Bookmarks, Delivery, Inbox
from engine.contract import Failed, RepositoryRef
from engine.queue import PUBLISH, REPAIR, SNAPSHOT
from engine.store import JobState, JobStore, StoredJob

logger = logging.getLogger(__name__)

Wake = Callable[[str, str], object]

STEPS = {JobState.QUEUED: SNAPSHOT, JobState.READY: REPAIR, JobState.FINISHED: PUBLISH}
LAST_WAKE_S = {JobState.QUEUED: 60.0, JobState.READY: 900.0, JobState.FINISHED: 60.0}
MAX_ATTEMPTS = {JobState.QUEUED: 60, JobState.READY: 5, JobState.FINISHED: 60}
KEEP_SNAPSHOTS_S = 86_400.0
MAX_REDELIVERIES = 5
KEPT_BY_GITHUB = timedelta(days=3)
SETTLED = timedelta(minutes=2)
KEEP_BODIES_S = 30 * 86_400.0
DELIVERIES = "sweep:deliveries"
LABELS = "sweep:labels"


@dataclass(slots=True)
class Nudge:
    """When a job was woken last, and how long to wait until the next time."""

    next_at: float
    gap_s: float


@dataclass(frozen=True, slots=True)
class Records:
    """Everything that we wrote down."""

    store: JobStore
    inbox: Inbox
    bookmarks: Bookmarks


@dataclass(frozen=True, slots=True)
class SweepRules:
    """What the operator set: the label, where snapshots lie, and how soon a step is woken again."""

    label: str
    snapshot_dir: Path
    first_wake_s: float = 15.0


class Sweeps:
    """What is done every now and then. Each sweep may be repeated and may be missed."""

    def __init__(
        self,
        app: App,
        records: Records,
        wake: Wake,
        rules: SweepRules,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._store = records.store
        self._inbox = records.inbox
        self._bookmarks = records.bookmarks
        self._wake = wake
        self._label = rules.label
        self._snapshot_dir = rules.snapshot_dir
        self._first_wake_s = rules.first_wake_s
        self._now = now
        self._nudges: dict[str, Nudge] = {}
        self._lock = threading.Lock()

    def wake_open_jobs(self) -> int:
        """Wake whoever owes a step that nobody works at; a job that kills its worker ends here."""
        with self._lock:
            return self._wake_due(self._store.open_jobs())

    def _wake_due(self, jobs: Sequence[StoredJob]) -> int:
        due = [stored for stored in jobs if self._is_due(stored)]
        for stored in due:
            if not self._ended_as_poison(stored):
                self._wake(STEPS[stored.state], stored.job.job_id)
        open_ids = {stored.job.job_id for stored in jobs}
        self._nudges = {name: each for name, each in self._nudges.items() if name in open_ids}
        return len(due)

    def _is_due(self, stored: StoredJob) -> bool:
        """Wake soon, then ever more rarely: a busy queue must not fill up with wake-ups."""
        now, job_id = self._now(), stored.job.job_id
        nudge = self._nudges.get(job_id)
        if nudge is None:
            self._nudges[job_id] = self._first_nudge(stored)
            nudge = self._nudges[job_id]
        if now < nudge.next_at:
            return False
        nudge.gap_s = min(nudge.gap_s * 2, LAST_WAKE_S[stored.state])
        nudge.next_at = now + nudge.gap_s
        return True

    def _first_nudge(self, stored: StoredJob) -> Nudge:
        return Nudge(stored.updated_at + self._first_wake_s, self._first_wake_s)

    def _ended_as_poison(self, stored: StoredJob) -> bool:
        job_id = stored.job.job_id
        if stored.attempts < MAX_ATTEMPTS[stored.state]:
            return False
        if stored.state is JobState.FINISHED:
            logger.error("job %s could not be published; it ends unpublished", job_id)
            self._store.published(job_id, None, None)
            return True
        reason = (
            f"This job was begun {stored.attempts} times and never ended; whoever runs this server "
            f"finds why in the log, under job {job_id}."
        )
        self._store.finish(job_id, Failed(reason=reason, retryable=False))
        self._wake(PUBLISH, job_id)
        return True

    def redeliver_failed(self) -> int:
        """Ask GitHub again for deliveries that we did not take.

        Raises:
            GitHubUnavailableError, GitHubRefusedError: as every call.
        """
        began = datetime.fromtimestamp(self._now(), UTC)
        since = self._cursor(DELIVERIES, began - KEPT_BY_GITHUB)
        asked = 0
        for sent in self._app.failed_deliveries(max(since, began - KEPT_BY_GITHUB)):
            if self._inbox.state_of(sent.guid.lower()) is None and self._count(sent.guid):
                self._app.redeliver(sent.id)
                asked += 1
        self._bookmarks.put(DELIVERIES, (began - SETTLED).isoformat())
        return asked

    def _count(self, guid: str) -> bool:
        name = f"redelivered:{guid}"
        times = int(self._bookmarks.get(name) or 0)
        if times < MAX_REDELIVERIES:
            self._bookmarks.put(name, str(times + 1))
        return times < MAX_REDELIVERIES

    def labels_set_while_down(self) -> int:
        """Put a delivery of our own into the inbox for every label that no job followed.

        Raises:
            GitHubUnavailableError, GitHubRefusedError: as every call.
        """
        began = datetime.fromtimestamp(self._now(), UTC)
        since = self._cursor(LABELS, began - KEPT_BY_GITHUB)
        found = 0
        for installation_id in self._app.installations():
            try:
                found += sum(self._missed(installation_id, since, began))
            except BotError as error:
                logger.warning("installation %s was not looked at: %s", installation_id, error)
        self._bookmarks.put(LABELS, (began - 2 * SETTLED).isoformat())
        return found

    def _missed(self, installation_id: int, since: datetime, began: datetime) -> Iterator[int]:
        for repository in self._app.repositories(installation_id):
            if repository.writable:
                ref = RepositoryRef(
                    id=repository.id, owner=repository.owner.login, name=repository.name
                )
                installation = self._app.installation(installation_id, ref, "")
                for issue in installation.labelled_issues(self._label, since):
                    yield self._look(installation_id, installation, repository, issue, began)

    def _look(
        self,
        installation_id: int,
        installation: Installation,
        repository: RepositoryData,
        issue: IssueData,
        began: datetime,
    ) -> int:
        latest = self._store.latest(repository.id, issue.number)
        if latest is not None and latest.state is not JobState.DONE:
            return 0
        labelled = installation.labelled(issue.number, self._label)
        if labelled is None or labelled.created_at > began - SETTLED:
            return 0
        if latest is not None and latest.created_at >= labelled.created_at.timestamp():
            return 0
        body = Payload(
            action="labeled",
            sender=labelled.actor,
            installation=InstallationRef(id=installation_id),
            repository=repository,
            issue=issue.model_copy(update={"updated_at": labelled.created_at}),
            label=LabelRef(name=self._label),
        )
        return self._accept(f"{repository.id}:{issue.number}:{labelled.id}", body)

    def _accept(self, name: str, body: Payload) -> int:
        delivery = Delivery(
            delivery_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"evoscale:label:{name}")),
            event="issues",
            body=_json(body),
            action=body.action,
            installation_id=body.installation.id if body.installation else None,
            repository_id=body.repository.id if body.repository else None,
        )
        return 1 if self._inbox.accept(delivery).value == "new" else 0

    def tidy(self) -> int:
        """Drop old deliveries' bodies (their ids stay) and the snapshots of jobs that ended."""
        old = self._now() - KEEP_SNAPSHOTS_S
        files = [path for path in self._snapshot_dir.glob("*.*") if path.stat().st_mtime < old]
        dropped = [path for path in files if self._is_over(path.name)]
        for path in dropped:
            path.unlink(missing_ok=True)
        return self._inbox.forget_bodies(KEEP_BODIES_S) + len(dropped)

    def _is_over(self, file_name: str) -> bool:
        stored = self._store.get(file_name.partition(".")[0].partition("-")[0])
        return stored is None or stored.state is JobState.DONE

    def _cursor(self, name: str, default: datetime) -> datetime:
        kept = self._bookmarks.get(name)
        return datetime.fromisoformat(kept) if kept else default


def _json(document: BaseModel) -> bytes:
    return document.model_dump_json().encode()
