"""Fixtures of the bot's tests: a key, the task module, a stage over fakehub."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bot import main
from bot.fakehub.server import FakehubServer
from engine.store import connect, migrate
from tests.bot.stage import FILES, NUMBERS, Stage, Switch, serving
from tests.factories import SECRET, make_key, make_settings


@pytest.fixture(scope="session")
def key() -> SecretStr:
    return make_key()


@pytest.fixture(scope="session")
def tasks(key: SecretStr, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """`bot.tasks`, which reads settings when it is loaded."""
    folder = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOSCALE_BOT_APP_ID", "7")
        patch.setenv("EVOSCALE_BOT_PRIVATE_KEY", key.get_secret_value())
        patch.setenv("EVOSCALE_BOT_WEBHOOK_SECRET", SECRET.get_secret_value())
        patch.setenv("EVOSCALE_BOT_BROKER_URL", "memory://")
        patch.setenv("EVOSCALE_BOT_BROKER_DIR", str(folder))
        patch.setenv("EVOSCALE_BOT_DATABASE_URL", f"sqlite:///{folder}/tasks.sqlite3")
        from bot import tasks as module
    return module


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = connect(f"sqlite:///{tmp_path}/bot.sqlite3")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakehubServer]:
    with FakehubServer(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture(scope="module")
def web(hub: FakehubServer) -> Iterator[Switch]:
    """Our receiver on a port; each test puts its own application in."""
    switch = Switch()
    with serving(switch) as address:
        switch.address = f"{address}/webhooks/github"
        yield switch


@pytest.fixture
def stage(
    hub: FakehubServer, web: Switch, tasks: ModuleType, database: sa.Engine, tmp_path: Path
) -> Iterator[Stage]:
    number = next(NUMBERS)
    owner, visitor = f"ann-{number}", f"bob-{number}"
    driver = hub.driver
    driver.create_user(owner)
    driver.create_user(visitor)
    repository = driver.create_repository(owner, "calc", FILES)
    installation_id = driver.install(owner, ["calc"])
    given = driver.credentials()
    settings = make_settings(
        SecretStr(given.private_key),
        app_id=given.app_id,
        webhook_secret=given.webhook_secret,
        database_url=str(database.url),
        snapshot_dir=tmp_path / "snapshots",
        github_api_url=hub.base_url,
        public_url="http://bot.example",
        write_gap_s=0,
    )
    web.app = main.build(settings)
    driver.set_webhook(web.address)
    yield Stage(
        driver,
        settings,
        owner,
        visitor,
        f"{owner}/calc",
        installation_id,
        repository.repository_id,
        tasks.Desk,
        database,
    )
    driver.clear_faults()
    driver.release_deliveries()
    driver.wait_until_delivered()
    driver.set_webhook(None)
