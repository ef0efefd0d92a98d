"""The whole system as child processes on one machine: fakehub, web, three workers, scheduler."""

import os
import shutil
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
MIN_FREE_BYTES = 1024**2
"""With less room than this the parts fail one after the other, some without a word."""
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
            StackFailedError: it ended, or has no room to go on.
        """
        if shutil.disk_usage(self.log.parent).free < MIN_FREE_BYTES:
            raise StackFailedError(f"no room is left in {self.log.parent.parent}; make some there")
        if self.process.poll() is not None:
            text = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            code = self.process.returncode
            raise StackFailedError(
                f"{self.name} ended with code {code}; its log ends with:\n{text}"
            )


class Stack:
    """The running system. `extra_env` adds settings; each side is given its own only.

    `stop_s` is how long its parts may take to end of themselves before they are killed.
    """

    hub: Credentials

    def __init__(
        self,
        folder: Path,
        sandbox: str,
        extra_env: Mapping[str, str],
        *,
        record: bool = False,
        stop_s: float = STOP_S,
    ) -> None:
        self.folder = folder
        self._stop_s = stop_s
        self.parts: dict[str, Part] = {}
        self._base = _inherited()
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self.web_url = f"http://127.0.0.1:{_free_port()}"
        shared = _shared_settings(folder)
        self._record = record
        bot, engine = (_of_side(side, extra_env) for side in ("BOT", "ENGINE"))
        self._bot_env = {**_prefixed("BOT", shared), **bot}
        self._engine_env = {**_prefixed("ENGINE", shared), **engine}
        self._sandbox_env = {"EVOSCALE_SANDBOX_KIND": sandbox, **self._engine_env}
        self.database_url = self._bot_env["EVOSCALE_BOT_DATABASE_URL"]

    def _start_hub(self) -> Credentials:
        credentials = self.folder / "credentials.json"
        argv = ["-m", "bot.fakehub", "--directory", str(self.folder / "hub")]
        argv += ["--credentials", str(credentials)]
        argv += ["--webhook-url", f"{self.web_url}/webhooks/github"]
        hub = self._spawn("fakehub", [*argv, *(["--record"] if self._record else [])], {})
        return _credentials(credentials, hub)

    def start_all(self) -> None:
        """Start the hub, then web, workers and scheduler, and wait for the web process.

        Raises:
            StackFailedError: a part did not come up.
        """
        self.hub = self._start_hub()
        self._bot_env.update(_bot_settings(self.hub, self.web_url))
        for name in ("web", "bot-worker", "engine-worker", "sandbox-worker", "beat"):
            self.start(name)
        _await_web(self.web_url, self.parts["web"])

    def start(self, name: str) -> Part:
        """Start one part, or start it again after it ended."""
        port = self.web_url.rsplit(":", 1)[1]
        argv, env = {
            "web": (["serve", "--port", port], self._bot_env),
            "bot-worker": (["worker", "bot", "--concurrency", "2"], self._bot_env),
            "engine-worker": (["worker", "gpu", "--concurrency", "2"], self._engine_env),
            "sandbox-worker": (["worker", "sandbox", "--concurrency", "2"], self._sandbox_env),
            "beat": (["beat", "--state", str(self.folder / "beat")], self._bot_env),
        }[name]
        return self._spawn(name, ["-m", "bot.cli", *argv], env)

    def _spawn(self, name: str, argv: list[str], env: Mapping[str, str]) -> Part:
        log = self.folder / "logs" / f"{name}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [*_with_parent(), sys.executable, *argv],
                cwd=self.folder,
                env={**self._base, **env},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.parts[name] = Part(name, process, log)
        return self.parts[name]

    def kill(self, name: str) -> None:
        """End one part as a power cut would."""
        part = self.parts[name]
        _signal(part, signal.SIGKILL)
        part.process.wait()

    def check(self) -> None:
        """Raise when any part has ended.

        Raises:
            StackFailedError: says which, with its log's end.
        """
        for part in self.parts.values():
            part.check()

    def stop(self) -> None:
        """Ask all to end, then make them: each is the leader of a session of its own."""
        parts = list(self.parts.values())
        for part in reversed(parts):
            _signal(part, signal.SIGTERM)
        deadline = time.monotonic() + self._stop_s
        for part in parts:
            try:
                part.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(part, signal.SIGKILL)
                part.process.wait()
            _signal(part, signal.SIGKILL)


@contextmanager
def running(
    folder: Path,
    sandbox: str,
    extra_env: Mapping[str, str],
    *,
    record: bool = False,
    stop_s: float = STOP_S,
) -> Iterator[Stack]:
    """Start everything below `folder`; at the end, however it comes, nothing is left running.

    Raises:
        StackFailedError: a part did not come up.
    """
    stack = Stack(folder, sandbox, extra_env, record=record, stop_s=stop_s)
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop()


def _with_parent() -> list[str]:
    """A prefix that ends a child when we end, even by `kill -9`, where util-linux is there."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _shared_settings(folder: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{folder / 'evoscale.sqlite3'}",
        "BROKER_URL": "filesystem://",
        "BROKER_DIR": str(folder / "queue"),
        "SNAPSHOT_DIR": str(folder / "snapshots"),
    }


def _prefixed(side: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"EVOSCALE_{side}_{name}": value for name, value in settings.items()}


def _of_side(side: str, env: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in env.items() if k.startswith(f"EVOSCALE_{side}_")}


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
    known = os.environ.items()  # noqa: TID251  # handed on to children, nothing is configured here
    kept = {k: v for k, v in known if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}
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


def _signal(part: Part, number: int) -> None:
    try:
        os.killpg(part.process.pid, number)
    except ProcessLookupError:
        return
