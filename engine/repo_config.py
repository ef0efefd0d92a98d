"""`.github/evoscale.yml`: what a repository's owners may set, never above the operator's limits.

Treated as hostile: unknown keys, wrong types and a file of unusual size are refused with a sentence
that names the key.
"""

import shlex
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.contract import MAX_CONFIG_BYTES, Budget
from engine.errors import BadInputError

PATH = Path(".github") / "evoscale.yml"


class RepoConfig(BaseModel):
    """The file's keys; all optional."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    test_command: str | None = Field(
        default=None, max_length=1000, description="How the tests run, as one command line."
    )
    iterations: int | None = Field(
        default=None, ge=1, le=20, description="Iterations of the search, the first included."
    )
    candidates: int | None = Field(
        default=None, ge=1, le=64, description="Candidates an iteration."
    )
    minutes: float | None = Field(
        default=None, gt=0, le=1440, description="The longest that a search may take."
    )

    @property
    def test_argv(self) -> tuple[str, ...] | None:
        """The test command as argv, or None."""
        return tuple(shlex.split(self.test_command)) if self.test_command else None


def read(checkout: Path) -> RepoConfig:
    """The checkout's settings; the defaults when it has no such file.

    Raises:
        BadInputError: the file is no settings file; says which key is wrong.
    """
    path = checkout / PATH
    if path.is_symlink() or not path.is_file():
        return RepoConfig()
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise BadInputError(f"{PATH} is larger than {MAX_CONFIG_BYTES} bytes; keep it short")
    return parse(path.read_bytes())


def parse(raw: bytes | str) -> RepoConfig:
    """The settings that the file's content says; the defaults for an empty one.

    Raises:
        BadInputError: it is no settings file; says which key is wrong.
    """
    try:
        content = yaml.safe_load(raw) or {}
        config = RepoConfig.model_validate(content)
        _ = config.test_argv
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadInputError(f"{PATH}: {key}: {first['msg']}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"{PATH} cannot be read: {error}") from error
    return config


def capped(budget: Budget, config: RepoConfig, max_wall_clock_s: float) -> Budget:
    """A job's budget with the repository's wishes, never above what the job was given."""
    minutes = config.minutes * 60 if config.minutes else budget.wall_clock_s
    return budget.model_copy(
        update={
            "iterations": min(config.iterations or budget.iterations, budget.iterations),
            "candidates_per_iteration": min(
                config.candidates or budget.candidates_per_iteration,
                budget.candidates_per_iteration,
            ),
            "wall_clock_s": min(minutes, budget.wall_clock_s, max_wall_clock_s),
        }
    )
