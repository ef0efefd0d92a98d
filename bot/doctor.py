"""`evoscale doctor`: everything an operator can get wrong, checked, with the way to mend it."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import httpx
import sqlalchemy as sa
import yaml
from pydantic import ValidationError

from bot import settings as bot_settings
from bot.errors import BotError
from bot.github.app import App
from bot.github.calls import Wire
from bot.settings import BotSettings, wrong_settings
from engine import line_format, models
from engine.errors import EngineError
from engine.models.base import Prompt, Sampling
from engine.settings import EngineSettings
from engine.store import connect
from sandbox.errors import SandboxError
from sandbox.guarantees import description, open_checked
from sandbox.images import bare
from sandbox.recipes.python_found import installed
from sandbox.recipes.python_versions import MINORS
from sandbox.settings import SandboxSettings

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 * 1024**3
MAX_SKEW_S = 30.0
MANIFEST = Path(__file__).parent.parent / "app.yml"
RANK = {"read": 1, "write": 2, "admin": 3}


class State(StrEnum):
    """How a check came out."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, what was found, and what to do if it is wrong."""

    what: str
    state: State
    found: str
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether the system cannot work as it is."""
        return self.state is State.BAD

    @property
    def mark(self) -> str:
        """A mark for the table."""
        marks = {State.GOOD: "[green]✓[/]", State.WARNING: "[yellow]![/]", State.BAD: "[red]✗[/]"}
        return marks[self.state]

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return {
            "what": self.what,
            "state": self.state.value,
            "found": self.found,
            "advice": self.advice,
        }


def check_all() -> list[Check]:
    """Run every check; one that cannot run says why and never stops the others."""
    checks = [_python(), _old_pythons(), _git(), _disk(), _sandbox(), _model(), *_databases()]
    try:
        configured = bot_settings.load()
    except BotError as error:
        advice = "see docs/configure.md; `evoscale demo` needs none of them"
        return [*checks, Check("bot settings", State.BAD, str(error), advice)]
    return [*checks, Check("bot settings", State.GOOD, "complete"), *_github(configured)]


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < MIN_PYTHON:
        return Check("python", State.BAD, version, "install Python 3.11 or newer")
    return Check("python", State.GOOD, version)


def _old_pythons() -> Check:
    """Which Pythons repositories can have that ask for another than this one."""
    own = sys.version_info[1]
    others = [f"3.{minor}" for minor in MINORS if minor != own and installed(f"3.{minor}")]
    return Check("other pythons", State.GOOD, f"installed: {', '.join(others) or 'none'}")


def _git() -> Check:
    path = shutil.which("git")
    if path is None:
        return Check("git", State.BAD, "not found", "install git (Debian: apt-get install git)")
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return Check("git", State.GOOD, told.stdout.strip())


def _disk() -> Check:
    settings = EngineSettings()
    folder = settings.snapshot_dir if settings.snapshot_dir.is_dir() else Path.cwd()
    free = shutil.disk_usage(folder).free
    found = f"{free / 1024**3:.1f} GiB free at {folder}"
    if free < MIN_FREE_BYTES:
        return Check("disk", State.BAD, found, "free at least 2 GiB for snapshots and images")
    return Check("disk", State.GOOD, found)


def _sandbox() -> Check:
    try:
        settings = SandboxSettings()
        sandbox = open_checked(settings)
        with sandbox.open(bare(sandbox), settings.limits()) as box:
            result = box.exec(["python3", "-c", "print('ok')"])
    except ValidationError as error:
        advice = "correct it or unset it (docs/configure.md)"
        return Check("sandbox", State.BAD, wrong_settings(error) or str(error), advice)
    except SandboxError as error:
        advice = "install Docker, or runc (for root), or bubblewrap (apt-get install bubblewrap)"
        return Check("sandbox", State.BAD, str(error), advice)
    if result.exit_code != 0 or b"ok" not in result.output:
        return Check("sandbox", State.BAD, "a box ran nothing", "run evoscale sandbox check")
    found = description(sandbox, settings)
    if sandbox.isolation.startswith("bubblewrap"):
        advice = "enough to try; for strangers' repositories install Docker (docs/security.md)"
        return Check("sandbox", State.WARNING, found, advice)
    return Check("sandbox", State.GOOD, found)


def _model() -> Check:
    try:
        with models.opened(EngineSettings()) as model:
            name = model.name
            prompt = Prompt("", line_format.render_prompt("return 1", issue="", previous=()))
            said = list(model.sample(prompt, Sampling(n=1, temperature=0.0, max_tokens=4, seed=0)))
    except EngineError as error:
        advice = "set EVOSCALE_ENGINE_MODEL and what belongs to it (docs/configure.md)"
        return Check("model", State.BAD, str(error), advice)
    return Check("model", State.GOOD, f"{name} answered {len(said)} request")


def _databases() -> list[Check]:
    engine_url = EngineSettings().database_url
    parsed = sa.make_url(engine_url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        return [Check("database", State.GOOD, f"{parsed.database}, made when a process starts")]
    try:
        engine = connect(engine_url)
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except (sa.exc.SQLAlchemyError, OSError) as error:
        advice = "start it, or set EVOSCALE_ENGINE_DATABASE_URL and EVOSCALE_BOT_DATABASE_URL alike"
        return [Check("database", State.BAD, str(error).splitlines()[0], advice)]
    return [Check("database", State.GOOD, engine.dialect.name)]


def _github(configured: BotSettings) -> list[Check]:
    engine_settings = EngineSettings()
    same = [
        _same("database", configured.database_url, engine_settings.database_url),
        _same("broker", configured.broker_url, engine_settings.broker_url),
        _same("snapshots", str(configured.snapshot_dir), str(engine_settings.snapshot_dir)),
    ]
    return [*same, _clock(configured), *_app(configured)]


def _same(what: str, bot: str, engine: str) -> Check:
    if bot != engine:
        advice = "give EVOSCALE_BOT_… and EVOSCALE_ENGINE_… the same value"
        return Check(f"{what} shared", State.WARNING, "bot and engine differ", advice)
    return Check(f"{what} shared", State.GOOD, "bot and engine agree")


def _clock(configured: BotSettings) -> Check:
    try:
        answer = httpx.get(configured.github_api_url, timeout=10)
        skew = (parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)).total_seconds()
    except (httpx.HTTPError, KeyError, ValueError) as error:
        advice = "check the network and EVOSCALE_BOT_GITHUB_API_URL"
        return Check("clock", State.BAD, f"GitHub gave no time: {error}", advice)
    if abs(skew) > MAX_SKEW_S:
        advice = "run a time service (ntp): GitHub refuses sign-ins from the wrong time"
        return Check("clock", State.BAD, f"{skew:+.0f} s from GitHub's", advice)
    return Check("clock", State.GOOD, f"{skew:+.0f} s from GitHub's")


def _app(configured: BotSettings) -> list[Check]:
    app = App(configured.app_id, configured.private_key, Wire(configured.github_api_url))
    try:
        identity = app.identity()
    except BotError as error:
        advice = "check EVOSCALE_BOT_APP_ID and the private key, which belong to one app"
        return [Check("sign-in", State.BAD, str(error), advice)]
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8")) if MANIFEST.is_file() else {}
    return [
        Check("sign-in", State.GOOD, f"as {identity.slug}"),
        _granted(manifest.get("default_permissions", {}), dict(identity.permissions)),
        _subscribed(manifest.get("default_events", []), list(identity.events)),
    ]


def _granted(wanted: dict[str, str], given: dict[str, str]) -> Check:
    missing = [
        f"{name}: {level}"
        for name, level in wanted.items()
        if RANK.get(given.get(name, ""), 0) < RANK.get(level, 0)
    ]
    if missing:
        advice = "grant them on the app's page, then accept them where it is installed"
        return Check("permissions", State.BAD, f"missing {', '.join(missing)}", advice)
    return Check("permissions", State.GOOD, f"{len(wanted)} granted")


def _subscribed(wanted: list[str], given: list[str]) -> Check:
    missing = sorted(set(wanted) - set(given))
    if missing:
        advice = "tick them on the app's page, under permissions and events"
        return Check("events", State.BAD, f"missing {', '.join(missing)}", advice)
    return Check("events", State.GOOD, f"{len(wanted)} subscribed")
