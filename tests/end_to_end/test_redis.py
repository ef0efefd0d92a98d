"""The services of a production installation: PostgreSQL and Redis instead of files."""

from collections.abc import Callable

import pytest

from engine.contract import Patched
from tests.end_to_end.stories import PERSON, REPOSITORY
from tests.engine import projects


@pytest.mark.network
def test_from_label_to_pull_request_over_postgresql_and_redis(
    tmp_path, play, postgresql: Callable[[], str], redis_url: str
):
    database_url = postgresql()
    services = {
        f"EVOSCALE_{side}_{name}": value
        for side in ("BOT", "ENGINE")
        for name, value in (("DATABASE_URL", database_url), ("BROKER_URL", redis_url))
    }
    story = play([[projects.HARMLESS, "no edit"], [projects.FIX]], **services)
    story.begin(projects.receipts(tmp_path / "repo"))
    number = story.open_issue()
    story.driver.add_label(REPOSITORY, number, "evoscale", as_user=PERSON)
    job = story.done()
    assert isinstance(job.outcome, Patched)
    assert job.outcome.evidence.resolved
    story.assert_ended_once(number)
    assert not list((tmp_path / "stack").glob("*.sqlite3"))
    assert not (tmp_path / "stack" / "queue").exists()
