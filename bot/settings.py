"""`EVOSCALE_BOT_*`: what an operator may set. Secrets have no defaults, and may lie in files."""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.errors import SettingsInvalidError
from engine.contract import Budget

MIN_SECRET = 16
REFUSED_SECRETS = frozenset({"development", "secret", "changeme"})
FROM_FILES = ("private_key", "webhook_secret", "previous_webhook_secret")
PREFIXES = {
    "BotSettings": "EVOSCALE_BOT_",
    "WebSettings": "EVOSCALE_BOT_",
    "EngineSettings": "EVOSCALE_ENGINE_",
    "SandboxSettings": "EVOSCALE_SANDBOX_",
}
"""What the variables of each settings class begin with."""
CHILD_VARIABLES = (
    "PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
)


class WebSettings(BaseSettings):
    """What the web process needs: no key, so a hole in the receiver gives nothing away.

    A secret `x` may also be given as a file, by `EVOSCALE_BOT_X_FILE` or in `/run/secrets`.
    """

    model_config = SettingsConfigDict(
        env_prefix="EVOSCALE_BOT_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    webhook_secret: SecretStr = Field(
        description="The secret that GitHub signs webhooks with; 16 characters or more."
    )
    webhook_secret_file: Path | None = Field(
        default=None, description="A file that holds webhook_secret."
    )
    previous_webhook_secret: SecretStr | None = Field(
        default=None, description="The old secret, accepted too while you rotate it."
    )
    previous_webhook_secret_file: Path | None = Field(
        default=None, description="A file that holds previous_webhook_secret."
    )
    database_url: str = Field(
        default="sqlite:///evoscale.sqlite3",
        description="Where deliveries and jobs lie: SQLite on one machine, else PostgreSQL.",
    )
    list_jobs: bool = Field(
        default=False,
        description="Serve the list of all jobs at /jobs. A job's own page is reachable only by "
        "its unguessable address; the list shows all titles to whoever reaches the server.",
    )
    max_body_bytes: int = Field(
        default=25 * 1024**2, ge=1024, description="Larger webhook bodies are answered 413."
    )
    log_style: Literal["plain", "json"] = Field(
        default="plain", description="Log lines for people, or one JSON object a line."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: dict[str, object]) -> dict[str, object]:
        for name in FROM_FILES:
            path = values.get(f"{name}_file")
            if path and not values.get(name):
                values[name] = _text_of(Path(str(path)), name)
        return values

    @field_validator("webhook_secret", "previous_webhook_secret")
    @classmethod
    def _strong(cls, given: SecretStr | None) -> SecretStr | None:
        if given is None:
            return None
        secret = given.get_secret_value()
        if len(secret) < MIN_SECRET or secret.casefold() in REFUSED_SECRETS:
            raise ValueError(f"it must have {MIN_SECRET} characters or more; make one up at random")
        return given

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """The webhook secrets to accept, the current one first."""
        previous = self.previous_webhook_secret
        return (self.webhook_secret, previous) if previous else (self.webhook_secret,)


