"""`EVOSCALE_ENGINE_*`: what an operator may set for the side that searches; no GitHub secret."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRETS = (
    "EVOSCALE_BOT_PRIVATE_KEY",
    "EVOSCALE_BOT_PRIVATE_KEY_FILE",
    "EVOSCALE_BOT_WEBHOOK_SECRET",
    "EVOSCALE_BOT_WEBHOOK_SECRET_FILE",
    "EVOSCALE_ENGINE_MODEL_API_KEY",
    "GITHUB_TOKEN",
    "GH_TOKEN",
)
"""What a process that starts boxes has no use for: whoever gets out of one would have it."""


def held_secrets() -> tuple[str, ...]:
    """The names of `SECRETS` that this process was given."""
    return tuple(name for name in SECRETS if os.environ.get(name))  # noqa: TID251  # a settings module reads it


class EngineSettings(BaseSettings):
    """Read once, in the composition files, and passed on in pieces."""

    model_config = SettingsConfigDict(env_prefix="EVOSCALE_ENGINE_", frozen=True, extra="ignore")

    database_url: str = Field(
        default="sqlite:///evoscale.sqlite3",
        description="Where jobs lie: SQLite on one machine, PostgreSQL where there are several.",
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
    model: Literal["embedded", "transformers_local", "vllm_server", "vllm_local", "scripted"] = (
        Field(default="embedded", description="The model back end that samples candidates.")
    )
    model_name: str = Field(
        default="",
        description="The served model's id, or the folder of a local one; empty for `embedded`.",
    )
    model_url: str = Field(
        default="http://127.0.0.1:8000/v1",
        description="Base URL of a vLLM server or anything that speaks OpenAI's completions API.",
    )
    model_api_key: SecretStr | None = Field(
        default=None, description="Bearer token for model_url, if any."
    )
    model_edit_format: Literal["search_replace", "line"] = Field(
        default="search_replace", description="How the served model writes edits down."
    )
    model_evolves: bool = Field(
        default=False,
        description="Whether the model was trained to improve its own patches without a score.",
    )
    model_context_tokens: int = Field(
        default=16_384, ge=512, description="The served model's context length."
    )
    model_profile: Literal["", "satori-swe-sft", "satori-swe-rl"] = Field(
        default="",
        description="A released model's prompt, format, context and temperature, in the place of "
        "the three settings above.",
    )
    proposer: Literal["mix", "rewrite", "write"] = Field(
        default="mix",
        description="What the embedded model proposes: single rewrites ranked by likelihood, free "
        "writing, or the mix of them that solves most: today the rewrites alone. Where those "
        "run dry the model writes.",
    )
    selection: Literal["unscored", "by_reward", "by_tests"] = Field(
        default="by_tests", description="How conditioning examples are chosen between iterations."
    )
    greedy_first: bool = Field(
        default=False,
        description="Sample the first iteration at temperature 0; only what is unusable warms up.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="The seed that all sampling seeds derive from. Ranked rewrites of the embedded "
        "model need none: the likeliest come first.",
    )
    sandbox_workers: int = Field(
        default=2, ge=1, le=64, description="Candidates tested at the same time by one process."
    )
    max_wall_clock_s: float = Field(
        default=3600.0,
        gt=0,
        description="The longest that any job may search, whatever it asks for.",
    )
    lease_s: float = Field(
        default=60.0,
        ge=1,
        description="How long a silent worker keeps a job before another may take it.",
    )
    log_style: Literal["plain", "json"] = Field(
        default="plain", description="Log lines for people, or one JSON object a line."
    )
    max_attempts: int = Field(
        default=3, ge=1, description="How often a job may be started before it is called failed."
    )
