"""A stage for whole stories: fakehub, our receiver on a port, our desk; the engine is a function."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import httpx
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from bot.fakehub.admin_documents import DeliveryDocument
from bot.fakehub.driver import DriverError, FakehubDriver
from bot.github.calls import Wire
from bot.inbox import bookmarks, deliveries
from bot.render import status_marker
from bot.settings import BotSettings
from engine.contract import NoPatch, RepairOutcome, RepairRequest
from engine.database import jobs
from engine.queue import PUBLISH, REPAIR, SNAPSHOT
from engine.store import JobState, StoredJob
from tests.factories import make_patched

if TYPE_CHECKING:
    from bot.tasks import Desk

NUMBERS = count(1)
FILES = {
    "README.md": "# Calc\n",
    "calc/__init__.py": "def add(a, b):\n    return a - b\n",
    "tests/test_calc.py": "from calc import add\n\n\ndef test_zero():\n    assert add(0, 0) == 0\n",
}
MAX_STEPS = 200
TLS = httpx.create_ssl_context()

Repair = Callable[[RepairRequest], RepairOutcome | None]


def fixes_add(_request: RepairRequest) -> RepairOutcome:
    return make_patched()


def finds_nothing(_request: RepairRequest) -> RepairOutcome:
    return NoPatch(reason="No candidate kept the tests passing.", iterations=4, candidates=20)


@dataclass
class Stage:
    """`settle()` lets everything happen that is due; `repair` plays the engine."""

    driver: FakehubDriver
    settings: BotSettings
    owner: str
    visitor: str
    repository: str
    installation_id: int
    repository_id: int
    make_desk: "Callable[[BotSettings, Callable[[str, str], object], Wire], Desk]"
    database: sa.Engine
    repair: Repair = fixes_add
    woken: deque[tuple[str, str]] = field(default_factory=deque)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = self.another_desk()

    def another_desk(self) -> "Desk":
        """A worker process, as far as it matters; between tries it does not wait."""
        wire = Wire(self.settings.github_api_url, sleep=lambda _seconds: None, tls=TLS)
        return self.make_desk(self.settings, self.wake, wire)

    def wake(self, task: str, job_id: str) -> None:
        self.woken.append((task, job_id))

    def restart(self) -> None:
        """A new process takes over, with nothing in memory."""
        self.woken.clear()
        self.desk = self.another_desk()

    def settle(self) -> None:
        """Deliver, dispatch, and do every step that somebody was woken for."""
        for _ in range(MAX_STEPS):
            self.driver.wait_until_delivered()
            if not self.desk.dispatch() and not self.woken:
                return
            while self.woken:
                self.step(*self.woken.popleft())
        raise AssertionError("it never comes to rest")

    def step(self, task: str, job_id: str) -> None:
        self.seen.append((task, job_id))
        if task == SNAPSHOT:
            self.desk.snapshot(job_id)
        elif task == PUBLISH:
            self.desk.publish(job_id)
        elif task == REPAIR:
            self._play_engine(job_id)

    def _play_engine(self, job_id: str) -> None:
        stored = self.desk.store.get(job_id)
        if stored is None or stored.state is not JobState.READY or stored.request is None:
            return
        outcome: RepairOutcome | None = self.repair(stored.request)
        if stored.stop_requested:
            outcome = NoPatch(reason="Stopped.")
        if outcome is not None and self.desk.store.finish(job_id, outcome):
            self.woken.append((PUBLISH, job_id))

    def open_issue(self, title: str = "add() subtracts", body: str = "2 + 2 is 0") -> int:
        return self.driver.open_issue(self.repository, title, body, as_user=self.owner)

    def label(self, number: int, *, as_user: str = "") -> None:
        self.driver.add_label(self.repository, number, "evoscale", as_user=as_user or self.owner)

    def command(self, number: int, text: str = "/evoscale", *, as_user: str = "") -> int:
        return self.driver.comment(self.repository, number, text, as_user=as_user or self.owner)

    def bot_comments(self, number: int) -> list[str]:
        comments = self.driver.comments(self.repository, number)
        return [str(c["body"]) for c in comments if str(c["user"]["login"]).endswith("[bot]")]

    def status(self, number: int) -> str:
        """The one status comment."""
        found = [body for body in self.bot_comments(number) if status_marker(number) in body]
        assert len(found) == 1, found
        return found[0]

    def reactions(self, comment_id: int) -> list[str]:
        path = f"/repos/{self.repository}/issues/comments/{comment_id}/reactions"
        return [str(each["content"]) for each in self.get(path)]

    def get(self, path: str) -> list[dict[str, object]]:
        """Any list of the hub's, as the owner sees it."""
        token = self.driver._authorization(self.owner)
        response = self.driver._send("GET", path, token, None)
        return list(response.json())

    def delete_bot_comments(self, number: int) -> None:
        for comment in self.driver.comments(self.repository, number):
            path = f"/repos/{self.repository}/issues/comments/{comment['id']}"
            self.driver._send("DELETE", path, self.driver._authorization(self.owner), None)

    def move_to(self, repository: str, repository_id: int) -> None:
        self.repository, self.repository_id = repository, repository_id

    def label_later(self, number: int) -> None:
        """Set the label in another second than the last one: GitHub tells times in seconds."""
        with self.database.begin() as connection:
            connection.execute(jobs.update().values(created_at=jobs.c.created_at - 5))
        self.label(number)

    def commits(self, pull_number: int) -> int:
        return len(self.get(f"/repos/{self.repository}/pulls/{pull_number}/commits"))

    def branch(self, name: str) -> str | None:
        """The commit that a branch points at."""
        path = f"/repos/{self.repository}/branches/{name}"
        try:
            found = self.driver.as_user(self.owner, "GET", path, {})
        except DriverError:
            return None
        return str(found["commit"]["sha"])

    def run_out_leases(self) -> None:
        """As if the time of every lease and claim had passed."""
        with self.database.begin() as connection:
            connection.execute(jobs.update().values(lease_until=0.0))
            connection.execute(deliveries.update().values(claimed_until=0.0))

    def age_jobs(self) -> None:
        """As if a minute had passed since anything happened to a job."""
        with self.database.begin() as connection:
            connection.execute(jobs.update().values(updated_at=jobs.c.updated_at - 60))

    def forget_waiting(self) -> None:
        """As if the time that jobs and installations have to wait had passed."""
        with self.database.begin() as connection:
            connection.execute(bookmarks.delete())

    def forget_the_end(self, job_id: str) -> None:
        """As if the worker had died just before it wrote the end of the job down."""
        with self.database.begin() as connection:
            change = jobs.update().where(jobs.c.job_id == job_id)
            connection.execute(change.values(state=JobState.FINISHED.value, url=None))

    def own_deliveries(self) -> list[DeliveryDocument]:
        """The deliveries of this stage; the hub remembers those of others too."""
        with self.database.connect() as connection:
            ours = set(connection.execute(sa.select(deliveries.c.delivery_id)).scalars())
        return [each for each in self.driver.deliveries() if each.guid in ours]

    def inbox_states(self) -> list[str]:
        with self.database.connect() as connection:
            return list(connection.execute(sa.select(deliveries.c.state)).scalars())

    def inbox_reasons(self) -> list[str | None]:
        with self.database.connect() as connection:
            return list(connection.execute(sa.select(deliveries.c.reason)).scalars())

    def latest(self, number: int) -> StoredJob:
        found = self.desk.store.latest(self.repository_id, number)
        assert found is not None
        return found


class Switch:
    """An ASGI application that hands on to the one of the test that runs."""

    app: FastAPI
    address: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextmanager
def serving(app: Switch) -> Iterator[str]:
    """A web process on a free port."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
