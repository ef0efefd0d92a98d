"""Faults that a bot has to live with: of its database, its key, its issue, odd names."""

import asyncio
import logging
import threading
import uuid
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from bot import git, webhook
from bot.errors import GitHubRefusedError
from bot.fakehub import faults
from bot.inbox import DeliveryState, Inbox, deliveries
from engine.contract import NoPatch
from engine.queue import PUBLISH
from engine.store import JobState, connect, migrate
from tests.bot.stage import FILES, Stage
from tests.bot.test_snapshot import remote
from tests.bot.test_webhook import LABELED, PATH, headers_for, sender
from tests.factories import SECRET, make_key, make_patched

FOREVER = 1000
BURST = 500


def test_a_database_server_that_is_not_there_is_503() -> None:
    engine = connect("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert sender(Inbox(engine).accept)().status_code == 503
    engine.dispose()


def test_a_pool_without_a_free_connection_is_503_in_time(tmp_path: Path) -> None:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/bot.sqlite3", pool_size=1, max_overflow=0, pool_timeout=0.2
    )
    migrate(engine)
    held = engine.connect()
    send = sender(Inbox(engine).accept)
    assert send().status_code == 503
    held.close()
    assert send().status_code == 202
    engine.dispose()


def test_a_burst_beyond_what_the_database_takes_loses_nothing_silently(tmp_path: Path) -> None:
    """Each answer is 202 or 503; what was answered 202 is there, and the rest can come again."""
    engine = connect(f"sqlite:///{tmp_path}/bot.sqlite3")
    migrate(engine)
    app = FastAPI()
    limits = webhook.Limits(store_s=0.5)
    app.include_router(webhook.make_router(Inbox(engine).accept, [SECRET], limits))
    guids = [str(uuid.uuid4()) for _ in range(BURST)]

    async def burst(wanted: list[str]) -> dict[str, int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            headers = [headers_for(LABELED, x_github_delivery=guid) for guid in wanted]
            sent = [client.post(PATH, content=LABELED, headers=each) for each in headers]
            answers = await asyncio.gather(*sent)
            return dict(zip(wanted, (answer.status_code for answer in answers), strict=True))

    answered = asyncio.run(burst(guids))
    assert set(answered.values()) <= {202, 503}
    stored = sa.select(deliveries.c.delivery_id)
    with engine.connect() as connection:
        there = set(connection.execute(stored).scalars())
    assert {guid for guid, status in answered.items() if status == 202} <= there
    limits = webhook.Limits()
    app = FastAPI()
    app.include_router(webhook.make_router(Inbox(engine).accept, [SECRET], limits))
    refused = [guid for guid, status in answered.items() if status == 503]
    assert set(asyncio.run(burst(refused)).values()) <= {202}
    with engine.connect() as connection:
        assert set(connection.execute(stored).scalars()) == set(guids)
    engine.dispose()


def test_with_a_wrong_key_nothing_is_given_up_and_the_log_says_what_to_check(
    stage: Stage, tasks: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    right = stage.settings
    stage.settings = right.model_copy(update={"private_key": make_key()})
    stage.restart()
    number = stage.open_issue()
    stage.label(number)
    stage.driver.wait_until_delivered()
    with pytest.raises(GitHubRefusedError, match="check EVOSCALE_BOT_APP_ID, the key"):
        stage.desk.dispatch()
    ended = threading.Event()

    def look() -> None:
        ended.set()
        stage.desk.dispatch()

    with caplog.at_level(logging.WARNING):
        tasks.Ticker(look, 0.0, ended).run()
    assert "nothing can be done" in caplog.text
    assert "the key and the clock" in caplog.text
    assert "Traceback" not in caplog.text
    assert set(stage.inbox_states()) == {DeliveryState.RECEIVED}
    stage.settings = right
    stage.restart()
    stage.settle()
    assert stage.latest(number).url


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("patched", [True, False])
def test_an_issue_deleted_or_moved_on_the_way_ends_its_job(
    stage: Stage, status: int, *, patched: bool
) -> None:
    stage.repair = lambda _request: None
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    gone = rf"/repos/{stage.repository}/issues/{number}(/.*)?"
    stage.driver.add_fault(faults.status(gone, status, count=FOREVER, message="Gone"))
    outcome = make_patched() if patched else NoPatch(reason="Nothing was found.")
    stage.desk.store.finish(job_id, outcome)
    stage.woken.append((PUBLISH, job_id))
    stage.settle()
    stage.driver.clear_faults()
    stored = stage.desk.store.get(job_id)
    assert stored
    assert stored.state is JobState.DONE
    assert stage.driver.pulls(stage.repository) == []


@pytest.mark.parametrize(
    "branch", ["release/1.0", "\u00fcn\u00ef-\U0001f642", "-rf", "a'b\"$(id)", "x" * 200]
)
def test_a_branch_of_any_name_is_read_and_never_run(stage: Stage, branch: str) -> None:
    made = stage.driver.push(
        stage.repository, branch, {"n": "1"}, as_user=stage.owner, start="main"
    )
    with git.workspace(remote(stage)) as workspace:
        assert workspace.tip(branch) == made
        workspace.fetch(made, branch)
        assert workspace.read(made, "n", 10) == b"1"


@pytest.mark.parametrize("branch", ["a..b", "a b", "*", "m?in", "", "main.lock", "--all"])
def test_a_name_that_no_branch_can_have_is_no_branch(stage: Stage, branch: str) -> None:
    with git.workspace(remote(stage)) as workspace:
        assert workspace.tip(branch) is None


@pytest.mark.parametrize("name", [".github", "calc.git.io", "-rf", "A_b.C-d"])
def test_a_repository_of_any_name_gets_its_pull_request(stage: Stage, name: str) -> None:
    made = stage.driver.create_repository(stage.owner, name, FILES)
    stage.driver.uninstall(stage.installation_id)
    stage.installation_id = stage.driver.install(stage.owner, [name])
    stage.move_to(f"{stage.owner}/{name}", made.repository_id)
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    assert len(stage.driver.pulls(stage.repository)) == 1
