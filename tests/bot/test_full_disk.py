"""What happens when a disk is full: every one a real file system without room."""

import logging
import os
import uuid
from collections.abc import Callable, Iterator
from types import ModuleType

import httpx
import pytest
import sqlalchemy as sa

from bot import main
from bot.errors import InboxUnavailableError
from bot.fakehub.server import FakehubServer
from bot.inbox import Inbox, Receipt
from bot.settings import BotSettings
from bot.signature import sign
from engine.contract import Failed
from engine.errors import StorageUnwritableError
from engine.store import JobState, JobStore, connect, migrate
from tests.bot.stage import Stage, Switch
from tests.factories import make_delivery, make_job
from tests.small_disk import SmallDisk

BODY = 200_000
Disk = Callable[[int], SmallDisk]


@pytest.fixture(params=["sqlite", "postgresql"])
def crowded(
    request: pytest.FixtureRequest, small_disk: Disk
) -> Iterator[tuple[SmallDisk, sa.Engine]]:
    """A database that lies on a small disk, and that disk."""
    disk = small_disk(16)
    if request.param == "sqlite":
        engine = connect(f"sqlite:///{disk.path}/bot.sqlite3")
        migrate(engine)
        yield disk, engine
        engine.dispose()
        return
    new_database: Callable[[], str] = request.getfixturevalue("postgresql")
    admin = sa.create_engine(new_database(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = f"small{uuid.uuid4().hex[:8]}"
    with admin.connect() as connection:
        os.chown(disk.path, 65534, 65534)
        connection.execute(sa.text(f"CREATE TABLESPACE {name} LOCATION '{disk.path}'"))
        connection.execute(sa.text(f"CREATE DATABASE {name} TABLESPACE {name}"))
    engine = connect(admin.url.set(database=name).render_as_string(hide_password=False))
    migrate(engine)
    yield disk, engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name}"))
        connection.execute(sa.text(f"DROP TABLESPACE {name}"))


def test_the_inbox_says_that_the_disk_is_full_and_takes_the_delivery_later(
    crowded: tuple[SmallDisk, sa.Engine],
) -> None:
    disk, engine = crowded
    inbox = Inbox(engine)
    assert inbox.accept(make_delivery(os.urandom(10))) is Receipt.NEW
    disk.fill()
    late = make_delivery(os.urandom(BODY))
    with pytest.raises(InboxUnavailableError, match="its disk is full") as raised:
        inbox.accept(late)
    assert raised.value.disk_full
    assert inbox.state_of(late.delivery_id) is None
    disk.make_room()
    assert inbox.accept(late) is Receipt.NEW
    assert len(inbox.claim(9, 60)) == 2


def test_the_job_store_says_it_in_a_sentence_and_keeps_what_it_had(
    crowded: tuple[SmallDisk, sa.Engine],
) -> None:
    disk, engine = crowded
    store = JobStore(engine)
    small, large = make_job(), make_job(job_id="large", feedback=os.urandom(BODY).hex())
    assert store.add(small, "a")
    disk.fill()
    with pytest.raises(StorageUnwritableError, match="make room there") as raised:
        store.add(large, "b")
    assert raised.value.retryable
    disk.make_room()
    assert store.get("large") is None
    assert store.add(large, "b")
    assert {stored.job.job_id for stored in store.open_jobs()} == {small.job_id, "large"}


@pytest.fixture
def stage_on(
    hub: FakehubServer, web: Switch, tasks: ModuleType, stage: Stage
) -> Callable[[sa.Engine], Stage]:
    """The stage, with its database moved to another disk."""

    def move(database: sa.Engine) -> Stage:
        migrate(database)
        values = stage.settings.model_dump() | {"database_url": str(database.url)}
        settings = BotSettings.model_validate(values)
        web.app = main.build(settings)
        stage.database, stage.settings = database, settings
        stage.restart()
        return stage

    return move


def test_github_gets_503_while_the_disk_is_full_and_the_sweep_finds_the_delivery(
    stage_on: Callable[[sa.Engine], Stage], small_disk: Disk
) -> None:
    disk = small_disk(4)
    engine = connect(f"sqlite:///{disk.path}/bot.sqlite3")
    stage = stage_on(engine)
    number = stage.open_issue(body="2 + 2 is 0 " + "and so on " * 2000)
    stage.settle()
    disk.fill()
    stage.label(number)
    stage.driver.wait_until_delivered()
    assert stage.driver.deliveries()[-1].status_code == 503
    disk.make_room()
    assert stage.desk.store.latest(stage.repository_id, number) is None
    stage.desk.reconcile()
    stage.settle()
    assert len(stage.driver.pulls(stage.repository)) == 1
    engine.dispose()


def test_a_snapshot_without_room_ends_the_job_in_a_sentence_and_leaves_nothing(
    stage: Stage, small_disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk = small_disk(1)
    disk.fill()
    stage.settings = stage.settings.model_copy(update={"snapshot_dir": disk.path})
    stage.restart()
    number = stage.open_issue()
    stage.label(number)
    with caplog.at_level(logging.WARNING):
        stage.settle()
    status = stage.status(number)
    assert "the server that runs me could not store" in status.casefold()
    assert "no space left on device" in status
    assert "/evoscale retry" in status
    assert str(disk.path) not in status
    assert str(disk.path) in caplog.text
    assert [path.name for path in disk.path.iterdir()] == [".filler"]
    disk.make_room()
    stage.command(number, "/evoscale retry")
    stage.settle()
    assert stage.latest(number).url


def test_a_working_copy_without_room_is_told_too(
    stage: Stage, small_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk(1)
    disk.fill()
    monkeypatch.setattr("tempfile.tempdir", str(disk.path))
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    outcome = stage.latest(number).outcome
    assert isinstance(outcome, Failed)
    assert "no space left on device" in outcome.reason
    assert [path.name for path in disk.path.iterdir()] == [".filler"]


def test_a_step_that_cannot_even_write_its_end_is_done_again_when_there_is_room(
    stage_on: Callable[[sa.Engine], Stage], small_disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk = small_disk(4)
    engine = connect(f"sqlite:///{disk.path}/bot.sqlite3")
    stage = stage_on(engine)
    number = stage.open_issue()
    stage.label(number)
    stage.driver.wait_until_delivered()
    stage.desk.dispatch()
    job_id = stage.latest(number).job.job_id
    engine.dispose()
    disk.fill()
    with caplog.at_level(logging.WARNING):
        stage.desk.snapshot(job_id)
    assert "has to wait: the database cannot be written: its disk is full" in caplog.text
    assert "Traceback" not in caplog.text
    disk.make_room()
    stage.run_out_leases()
    stage.settle()
    assert stage.latest(number).state is JobState.DONE
    assert stage.latest(number).url
    engine.dispose()


def test_the_receiver_tells_a_full_disk_from_a_database_that_is_down(
    stage_on: Callable[[sa.Engine], Stage], web: Switch, small_disk: Disk
) -> None:
    disk = small_disk(4)
    engine = connect(f"sqlite:///{disk.path}/bot.sqlite3")
    stage = stage_on(engine)
    disk.fill()
    body = b'{"padding": "' + os.urandom(BODY).hex().encode() + b'"}'
    headers = {
        "content-type": "application/json",
        "x-github-event": "issues",
        "x-github-delivery": str(uuid.uuid4()),
        "x-hub-signature-256": sign(stage.settings.secrets[0], body),
    }
    answer = httpx.post(web.address, content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (503, {"message": "the database's disk is full"})
    engine.dispose()
