"""The services of a production installation, private to the tests: PostgreSQL and Redis."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

START_S = 30.0
POLL_S = 0.02
NOBODY = 65534
DEBIAN = Path("/usr/lib/postgresql")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Gives the address of a new, empty database of a cluster that ends with the tests."""
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with TemporaryDirectory(prefix="pg-") as made, _cluster(programs, Path(made)) as admin:
        yield lambda: _new_database(admin)


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis that ends with the test."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed (Debian: redis-server)")
    port = _free_port()
    argv = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)]
    with _running(
        [*argv, "--save", "", "--appendonly", "no"], tmp_path / "redis.log", None
    ) as redis:
        _until(redis, tmp_path / "redis.log", lambda: _answers(port))
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once of each kind that we support."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tested.sqlite3'}"
    new_database: Callable[[], str] = request.getfixturevalue("postgresql")
    return new_database()


def _postgresql_programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted((path.parent for path in DEBIAN.glob("*/bin/initdb")), reverse=True)
    return places[0] if places else None


@contextmanager
def _cluster(programs: Path, folder: Path) -> Iterator[sa.Engine]:
    """A cluster that listens on a socket in `folder` only; it refuses to be run by root."""
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user, user)
    data, log = folder / "data", folder / "log"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tests", "--auth=trust", "--no-sync", "-E", "UTF8"],
        check=True,
        capture_output=True,
        user=user,
        group=user,
        cwd=folder,
    )
    quick = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]
    argv = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), *quick]
    address = f"postgresql+psycopg://tests@/postgres?host={folder}"
    admin = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with _running(argv, log, user) as server:
        _until(server, log, lambda: _takes_connections(admin))
        yield admin


def _new_database(admin: sa.Engine) -> str:
    name = f"t{secrets.token_hex(8)}"
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return admin.url.set(database=name).render_as_string(hide_password=False)


@contextmanager
def _running(argv: list[str], log: Path, user: int | None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            user=user,
            group=user,
            cwd=log.parent,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(process: subprocess.Popen[bytes], log: Path, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not look():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_S)


def _takes_connections(admin: sa.Engine) -> bool:
    try:
        admin.connect().close()
    except OperationalError:
        return False
    return True


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
