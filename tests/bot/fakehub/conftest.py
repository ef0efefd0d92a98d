"""One hub for each module of tests; one owner with one repository for each test."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from bot.fakehub.driver import FakehubDriver
from bot.fakehub.server import FakehubServer
from tests.bot.fakehub.app_client import AppClient, app_client

NUMBERS = count(1)
FILES = {
    "README.md": "# Calc\n\nAdds numbers.\n",
    "calc/__init__.py": "def add(a, b):\n    return a - b\n",
}


@dataclass(frozen=True)
class Place:
    """Where a test happens: `owner` has `repository`, on which the app is installed; `visitor` has nothing."""

    server: FakehubServer
    driver: FakehubDriver
    app: AppClient
    owner: str
    visitor: str
    repository: str
    installation_id: int

    @property
    def token(self) -> str:
        return self.app.token(self.installation_id)

    @property
    def api(self) -> str:
        return f"/repos/{self.repository}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakehubServer]:
    with FakehubServer(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture
def place(hub: FakehubServer) -> Iterator[Place]:
    number = next(NUMBERS)
    owner, visitor = f"ann-{number}", f"bob-{number}"
    driver = hub.driver
    driver.create_user(owner)
    driver.create_user(visitor)
    driver.create_repository(owner, "calc", FILES)
    installation_id = driver.install(owner, ["calc"])
    with app_client(driver.credentials()) as app:
        yield Place(hub, driver, app, owner, visitor, f"{owner}/calc", installation_id)
    driver.clear_faults()
    driver.set_webhook(None)