class BotSettings(WebSettings):
    """What the bot worker needs: all of it. Read once, in the composition files."""

    app_id: int = Field(gt=0, description="The GitHub App's id, from its settings page.")
    private_key: SecretStr = Field(
        description="The app's private key: PEM text, the same with literal \\n or in base64, "
        "or the path of the .pem file."
    )
    private_key_file: Path | None = Field(
        default=None, description="A file that holds private_key, for Kubernetes secrets."
    )
    label: str = Field(
        default="evoscale", min_length=1, max_length=50, description="The label that starts a job."
    )
    allow_triage: bool = Field(
        default=False, description="Let people with the triage role start jobs; else write."
    )
    broker_url: str = Field(
        default="filesystem://",
        description="Celery's broker: redis:// or amqp:// in production, filesystem:// alone.",
    )
    broker_dir: Path = Field(
        default=Path("evoscale-queue"),
        description="The queue's folder when the broker is filesystem://.",
    )
    snapshot_dir: Path = Field(
        default=Path("evoscale-snapshots"),
        description="Shared storage for repository snapshots: the bot writes, the engine reads.",
    )
    github_api_url: str = Field(
        default="https://api.github.com",
        pattern=r"^https?://[^\s/]+",
        description="GitHub's REST API; https://HOST/api/v3 on GitHub Enterprise Server.",
    )
    write_gap_s: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="Seconds between two writes to one installation; GitHub asks for one.",
    )
    public_url: str = Field(
        default="",
        description="Where people reach the run pages, for links in comments; empty for no links.",
    )
    iterations: int = Field(
        default=4, ge=1, le=20, description="Iterations of a job that asks for none itself."
    )
    candidates: int = Field(
        default=5, ge=1, le=64, description="Candidates per iteration, likewise."
    )
    minutes: int = Field(default=30, ge=1, le=1440, description="Wall-clock minutes, likewise.")
    max_iterations: int = Field(default=12, ge=1, le=20, description="The most a command may ask.")
    max_candidates: int = Field(default=16, ge=1, le=64, description="The most a command may ask.")
    max_minutes: int = Field(default=120, ge=1, le=1440, description="The most a command may ask.")
    jobs_per_issue: int = Field(
        default=20, ge=1, le=1000, description="How many jobs one issue may start, ever."
    )
    lease_s: float = Field(
        default=120.0,
        ge=1,
        description="After a crash another worker continues a step so soon; one that takes longer "
        "may run twice, safely.",
    )
    wake_s: float = Field(
        default=15.0,
        gt=0,
        le=900,
        description="Seconds after which a step that nobody works at is woken again: the message "
        "may be lost, or a worker have died.",
    )

    @field_validator("private_key")
    @classmethod
    def _pem(cls, given: SecretStr) -> SecretStr:
        return SecretStr(normal_key(given.get_secret_value()))

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        for name in ("iterations", "candidates", "minutes"):
            if getattr(self, name) > getattr(self, f"max_{name}"):
                raise ValueError(f"{name} is more than max_{name}; raise the second")
        return self

    @property
    def usual_budget(self) -> Budget:
        """What a job may spend that asks for nothing itself."""
        return Budget(
            iterations=self.iterations,
            candidates_per_iteration=self.candidates,
            wall_clock_s=self.minutes * 60.0,
        )

    @property
    def most_budget(self) -> Budget:
        """The most that a command may ask for."""
        return Budget(
            iterations=self.max_iterations,
            candidates_per_iteration=self.max_candidates,
            wall_clock_s=self.max_minutes * 60.0,
        )


S = TypeVar("S", bound=WebSettings)


def load() -> BotSettings:
    """Read the bot worker's settings from the environment.

    Raises:
        SettingsInvalidError: one is missing or wrong; the message says which, never its value.
    """
    return _load(BotSettings)


def load_web() -> WebSettings:
    """Read the web process's settings from the environment.

    Raises:
        SettingsInvalidError: one is missing or wrong; the message says which, never its value.
    """
    return _load(WebSettings)


def _load(kind: type[S]) -> S:
    folder = Path("/run/secrets")
    try:
        return kind(_secrets_dir=folder if folder.is_dir() else None)
    except ValidationError as error:
        raise SettingsInvalidError(wrong_settings(error) or error.title) from None


def wrong_settings(error: ValidationError) -> str | None:
    """What is wrong in which variable, never its value; None where the error is no settings'."""
    prefix = PREFIXES.get(error.title)
    if prefix is None:
        return None
    problems = [
        f"{prefix}{''.join(map(str, each['loc'][:1])).upper()}: {each['msg']}"
        for each in error.errors(include_input=False, include_url=False)
    ]
    return f"the settings cannot be used: {'; '.join(dict.fromkeys(problems))}"


def normal_key(given: str) -> str:
    r"""Give PEM text for a key given as PEM (PKCS#1 or 8), with literal \n, base64 or a path.

    Raises:
        ValueError: it is none of these, or no RSA private key.
    """
    text = given.strip().strip("\"'").replace("\\n", "\n").replace("\r\n", "\n")
    if text.startswith(("/", "./", "~")) or text.endswith(".pem"):
        text = _text_of(Path(text).expanduser(), "private_key")
    if not text.startswith("-----BEGIN"):
        text = _decoded(text)
    return _checked(_relined(text))


def _decoded(text: str) -> str:
    if not text:
        raise ValueError("it is empty; give PEM text, base64 of it, or a path")
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("it is neither PEM text, base64 of it, nor a path") from error


def _relined(text: str) -> str:
    """Put back line ends that became spaces on the way through an environment file."""
    head, _, rest = text.strip().removeprefix("-----").partition("-----")
    body, _, foot = rest.partition("-----")
    lines = "\n".join(body.split())
    return f"-----{head}-----\n{lines}\n-----{foot.strip().removesuffix('-----')}-----\n"


def _checked(text: str) -> str:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("it cannot be read as a private key; download a new one") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("it is no RSA key; GitHub Apps have RSA keys")  # noqa: TRY004  # pydantic reports ValueError, not TypeError
    return text


def _text_of(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file for {name} cannot be read: {type(error).__name__}") from error


def child_environment() -> Mapping[str, str]:
    """The few variables that a git we start needs of ours: search path, proxies, certificates."""
    return {name: os.environ[name] for name in CHILD_VARIABLES if name in os.environ}  # noqa: TID251  # this is a settings module
