"""The database: its tables, how to open it, how to bring it to this version."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from engine.errors import StorageUnwritableError

SQLITE_BUSY_S = 30.0
SQLITE_RETRY_S = 0.02
SQLITE_KIND = 0xFF
"""The low byte of an error code says what happened, the rest says where."""
SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""SHMSIZE: the file that all processes of a WAL database share could not grow."""
POSTGRESQL_FULL = "53100"
"""PostgreSQL's SQLSTATE `disk_full` (its manual, appendix A)."""

metadata = sa.MetaData()


class AnyText(sa.TypeDecorator[str]):
    """Text of any origin: what no database takes (NUL, lone surrogates) is replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: sa.Dialect) -> str | None:
        """Make a value storable."""
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("repository_id", sa.BigInteger, nullable=False),
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    sa.Column("job", AnyText, nullable=False),
    sa.Column("request", AnyText),
    sa.Column("outcome", AnyText),
    sa.Column("progress", AnyText),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("stopped_by", AnyText),
    sa.Column("spent_s", sa.Float, nullable=False, default=0.0),
    sa.Column("waited_s", sa.Float, nullable=False, default=0.0),
    sa.Column("url", AnyText),
    sa.Column("branch", AnyText, index=True),
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
    sa.Column("completion", AnyText, nullable=False),
    sa.Column("patch", AnyText),
    sa.Column("key", sa.String(64)),
    sa.Column("focus", AnyText),
    sa.Column("tokens_in", sa.Integer, nullable=False, default=0),
    sa.Column("tokens_out", sa.Integer, nullable=False, default=0),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("report", AnyText),
    sa.Column("note", AnyText, nullable=False, default=""),
    sa.Column("lease_owner", sa.String(128)),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("document", AnyText, nullable=False),
)

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("answer", AnyText),
    sa.Column("lease_owner", sa.String(128)),
    sa.Column("lease_until", sa.Float, nullable=False, default=0.0),
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
    _switch_to_wal(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _switch_to_wal(cursor: sa.engine.interfaces.DBAPICursor) -> None:
    """Several processes may open a new file at once; SQLite does not wait for this one change."""
    deadline = time.monotonic() + SQLITE_BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & SQLITE_KIND in SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(SQLITE_RETRY_S)
        else:
            return


def disk_is_full(error: SQLAlchemyError) -> bool:
    """Whether a statement failed because the database's disk has no room."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", None) in SQLITE_FULL
    return getattr(cause, "sqlstate", None) == POSTGRESQL_FULL


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that writes; nothing of it stays when it fails.

    Raises:
        StorageUnwritableError: the database's disk is full.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        if not disk_is_full(error):
            raise
        raise StorageUnwritableError("the database", "its disk is full") from error


def migrate(engine: sa.Engine) -> None:
    """Bring the database to this version's tables; safe to call from several processes at start."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with writing(engine) as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7205505)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
