"""The database: its tables, how to open it, how to bring it to this version."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

SQLITE_BUSY_S = 30.0

metadata = sa.MetaData()

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("request", sa.Text),
    sa.Column("outcome", sa.Text),
    sa.Column("progress", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("url", sa.Text),
    sa.Column("branch", sa.Text, index=True),
    sa.Column("lease_owner", sa.String(128)),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)

candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("iteration", sa.Integer, primary_key=True),
    sa.Column("sample", sa.Integer, primary_key=True),
    sa.Column("completion", sa.Text, nullable=False),
    sa.Column("patch", sa.Text),
    sa.Column("key", sa.String(64)),
    sa.Column("focus", sa.Text),
    sa.Column("tokens_in", sa.Integer, nullable=False, default=0),
    sa.Column("tokens_out", sa.Integer, nullable=False, default=0),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("report", sa.Text),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("lease_owner", sa.String(128)),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)


def connect(url: str) -> sa.Engine:
    """Open the database of `url`; SQLite in WAL mode, patient where it would say "locked"."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).resolve().parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_S})
    sa.event.listen(engine, "connect", _sqlite_pragmas)
    return engine


def _sqlite_pragmas(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def migrate(engine: sa.Engine) -> None:
    """Bring the database to this version's tables; safe to call from several processes at start."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7205505)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
