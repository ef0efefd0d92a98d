"""What a search asks of whoever holds boxes, besides testing candidates, and what it was told.

A search holds no box itself: the process with the model and the process with the engine's socket
are two. The search writes an order down; whoever does it takes it under a lease, as a candidate
is, so that a message may be lost or come twice.
"""

import time
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from engine.database import candidates, orders, writing


class Errand(StrEnum):
    """What may be asked for: the base runs, one candidate's tests, the last look at the winner."""

    PREPARE = "prepare"
    EVALUATE = "evaluate"
    CHECK = "check"


class Orders:
    """Orders at rest: by job and name; answered once, and forgotten on demand."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def place(self, job_id: str, name: str) -> None:
        """Write an order down, if it is not there already; only then may it be taken."""
        try:
            with writing(self._engine) as connection:
                connection.execute(orders.insert().values(job_id=job_id, name=name))
        except IntegrityError:
            return

    def lease(self, job_id: str, name: str, owner: str, seconds: float) -> bool:
        """Take an order that somebody waits for, nobody holds and nobody has answered."""
        now = time.time()
        free = (orders.c.answer.is_(None), orders.c.lease_until < now)
        change = _one(job_id, name).where(*free)
        return self._changed(change.values(lease_owner=owner, lease_until=now + seconds))

    def renew(self, job_id: str, name: str, owner: str, seconds: float) -> bool:
        """Keep the lease; False when it was lost to another worker."""
        change = _one(job_id, name).where(orders.c.lease_owner == owner)
        return self._changed(change.values(lease_until=time.time() + seconds))

    def release(self, job_id: str, name: str, owner: str) -> None:
        """Give the lease back; nothing happens where another worker holds it."""
        change = _one(job_id, name).where(orders.c.lease_owner == owner)
        self._changed(change.values(lease_owner=None, lease_until=0.0))

    def answer(self, job_id: str, name: str, owner: str, document: str) -> bool:
        """Write an order's answer (JSON) down; False where it is another's by now, or answered."""
        mine = (orders.c.answer.is_(None), orders.c.lease_owner == owner)
        change = _one(job_id, name).where(*mine)
        return self._changed(change.values(answer=document, lease_until=0.0))

    def answered(self, job_id: str, name: str) -> str | None:
        """An order's answer (JSON), or None."""
        query = sa.select(orders.c.answer).where(*_of(job_id, name))
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    def held(self, job_id: str, name: str) -> bool:
        """Whether somebody works at an order."""
        query = sa.select(orders.c.lease_until).where(*_of(job_id, name))
        with self._engine.connect() as connection:
            until = connection.execute(query).scalar_one_or_none()
        return until is not None and until > time.time()

    def busy(self, job_id: str | None = None) -> bool:
        """Whether anybody works at anything, or at anything of this job's.

        Another job's errand is a sign of life too.
        """
        now = time.time()
        held = [sa.exists().where(t.c.lease_until > now) for t in (orders, candidates)]
        if job_id is not None:
            tables = (orders, candidates)
            held = [each.where(t.c.job_id == job_id) for each, t in zip(held, tables, strict=True)]
        asked = sa.select(sa.or_(*held))
        with self._engine.connect() as connection:
            return bool(connection.execute(asked).scalar_one())

    def forget(self, job_id: str, name: str) -> None:
        """Remove an order and its answer, so that it can be given again."""
        with writing(self._engine) as connection:
            connection.execute(orders.delete().where(*_of(job_id, name)))

    def _changed(self, statement: sa.Update) -> bool:
        with writing(self._engine) as connection:
            return connection.execute(statement).rowcount == 1


def _of(job_id: str, name: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return orders.c.job_id == job_id, orders.c.name == name


def _one(job_id: str, name: str) -> sa.Update:
    return orders.update().where(*_of(job_id, name))
