"""What no delivery told us: lost wake-ups, failed deliveries, labels set while we were down."""

import os
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bot.errors import GitHubUnavailableError
from bot.github import App
from bot.github.calls import Wire
from bot.inbox import Bookmarks, DeliveryState, Inbox
from bot.reconcile import MAX_ATTEMPTS, Records, SweepRules, Sweeps
from bot.triggers import Rules, StartRepair, decide
from engine.contract import Failed
from engine.queue import PUBLISH, REPAIR, SNAPSHOT
from engine.store import JobState, JobStore
from tests.bot.stage import Stage
from tests.bot.test_github import API, GitHubDouble, repository
from tests.factories import make_delivery, make_job, make_patched, make_request

NOON = 1_800_000_000.0  # 2027-01-15T08:00:00Z


class World:
    """The sweeps over a real database, a scripted GitHub and a clock of the test's."""

    def __init__(self, database: sa.Engine, key: SecretStr, folder: Path) -> None:
        self.github = GitHubDouble()
        self.woken: list[tuple[str, str]] = []
        self.now = NOON
        self.folder = folder
        self.records = Records(JobStore(database), Inbox(database), Bookmarks(database))
        wire = Wire(API, httpx.MockTransport(self.github), self.github.slept.append)
        self.sweeps = Sweeps(
            App(7, key, wire, now=lambda: self.now),
            self.records,
            lambda task, job_id: self.woken.append((task, job_id)),
            SweepRules("evoscale", folder),
            lambda: self.now,
        )
        self.github.on("GET", "/app/installations", [{"id": 5}])
        self.github.on("GET", "/installation/repositories", {"repositories": [repository()]})
        self.github.on("GET", "/repos/ann/calc/issues", [ISSUE])
        self.labelled("2027-01-15T07:00:00Z")

    def labelled(self, when: str, login: str | None = "ann") -> None:
        event = {
            "id": 77,
            "event": "labeled",
            "label": {"name": "evoscale"},
            "actor": {"login": login} if login else None,
            "created_at": when,
        }
        self.github.on("GET", "/repos/ann/calc/issues/12/events", [event])


ISSUE = {
    "number": 12,
    "title": "add() subtracts",
    "body": "2 + 2 is 0",
    "state": "open",
    "labels": [{"name": "evoscale"}],
}


@pytest.fixture
def world(database: sa.Engine, key: SecretStr, tmp_path: Path) -> World:
    return World(database, key, tmp_path)


def add(world: World, state: JobState, job_id: str = "a" * 32) -> str:
    store, job = world.records.store, make_job(job_id=job_id)
    store.add(job, job_id)
    if state is not JobState.QUEUED:
        store.request(job_id, make_request(job))
    if state in (JobState.FINISHED, JobState.DONE):
        store.finish(job_id, make_patched())
    if state is JobState.DONE:
        store.published(job_id, None, None)
    stored = store.get(job_id)
    assert stored
    world.now = stored.updated_at
    return job_id


@pytest.mark.parametrize(
    ("state", "task"),
    [(JobState.QUEUED, SNAPSHOT), (JobState.READY, REPAIR), (JobState.FINISHED, PUBLISH)],
)
def test_a_job_that_nobody_works_at_is_woken_by_its_state(
    world: World, state: JobState, task: str
) -> None:
    job_id = add(world, state)
    assert world.sweeps.wake_open_jobs() == 0
    world.now += 16
    assert world.sweeps.wake_open_jobs() == 1
    assert world.woken == [(task, job_id)]


def test_a_job_that_waits_for_long_is_woken_ever_more_rarely(world: World) -> None:
    add(world, JobState.READY)
    for _ in range(24 * 60):
        world.sweeps.wake_open_jobs()
        world.now += 60
    assert 90 < len(world.woken) < 110


def test_a_leased_job_and_a_done_one_are_left_alone(world: World) -> None:
    add(world, JobState.DONE)
    leased = add(world, JobState.READY, "b" * 32)
    world.records.store.lease(leased, "engine", 9_999)
    world.now += 999
    assert world.sweeps.wake_open_jobs() == 0


def test_a_job_that_kills_its_worker_every_time_ends_with_a_reason(world: World) -> None:
    job_id = add(world, JobState.READY)
    for _ in range(MAX_ATTEMPTS[JobState.READY]):
        world.records.store.lease(job_id, "engine", -1)
    world.now += 16
    world.sweeps.wake_open_jobs()
    stored = world.records.store.get(job_id)
    assert stored
    assert isinstance(stored.outcome, Failed)
    assert "begun 5 times" in stored.outcome.reason
    assert world.woken == [(PUBLISH, job_id)]


def test_a_publication_that_never_works_is_given_up(world: World) -> None:
    job_id = add(world, JobState.FINISHED)
    for _ in range(MAX_ATTEMPTS[JobState.FINISHED]):
        world.records.store.lease(job_id, "bot", -1)
    world.now += 16
    world.sweeps.wake_open_jobs()
    assert world.records.store.get(job_id).state is JobState.DONE


def sent(number: int, guid: str, status: int = 503) -> dict[str, object]:
    when = "2027-01-15T07:30:00Z"
    return {"id": number, "guid": guid, "status_code": status, "delivered_at": when}


