"""Jobs at rest: the documents, leases and per-candidate checkpoints. The table is the truth.

A job's state says which document is there, and so which step is owed: QUEUED lacks its request
(snapshot), READY lacks its outcome (repair), FINISHED lacks its publication (publish), DONE lacks
nothing. A worker takes a step under a lease and renews it; a lease that ran out is taken again.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.exc import IntegrityError

from engine.contract import Progress, RepairJob, RepairOutcome, RepairRequest
from engine.database import candidates, checkpoints, connect, jobs, migrate, orders, writing

__all__ = [
    "CandidateState",
    "JobState",
    "JobStore",
    "SearchTimes",
    "StoredCandidate",
    "StoredJob",
    "connect",
    "migrate",
]

OUTCOME: TypeAdapter[RepairOutcome] = TypeAdapter(RepairOutcome)


class JobState(StrEnum):
    """Which step a job is owed; see the module's text."""

    QUEUED = "queued"
    READY = "ready"
    FINISHED = "finished"
    DONE = "done"


class CandidateState(StrEnum):
    """Where a candidate is: sampled and waiting for its tests, or tested."""

    SAMPLED = "sampled"
    TESTED = "tested"


@dataclass(frozen=True, slots=True)
class SearchTimes:
    """Seconds of a search over all its starts: those that count, and those behind other jobs."""

    spent_s: float = 0.0
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredJob:
    """One row of jobs, documents parsed. Times are seconds since the epoch."""

    job: RepairJob
    state: JobState
    request: RepairRequest | None
    outcome: RepairOutcome | None
    progress: Progress | None
    attempts: int
    stop_requested: bool
    stopped_by: str | None
    times: SearchTimes
    url: str | None
    branch: str | None
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class StoredCandidate:
    """One row of candidates; `focus` and `report` are the engine's JSON, `note` is for people."""

    iteration: int
    sample: int
    completion: str
    patch: str | None
    key: str | None
    focus: str | None
    tokens_in: int
    tokens_out: int
    state: CandidateState
    report: str | None
    note: str


