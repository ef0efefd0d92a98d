"""The whole system as child processes on one machine: fakehub, web, two workers, scheduler."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bot.errors import BotError
from bot.fakehub.admin_documents import Credentials

START_S = 60.0
STOP_S = 4.0
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "DOCKER_HOST", "XDG_CACHE_HOME")
PASSED_ON_PREFIXES = ("PIP_", "EVOSCALE_SANDBOX_", "EVOSCALE_ENGINE_MODEL")


class StackFailedError(BotError):
    """A part of the demo did not start or ended by itself; the message shows its log's end."""


@dataclass(frozen=True, slots=True)
class Part:
    """One running process and where it logs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Say so if it is not running any more.

        Raises:
            StackFailedError: it ended.
        """
        if self.process.poll() is not None:
            text = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            code = self.process.returncode
            raise StackFailedError(
                f"{self.name} ended with code {code}; its log ends with:\n{text}"
            )


@dataclass(frozen=True, slots=True)
class Stack:
    """The running system."""

    hub: Credentials
    web_url: str
    database_url: str
    parts: tuple[Part, ...]

    def check(self) -> None:
        """Raise when any part has ended."""
        for part in self.parts:
            part.check()


@contextmanager
def running(folder: Path, sandbox: str) -> Iterator[Stack]:
    """Start everything below `folder`; at the end, however it comes, nothing is left running.

    Raises:
        StackFailedError: a part did not come up.
    """
    started: list[Part] = []
    try:
        yield _start_all(folder, sandbox, started)
    finally:
        _stop_all(started)


def _start_all(folder: Path, sandbox: str, started: list[Part]) -> Stack:
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    base = _inherited()
    port = _free_port()

    def start(name: str, argv: list[str], env: Mapping[str, str]) -> Part:
        log = logs / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env={**base, **env},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Part(name, process, log))
        return started[-1]

    web_url = f"http://127.0.0.1:{port}"
    credentials = folder / "credentials.json"
    hub = [sys.executable, "-m", "bot.fakehub", "--directory", str(folder / "hub")]
    hub += ["--credentials", str(credentials), "--webhook-url", f"{web_url}/webhooks/github"]
    fakehub = start("fakehub", hub, {})
    app = _credentials(credentials, fakehub)
    shared = _shared_settings(folder)
    bot_env = {**_prefixed("BOT", shared), **_bot_settings(app, web_url)}
    engine_env = {
        **_prefixed("ENGINE", shared),
        "EVOSCALE_SANDBOX_KIND": sandbox,
    }
    cli = [sys.executable, "-m", "bot.cli"]
    web = start("web", [*cli, "serve", "--port", str(port)], bot_env)
    _await_web(web_url, web)
    start("bot-worker", [*cli, "worker", "bot", "--concurrency", "2"], bot_env)
    start("engine-worker", [*cli, "worker", "engine", "--concurrency", "3"], engine_env)
    start("beat", [*cli, "beat", "--state", str(folder / "beat")], bot_env)
    return Stack(app, web_url, shared["DATABASE_URL"], tuple(started))


def _shared_settings(folder: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{folder / 'evoscale.sqlite3'}",
        "BROKER_URL": "filesystem://",
        "BROKER_DIR": str(folder / "queue"),
        "SNAPSHOT_DIR": str(folder / "snapshots"),
    }


def _prefixed(side: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"EVOSCALE_{side}_{name}": value for name, value in settings.items()}


def _bot_settings(app: Credentials, web_url: str) -> dict[str, str]:
    return {
        "EVOSCALE_BOT_APP_ID": str(app.app_id),
        "EVOSCALE_BOT_PRIVATE_KEY": app.private_key,
        "EVOSCALE_BOT_WEBHOOK_SECRET": app.webhook_secret,
        "EVOSCALE_BOT_GITHUB_API_URL": app.base_url,
        "EVOSCALE_BOT_PUBLIC_URL": web_url,
        "EVOSCALE_BOT_LIST_JOBS": "true",
    }


def _inherited() -> dict[str, str]:
    """The few variables that every part needs; no secret of the caller's travels by accident."""
    kept = {
        k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)
    }
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _credentials(path: Path, hub: Part) -> Credentials:
    deadline = time.monotonic() + START_S
    while not path.exists():
        hub.check()
        if time.monotonic() > deadline:
            raise StackFailedError(f"fakehub did not start within {START_S:.0f} s")
        time.sleep(0.05)
    return Credentials.model_validate_json(path.read_bytes())


def _await_web(url: str, web: Part) -> None:
    deadline = time.monotonic() + START_S
    while True:
        web.check()
        try:
            if httpx.get(f"{url}/readyz", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
        if time.monotonic() > deadline:
            raise StackFailedError(f"the web process was not ready within {START_S:.0f} s")


def _stop_all(parts: list[Part]) -> None:
    """Ask all to end, then make them: each is the leader of a session of its own."""
    for part in reversed(parts):
        _signal(part, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    for part in parts:
        try:
            part.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(part, signal.SIGKILL)
            part.process.wait()
        _signal(part, signal.SIGKILL)


def _signal(part: Part, number: int) -> None:
    try:
        os.killpg(part.process.pid, number)
    except ProcessLookupError:
        return