def test_a_failed_delivery_is_asked_for_again_a_few_times_at_most(world: World) -> None:
    world.github.on("GET", "/app/hook/deliveries", [sent(9, "guid-a")])
    world.github.on("POST", "/app/hook/deliveries/9/attempts", {}, status=202)
    counts = []
    for _ in range(7):
        world.records.bookmarks.put("sweep:deliveries", "2027-01-15T00:00:00+00:00")
        counts.append(world.sweeps.redeliver_failed())
    assert counts == [1, 1, 1, 1, 1, 0, 0]


def test_a_delivery_that_we_have_is_not_asked_for(world: World) -> None:
    delivery = make_delivery()
    world.records.inbox.accept(delivery)
    found = [sent(9, delivery.delivery_id.upper()), sent(8, "ok", 202)]
    world.github.on("GET", "/app/hook/deliveries", found)
    assert world.sweeps.redeliver_failed() == 0


def test_the_next_look_begins_where_the_last_one_ended(world: World) -> None:
    world.github.on("GET", "/app/hook/deliveries", [])
    world.sweeps.redeliver_failed()
    assert world.records.bookmarks.get("sweep:deliveries") == "2027-01-15T07:58:00+00:00"


def test_a_look_that_failed_is_made_again_from_the_same_place(world: World) -> None:
    world.github.on("GET", "/app/hook/deliveries", httpx.Response(502))
    with pytest.raises(GitHubUnavailableError):
        world.sweeps.redeliver_failed()
    assert world.records.bookmarks.get("sweep:deliveries") is None


def test_a_label_set_while_we_were_down_comes_into_the_inbox_once(world: World) -> None:
    assert world.sweeps.labels_set_while_down() == 1
    assert world.sweeps.labels_set_while_down() == 0
    [delivery] = world.records.inbox.claim(9, 60)
    from bot.events import Payload, read

    payload = read(delivery.body)
    assert isinstance(payload, Payload)
    rules = Rules(label="evoscale", app_id=7, bot_login="evoscale[bot]")
    decision = decide(delivery.event, payload, rules)
    assert isinstance(decision, StartRepair)
    assert (decision.target.by, decision.target.number) == ("ann", 12)
    assert decision.target.installation_id == 5


def test_a_label_that_a_job_followed_is_no_news(world: World) -> None:
    world.labelled("2026-01-01T00:00:00Z")
    add(world, JobState.DONE)
    assert world.sweeps.labels_set_while_down() == 0


def test_a_label_with_a_job_at_work_is_not_even_asked_about(world: World) -> None:
    add(world, JobState.READY)
    assert world.sweeps.labels_set_while_down() == 0
    assert world.github.sent("GET", "/events") == []


def test_a_label_of_a_minute_ago_is_left_to_its_delivery(world: World) -> None:
    world.labelled("2027-01-15T07:59:00Z")
    assert world.sweeps.labels_set_while_down() == 0


def test_a_label_by_nobody_known_gives_nobody_s_authority(world: World) -> None:
    world.labelled("2027-01-15T07:00:00Z", login=None)
    world.sweeps.labels_set_while_down()
    [delivery] = world.records.inbox.claim(9, 60)
    assert b'"sender":null' in delivery.body


def test_an_installation_that_fails_does_not_hide_the_others(world: World) -> None:
    world.github.on("GET", "/app/installations", [{"id": 4}, {"id": 5}])
    gone = httpx.Response(404, json={"message": "Not Found"})
    world.github.on("POST", "/app/installations/4/access_tokens", gone)
    assert world.sweeps.labels_set_while_down() == 1


def test_an_archived_repository_is_not_looked_at(world: World) -> None:
    found = {"repositories": [repository(archived=True)]}
    world.github.on("GET", "/installation/repositories", found)
    assert world.sweeps.labels_set_while_down() == 0
    assert world.github.sent("GET", "/issues") == []


def test_snapshots_of_ended_jobs_are_dropped_after_a_day(world: World) -> None:
    done, open_one = add(world, JobState.DONE), add(world, JobState.READY, "b" * 32)
    names = [f"{done}-1.tar", f"{done}-2.partial", f"{open_one}-1.tar", "stranger.tar"]
    for name in names:
        path = world.folder / name
        path.write_text("x")
        os.utime(path, (world.now - 90_000, world.now - 90_000))
    (world.folder / f"{done}-3.tar").write_text("fresh")
    os.utime(world.folder / f"{done}-3.tar", (world.now, world.now))
    world.sweeps.tidy()
    left = sorted(path.name for path in world.folder.glob("*.*") if "sqlite" not in path.name)
    assert left == sorted([f"{done}-3.tar", f"{open_one}-1.tar"])


def test_deliveries_lost_on_the_way_become_a_pull_request_after_all(stage: Stage) -> None:
    number = stage.open_issue()
    stage.driver.wait_until_delivered()
    stage.driver.hold_deliveries()
    stage.label(number)
    stage.driver.drop_deliveries()
    stage.driver.release_deliveries()
    stage.settle()
    assert stage.desk.store.latest(stage.repository_id, number) is None
    stage.desk.reconcile()
    stage.settle()
    assert len(stage.driver.pulls(stage.repository)) == 1
    assert DeliveryState.DONE in stage.inbox_states()


def test_a_receiver_that_was_down_gets_its_deliveries_later(stage: Stage) -> None:
    number = stage.open_issue()
    stage.driver.wait_until_delivered()
    with stage.database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE deliveries RENAME TO gone"))
    stage.label(number)
    stage.driver.wait_until_delivered()
    with stage.database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE gone RENAME TO deliveries"))
    stage.desk.reconcile()
    stage.settle()
    assert len(stage.driver.pulls(stage.repository)) == 1
