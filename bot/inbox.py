"""Every verified delivery, written down before we answer; and small notes the bot keeps.

Delivery ids are kept for good (bodies are not), so a replayed old delivery never acts twice.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot.errors import InboxUnavailableError
from engine.database import AnyText, writing
from engine.errors import StorageUnwritableError

metadata = sa.MetaData()

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64)),
    sa.Column("installation_id", sa.BigInteger),
    sa.Column("repository_id", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("body_sha256", sa.String(64), nullable=False),
    sa.Column("received_at", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", AnyText),
    sa.Column("claimed_until", sa.Float, nullable=False, default=0.0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
)

bookmarks = sa.Table(
    "bookmarks",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("value", AnyText, nullable=False),
)


class DeliveryState(StrEnum):
    """Where a delivery is: waiting, worked off, not for us, unreadable, or given up."""

    RECEIVED = "received"
    DONE = "done"
    IGNORED = "ignored"
    REJECTED = "rejected"
    FAILED = "failed"


class Receipt(StrEnum):
    """What the inbox says to a delivery."""

    NEW = "new"
    DUPLICATE = "duplicate"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as it arrived: GitHub's id, the event's name, the raw body."""

    delivery_id: str
    event: str
    body: bytes
    action: str | None = None
    installation_id: int | None = None
    repository_id: int | None = None
    attempts: int = 0


class Inbox:
    """The deliveries table. `now` gives seconds since the epoch."""

    def __init__(self, engine: sa.Engine, now: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._now = now

    def accept(
        self,
        delivery: Delivery,
        state: DeliveryState = DeliveryState.RECEIVED,
        reason: str | None = None,
    ) -> Receipt:
        """Write a delivery down durably; a known id changes nothing.

        Raises:
            InboxUnavailableError: the database did not take it.
        """
        row = _row(delivery, state, reason, self._now())
        try:
            return self._insert(row)
        except StorageUnwritableError as error:
            raise InboxUnavailableError(error.reason, disk_full=True) from error
        except SQLAlchemyError as error:
            raise InboxUnavailableError(type(error).__name__) from error

    def _insert(self, row: dict[str, object]) -> Receipt:
        try:
            with writing(self._engine) as connection:
                connection.execute(deliveries.insert().values(row))
        except IntegrityError:
            return self._compare(str(row["delivery_id"]), str(row["body_sha256"]))
        return Receipt.NEW

    def _compare(self, delivery_id: str, digest: str) -> Receipt:
        query = sa.select(deliveries.c.body_sha256).where(deliveries.c.delivery_id == delivery_id)
        with self._engine.connect() as connection:
            known = connection.execute(query).scalar_one()
        return Receipt.DUPLICATE if known == digest else Receipt.DIFFERENT

    def claim(self, limit: int, seconds: float) -> Sequence[Delivery]:
        """Take up to `limit` waiting deliveries, oldest first; each comes back if not finished."""
        waiting = (
            sa.select(deliveries.c.delivery_id)
            .where(
                deliveries.c.state == DeliveryState.RECEIVED.value,
                deliveries.c.claimed_until < self._now(),
            )
            .order_by(deliveries.c.received_at)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            ids = connection.execute(waiting).scalars().all()
        return [taken for each in ids if (taken := self._take(each, seconds)) is not None]

    def _take(self, delivery_id: str, seconds: float) -> Delivery | None:
        now = self._now()
        row = deliveries.c.delivery_id == delivery_id
        free = deliveries.c.state == DeliveryState.RECEIVED.value
        change = deliveries.update().where(row, free, deliveries.c.claimed_until < now)
        values = {"claimed_until": now + seconds, "attempts": deliveries.c.attempts + 1}
        with writing(self._engine) as connection:
            if connection.execute(change.values(values)).rowcount != 1:
                return None
            return _delivery(connection.execute(sa.select(deliveries).where(row)).mappings().one())

    def finish(self, delivery_id: str, state: DeliveryState, reason: str) -> None:
        """Say how a delivery ended."""
        self._update(delivery_id, state=state.value, reason=reason)

    def defer(self, delivery_id: str, seconds: float, reason: str) -> None:
        """Put a delivery back for later, without counting the attempt."""
        self._update(
            delivery_id,
            claimed_until=self._now() + seconds,
            attempts=deliveries.c.attempts - 1,
            reason=reason,
        )

    def give_back(self, delivery_id: str, seconds: float, reason: str) -> None:
        """Put a delivery back after a failure; the attempt counts."""
        self._update(delivery_id, claimed_until=self._now() + seconds, reason=reason)

    def reopen(self, delivery_id: str) -> None:
        """Have a delivery worked off once more, from the start."""
        self._update(delivery_id, state=DeliveryState.RECEIVED.value, claimed_until=0.0, attempts=0)

    def _update(self, delivery_id: str, **values: object) -> None:
        change = deliveries.update().where(deliveries.c.delivery_id == delivery_id)
        with writing(self._engine) as connection:
            connection.execute(change.values(**values))

    def state_of(self, delivery_id: str) -> tuple[DeliveryState, str | None] | None:
        """A delivery's state and its reason, or None when it never arrived."""
        query = sa.select(deliveries.c.state, deliveries.c.reason).where(
            deliveries.c.delivery_id == delivery_id
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return (DeliveryState(row.state), row.reason) if row else None

    def forget_bodies(self, older_than_s: float) -> int:
        """Drop the bodies of deliveries that ended long ago; their ids stay."""
        change = deliveries.update().where(
            deliveries.c.state != DeliveryState.RECEIVED.value,
            deliveries.c.received_at < self._now() - older_than_s,
            deliveries.c.body != b"",
        )
        with writing(self._engine) as connection:
            return connection.execute(change.values(body=b"")).rowcount

    def ready(self) -> bool:
        """Whether the database answers."""
        try:
            with self._engine.connect() as connection:
                connection.execute(sa.select(deliveries.c.delivery_id).limit(1))
        except SQLAlchemyError:
            return False
        return True


class Bookmarks:
    """Small notes by name: cursors of the sweeps, pauses of installations, last words on a job."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> str | None:
        """The note of this name, or None."""
        query = sa.select(bookmarks.c.value).where(bookmarks.c.name == name)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    def put(self, name: str, value: str) -> None:
        """Write or replace a note."""
        change = bookmarks.update().where(bookmarks.c.name == name).values(value=value)
        with writing(self._engine) as connection:
            if connection.execute(change).rowcount:
                return
        try:
            with writing(self._engine) as connection:
                connection.execute(bookmarks.insert().values(name=name, value=value))
        except IntegrityError:
            with writing(self._engine) as connection:
                connection.execute(change)


def _row(
    delivery: Delivery, state: DeliveryState, reason: str | None, now: float
) -> dict[str, object]:
    needed = state is DeliveryState.RECEIVED
    return {
        "delivery_id": delivery.delivery_id,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation_id,
        "repository_id": delivery.repository_id,
        "body": delivery.body if needed else b"",
        "body_sha256": hashlib.sha256(delivery.body).hexdigest(),
        "received_at": now,
        "state": state.value,
        "reason": reason,
        "claimed_until": 0.0,
        "attempts": 0,
    }


def _delivery(row: sa.RowMapping) -> Delivery:
    return Delivery(
        delivery_id=row["delivery_id"],
        event=row["event"],
        body=row["body"],
        action=row["action"],
        installation_id=row["installation_id"],
        repository_id=row["repository_id"],
        attempts=row["attempts"],
    )
