"""A database of an earlier version is brought to this one, with what it holds."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from engine import database
from engine.store import JobStore, SearchTimes, connect, migrate
from tests.factories import make_job


def test_jobs_of_the_first_version_are_read_by_this_one(database_url: str) -> None:
    engine = connect(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    job = make_job()
    row = {
        "job_id": job.job_id,
        "key": "k",
        "state": "queued",
        "repository_id": 1,
        "issue_number": 12,
        "job": job.model_dump_json(),
        "attempts": 0,
        "stop_requested": False,
        "lease_until": 0.0,
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        before = sa.Table("jobs", sa.MetaData(), autoload_with=connection)
        connection.execute(before.insert().values(row))
    migrate(engine)
    migrate(engine)
    stored = JobStore(engine).get(job.job_id)
    assert stored
    assert (stored.job, stored.stopped_by, stored.times) == (job, None, SearchTimes())
    engine.dispose()
