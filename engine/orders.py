"""What a search asks of whoever holds boxes, besides testing candidates, and what it was told.

A search holds no box itself: the process with the model and the process with the engine's socket
are two. An order is taken under a lease, as a candidate is, so that a message may be lost or come
twice.
"""

import time
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from engine.database import orders, writing


class Errand(StrEnum):
    """What may be asked for: the base runs, one candidate's tests, the last look at the winner."""

    PREPARE = "prepare"
    EVALUATE = "evaluate"
    CHECK = "check"


class Orders:
    """Orders at rest: by job and name; answered once, and forgotten on demand."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def lease(self, job_id: str, name: str, owner: str, seconds: float) -> bool:
        """Take an order that nobody holds and nobody has answered."""
        now = time.time()
        held = {"lease_owner": owner, "lease_until": now + seconds}
        try:
            with writing(self._engine) as connection:
                connection.execute(orders.insert().values(job_id=job_id, name=name, **held))
        except IntegrityError:
            free = (orders.c.answer.is_(None), orders.c.lease_until < now)
            return self._changed(_one(job_id, name).where(*free).values(**held))
        return True

    def renew(self, job_id: str, name: str, owner: str, seconds: float) -> bool:
        """Keep the lease; False when it was lost to another worker."""
        change = _one(job_id, name).where(orders.c.lease_owner == owner)
        return self._changed(change.values(lease_until=time.time() + seconds))

    def answer(self, job_id: str, name: str, document: str) -> None:
        """Write an order's answer (JSON) down; the first one stays."""
        change = _one(job_id, name).where(orders.c.answer.is_(None))
        self._changed(change.values(answer=document, lease_until=0.0))

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