class JobStore:
    """Every read and write of jobs, for bot and engine alike."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, job: RepairJob, key: str) -> bool:
        """Write a new job down; False when a job of this key is there already."""
        now = time.time()
        row = {
            "job_id": job.job_id,
            "key": key,
            "state": JobState.QUEUED.value,
            "repository_id": job.repository.id,
            "issue_number": job.issue.number,
            "job": job.model_dump_json(),
            "branch": job.pull_request.branch if job.pull_request else None,
            "created_at": now,
            "updated_at": now,
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(jobs.insert().values(row))
        except IntegrityError:
            return False
        return True

    def get(self, job_id: str) -> StoredJob | None:
        """The job of this id, or None."""
        return self._first(sa.select(jobs).where(jobs.c.job_id == job_id))

    def by_key(self, key: str) -> StoredJob | None:
        """The job of this unique key, or None."""
        return self._first(sa.select(jobs).where(jobs.c.key == key))

    def latest(self, repository_id: int, issue_number: int) -> StoredJob | None:
        """The newest job of an issue, or None."""
        query = sa.select(jobs).where(
            jobs.c.repository_id == repository_id, jobs.c.issue_number == issue_number
        )
        return self._first(query.order_by(jobs.c.created_at.desc()))

    def by_branch(self, repository_id: int, branch: str) -> StoredJob | None:
        """The newest job that published to this branch, or None."""
        query = sa.select(jobs).where(
            jobs.c.repository_id == repository_id, jobs.c.branch == branch
        )
        return self._first(query.order_by(jobs.c.created_at.desc()))

    def open_jobs(self, limit: int = 100) -> Sequence[StoredJob]:
        """Jobs that are owed a step and that nobody holds, oldest first."""
        query = sa.select(jobs).where(
            jobs.c.state != JobState.DONE.value, jobs.c.lease_until < time.time()
        )
        return self._all(query.order_by(jobs.c.created_at).limit(limit))

    def recent(self, limit: int = 50) -> Sequence[StoredJob]:
        """The newest jobs, newest first."""
        return self._all(sa.select(jobs).order_by(jobs.c.created_at.desc()).limit(limit))

    def request(self, job_id: str, request: RepairRequest) -> bool:
        """QUEUED → READY; False when the job was not waiting for its request."""
        return self._advance(
            job_id,
            (JobState.QUEUED,),
            state=JobState.READY.value,
            request=request.model_dump_json(),
        )

    def finish(self, job_id: str, outcome: RepairOutcome) -> bool:
        """QUEUED or READY → FINISHED; False when another outcome was first."""
        document = OUTCOME.dump_json(outcome).decode()
        return self._advance(
            job_id,
            (JobState.QUEUED, JobState.READY),
            state=JobState.FINISHED.value,
            outcome=document,
        )

    def published(self, job_id: str, url: str | None, branch: str | None) -> bool:
        """FINISHED → DONE, with the pull request's address where there is one."""
        return self._advance(
            job_id, (JobState.FINISHED,), state=JobState.DONE.value, url=url, branch=branch
        )

    def _advance(self, job_id: str, states: Iterable[JobState], **values: str | None) -> bool:
        change = (
            jobs.update()
            .where(jobs.c.job_id == job_id, jobs.c.state.in_([state.value for state in states]))
            .values(**values, attempts=0, updated_at=time.time())
        )
        return self._changed(change)

    def report(self, progress: Progress) -> None:
        """Keep the newest news of a job; the last writer wins."""
        self._changed(
            jobs.update()
            .where(jobs.c.job_id == progress.job_id)
            .values(progress=progress.model_dump_json(), updated_at=time.time())
        )

    def request_stop(self, job_id: str, by: str) -> None:
        """Ask whoever holds the job to end it; it still gets an outcome. The first asker stays."""
        self._changed(
            jobs.update()
            .where(jobs.c.job_id == job_id, jobs.c.stop_requested.is_(False))
            .values(stop_requested=True, stopped_by=by, updated_at=time.time())
        )

    def lease(self, job_id: str, owner: str, seconds: float) -> bool:
        """Take the job if nobody holds it, and count the attempt at its present step."""
        now = time.time()
        change = (
            jobs.update()
            .where(jobs.c.job_id == job_id, jobs.c.lease_until < now)
            .values(lease_owner=owner, lease_until=now + seconds, attempts=jobs.c.attempts + 1)
        )
        return self._changed(change)

    def renew(
        self, job_id: str, owner: str, seconds: float, times: SearchTimes | None = None
    ) -> bool:
        """Keep the lease; False when it was lost to another worker.

        `times` are what the search has used of them, so that who takes it next counts on.
        """
        used = {} if times is None else {"spent_s": times.spent_s, "waited_s": times.waited_s}
        change = (
            jobs.update()
            .where(jobs.c.job_id == job_id, jobs.c.lease_owner == owner)
            .values(lease_until=time.time() + seconds, **used)
        )
        return self._changed(change)

    def release(self, job_id: str, owner: str) -> None:
        """Give the lease back."""
        self._changed(
            jobs.update()
            .where(jobs.c.job_id == job_id, jobs.c.lease_owner == owner)
            .values(lease_owner=None, lease_until=0.0)
        )

    def add_candidate(self, job_id: str, candidate: StoredCandidate) -> bool:
        """Write a sampled candidate down; False when this (iteration, sample) is there already."""
        row = {
            "job_id": job_id,
            "iteration": candidate.iteration,
            "sample": candidate.sample,
            "completion": candidate.completion,
            "patch": candidate.patch,
            "key": candidate.key,
            "focus": candidate.focus,
            "tokens_in": candidate.tokens_in,
            "tokens_out": candidate.tokens_out,
            "state": candidate.state.value,
            "report": candidate.report,
            "note": candidate.note,
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(candidates.insert().values(row))
        except IntegrityError:
            return False
        return True

    def candidates(self, job_id: str) -> Sequence[StoredCandidate]:
        """A job's candidates in the order in which they were sampled."""
        query = (
            sa.select(candidates)
            .where(candidates.c.job_id == job_id)
            .order_by(candidates.c.iteration, candidates.c.sample)
        )
        with self._engine.connect() as connection:
            return [_candidate(row) for row in connection.execute(query).mappings()]

    def lease_candidate(
        self, job_id: str, iteration: int, sample: int, owner: str, seconds: float
    ) -> StoredCandidate | None:
        """Take an untested candidate that nobody holds; None when there is nothing to do."""
        now = time.time()
        where = (
            candidates.c.job_id == job_id,
            candidates.c.iteration == iteration,
            candidates.c.sample == sample,
        )
        change = (
            candidates.update()
            .where(
                *where,
                candidates.c.state == CandidateState.SAMPLED.value,
                candidates.c.lease_until < now,
            )
            .values(lease_owner=owner, lease_until=now + seconds)
        )
        if not self._changed(change):
            return None
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(candidates).where(*where)).mappings().one()
            return _candidate(row)

    def renew_candidate(
        self, job_id: str, iteration: int, sample: int, owner: str, seconds: float
    ) -> bool:
        """Keep a candidate's lease; False when it was lost to another worker."""
        change = (
            candidates.update()
            .where(
                candidates.c.job_id == job_id,
                candidates.c.iteration == iteration,
                candidates.c.sample == sample,
                candidates.c.lease_owner == owner,
            )
            .values(lease_until=time.time() + seconds)
        )
        return self._changed(change)

    def tested(
        self,
        job_id: str,
        iteration: int,
        sample: int,
        report: str | None,
        note: str,
        owner: str | None = None,
    ) -> None:
        """Write a candidate's test report (or why there is none) down; the first one stays.

        With `owner` only where the lease is still his: the candidate may be another by now.
        """
        holder = () if owner is None else (candidates.c.lease_owner == owner,)
        self._changed(
            candidates.update()
            .where(
                candidates.c.job_id == job_id,
                candidates.c.iteration == iteration,
                candidates.c.sample == sample,
                candidates.c.state == CandidateState.SAMPLED.value,
                *holder,
            )
            .values(state=CandidateState.TESTED.value, report=report, note=note, lease_until=0.0)
        )

    def checkpoint(self, job_id: str, name: str, document: str) -> None:
        """Keep a stage's result (JSON) under a name; the first one stays."""
        try:
            with writing(self._engine) as connection:
                connection.execute(
                    checkpoints.insert().values(job_id=job_id, name=name, document=document)
                )
        except IntegrityError:
            return

    def checkpointed(self, job_id: str, name: str) -> str | None:
        """A stage's result (JSON), or None when the stage is still to be done."""
        query = sa.select(checkpoints.c.document).where(
            checkpoints.c.job_id == job_id, checkpoints.c.name == name
        )
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    def begin_anew(self, job_id: str, attempt: int) -> None:
        """Forget what a job has learnt and asked for, if this is still its latest start."""
        asked = sa.select(jobs.c.attempts).where(jobs.c.job_id == job_id)
        with writing(self._engine) as connection:
            if connection.execute(asked).scalar_one_or_none() != attempt:
                return
            for table in (candidates, checkpoints, orders):
                connection.execute(table.delete().where(table.c.job_id == job_id))

    def _changed(self, statement: sa.Update) -> bool:
        with writing(self._engine) as connection:
            return connection.execute(statement).rowcount == 1

    def _first(self, query: sa.Select[tuple[object, ...]]) -> StoredJob | None:
        rows = self._all(query.limit(1))
        return rows[0] if rows else None

    def _all(self, query: sa.Select[tuple[object, ...]]) -> Sequence[StoredJob]:
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]


def _job(row: sa.RowMapping) -> StoredJob:
    request, outcome, progress = row["request"], row["outcome"], row["progress"]
    return StoredJob(
        job=RepairJob.model_validate_json(row["job"]),
        state=JobState(row["state"]),
        request=RepairRequest.model_validate_json(request) if request else None,
        outcome=OUTCOME.validate_json(outcome) if outcome else None,
        progress=Progress.model_validate_json(progress) if progress else None,
        attempts=row["attempts"],
        stop_requested=row["stop_requested"],
        stopped_by=row["stopped_by"],
        times=SearchTimes(row["spent_s"], row["waited_s"]),
        url=row["url"],
        branch=row["branch"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _candidate(row: sa.RowMapping) -> StoredCandidate:
    fields = StoredCandidate.__dataclass_fields__
    values = {name: row[name] for name in fields}
    return StoredCandidate(**{**values, "state": CandidateState(values["state"])})
