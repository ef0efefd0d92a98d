from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from bot.errors import InboxUnavailableError
from bot.inbox import Bookmarks, DeliveryState, Inbox, Receipt, deliveries, metadata
from engine.database import metadata as tables
from engine.store import connect, migrate
from tests.factories import make_delivery


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(database_url: str) -> Iterator[sa.Engine]:
    engine = connect(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(database: sa.Engine, clock: Callable[[], float]) -> Inbox:
    return Inbox(database, clock)


def test_a_delivery_is_taken_once(inbox: Inbox) -> None:
    delivery = make_delivery(b'{"a": 1}')
    assert inbox.accept(delivery) is Receipt.NEW
    assert inbox.accept(delivery) is Receipt.DUPLICATE
    changed = make_delivery(b"{}", delivery_id=delivery.delivery_id)
    assert inbox.accept(changed) is Receipt.DIFFERENT
    [claimed] = inbox.claim(9, 60)
    assert (claimed.body, claimed.attempts) == (b'{"a": 1}', 1)


def test_a_claimed_delivery_comes_back_when_its_worker_died(inbox: Inbox, clock: Clock) -> None:
    inbox.accept(make_delivery())
    assert len(inbox.claim(9, 60)) == 1
    assert inbox.claim(9, 60) == []
    clock.now += 61
    assert inbox.claim(9, 60)[0].attempts == 2


def test_the_oldest_is_claimed_first_and_no_more_than_asked_for(inbox: Inbox, clock: Clock) -> None:
    arrived = [make_delivery() for _ in range(3)]
    for delivery in arrived:
        clock.now += 1
        inbox.accept(delivery)
    claimed = [each.delivery_id for each in inbox.claim(2, 60)]
    assert claimed == [each.delivery_id for each in arrived[:2]]


def test_two_dispatchers_share_the_work(inbox: Inbox, database: sa.Engine, clock: Clock) -> None:
    for _ in range(6):
        inbox.accept(make_delivery())
    other = Inbox(database, clock)
    first, second = inbox.claim(3, 60), other.claim(9, 60)
    assert len({each.delivery_id for each in [*first, *second]}) == 6


def test_a_finished_delivery_is_never_claimed_again(inbox: Inbox, clock: Clock) -> None:
    delivery = make_delivery()
    inbox.accept(delivery)
    inbox.claim(9, 60)
    inbox.finish(delivery.delivery_id, DeliveryState.DONE, "job 1")
    clock.now += 999
    assert inbox.claim(9, 60) == []
    assert inbox.state_of(delivery.delivery_id) == (DeliveryState.DONE, "job 1")
    assert inbox.state_of("unknown") is None


def test_waiting_counts_no_attempt_and_failing_does(inbox: Inbox, clock: Clock) -> None:
    delivery = make_delivery()
    inbox.accept(delivery)
    for give_back, attempts in ((inbox.defer, 1), (inbox.give_back, 1), (inbox.give_back, 2)):
        [claimed] = inbox.claim(9, 60)
        assert claimed.attempts == attempts
        give_back(delivery.delivery_id, 30, "later")
        assert inbox.claim(9, 60) == []
        clock.now += 31


def test_bodies_are_forgotten_after_a_while_ids_are_not(inbox: Inbox, clock: Clock) -> None:
    old, waiting = make_delivery(b"{1}"), make_delivery(b"{2}")
    inbox.accept(old)
    inbox.accept(waiting)
    inbox.finish(old.delivery_id, DeliveryState.IGNORED, "x")
    clock.now += 100
    assert inbox.forget_bodies(50) == 1
    assert inbox.forget_bodies(50) == 0
    assert inbox.accept(old) is Receipt.DUPLICATE
    assert [each.body for each in inbox.claim(9, 60)] == [b"{2}"]


def test_what_is_ignored_or_rejected_leaves_its_hash_only(
    inbox: Inbox, database: sa.Engine
) -> None:
    inbox.accept(make_delivery(b"not json"), DeliveryState.REJECTED, "no json")
    with database.connect() as connection:
        [row] = connection.execute(sa.select(deliveries)).mappings()
    assert (row["body"], row["reason"], len(row["body_sha256"])) == (b"", "no json", 64)


def test_a_database_that_is_down_is_an_error_that_may_pass() -> None:
    engine = connect("sqlite://")
    inbox = Inbox(engine)
    with pytest.raises(InboxUnavailableError) as raised:
        inbox.accept(make_delivery())
    assert raised.value.retryable
    assert not inbox.ready()
    engine.dispose()


def test_a_database_that_answers_is_ready(inbox: Inbox) -> None:
    assert inbox.ready()


def test_a_bookmark_is_kept_and_replaced(database: sa.Engine) -> None:
    bookmarks = Bookmarks(database)
    assert bookmarks.get("a") is None
    bookmarks.put("a", "1")
    bookmarks.put("a", "2")
    assert Bookmarks(database).get("a") == "2"


def test_the_migrations_make_the_table_that_the_inbox_reads(database: sa.Engine) -> None:
    known = {column["name"] for column in sa.inspect(database).get_columns("deliveries")}
    assert known == set(metadata.tables["deliveries"].columns.keys())
    assert "jobs" in tables.tables
