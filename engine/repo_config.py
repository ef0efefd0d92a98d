"""`.github/evoscale.yml`: what a repository's owners may set, never above the operator's limits.

Treated as hostile: unknown keys, wrong types and a file of unusual size are refused with a sentence
that names the key.
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from engine.contract import MAX_CONFIG_BYTES, Budget
from engine.errors import BadInputError
from sandbox.recipes.declared import yaml_of
from sandbox.recipes.steps import HERE, Steps

PATH = Path(".github") / "evoscale.yml"
MOST_PROJECTS = 20
MAX_PATH = 200
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What no argument of a program and no path should hold; lines may be folded or have an end."""


def _plain(value: str) -> str:
    if CONTROL.search(value):
        raise ValueError(f"{value!r} holds a control character")
    return value


Line = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_plain)]
Package = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Version = Annotated[str, Field(pattern=r"^3\.[0-9]{1,2}$")]
Language = Literal["python", "javascript", "go", "rust", "java"]


class ProjectConfig(BaseModel):
    """The steps of one environment; all optional, and what is not set the recipe finds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Language | None = Field(default=None, description="Which recipe is taken.")
    toolchains: tuple[Language, ...] = Field(
        default=(),
        max_length=5,
        description="Languages whose programs the tests need besides their own, as the machine "
        "that runs them has them.",
    )
    python: Version | None = Field(
        default=None,
        description='The Python to take, as `"3.9"` with its quotes, in place of what the files '
        "ask for; where it cannot be had, the tests run with the machine's own.",
    )
    packages: tuple[Package, ...] | None = Field(
        default=None,
        max_length=500,
        description="Packages in place of those that the manifests name: `six>=1` for Python, "
        "`tape@^5` for JavaScript, `example.org/name v1.2.3` for Go.",
    )
    install: tuple[Line, ...] = Field(
        default=(),
        max_length=20,
        description="Command lines that run once in the image after the files are laid, without "
        "a shell and without any network.",
    )
    test_command: Line | None = Field(
        default=None, description="How the tests run, as one command line."
    )
    report: Literal["junit", "tap", "jest", "mocha", "go", "cargo"] | None = Field(
        default=None, description="The format of what `test_command` prints or writes."
    )
    report_files: tuple[Line, ...] = Field(
        default=(),
        max_length=20,
        description="Where `test_command` writes its report, as globs below the project's folder.",
    )

    @field_validator("test_command")
    @classmethod
    def _words(cls, value: str | None) -> str | None:
        if value is not None and not _split(value):
            raise ValueError("it holds no word")
        return value

    @field_validator("install")
    @classmethod
    def _lines(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            if not _split(line):
                raise ValueError(f"the command {line!r} holds no word")
        return value

    @field_validator("report_files")
    @classmethod
    def _globs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for glob in value:
            if glob.startswith("/") or ".." in glob.split("/"):
                raise ValueError(f"{glob!r} leaves the project's folder")
        return value

    def steps(self, path: str = HERE) -> Steps:
        """The same in the sandbox's words, for the project in this folder."""
        return Steps(
            path=path,
            language=self.language or "",
            toolchains=self.toolchains,
            packages=self.packages,
            install=self.install,
            test_command=self.test_command or "",
            report=self.report or "",
            report_files=self.report_files,
            python=self.python or "",
        )


def _split(line: str) -> list[str]:
    """A command line's words.

    Raises:
        ValueError: a quote is not closed.
    """
    return shlex.split(line)


class RepoConfig(ProjectConfig):
    """The file's keys; all optional."""

    projects: Mapping[str, ProjectConfig] = Field(
        default_factory=dict,
        max_length=MOST_PROJECTS,
        description="The projects of a repository that holds several, by their folders, each with "
        "the keys above. One search works on one of them.",
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

    @field_validator("projects")
    @classmethod
    def _folders(cls, value: Mapping[str, ProjectConfig]) -> Mapping[str, ProjectConfig]:
        for path in value:
            plain = path == posixpath.normpath(path) and not path.startswith(("/", "-"))
            plain = plain and path.isprintable()
            if not plain or path.split("/")[0] in {"..", ".", ".git"} or len(path) > MAX_PATH:
                raise ValueError(f"{path!r} is no folder below the repository's root")
        return value

    def steps_for(self, text: str, guess: Callable[[], str] = lambda: "") -> Steps:
        """The steps of the project that a text is about, or of the whole repository.

        It is the one of which the text names most files, then the one whose folder it names most
        often; where it names none, the one that `guess` gives, if it gives any, else the first.
        """
        if not self.projects:
            return self.steps()
        named = [path for path in self.projects if any(_mentions(path, text))]
        path = max(named, key=lambda each: _mentions(each, text), default="") or guess()
        path = path or next(iter(self.projects))
        return self.projects[path].steps(path)


def _mentions(path: str, text: str) -> tuple[int, int]:
    """How often a text names a file below a folder, and how often the folder by its last part."""
    last = posixpath.basename(path)
    files = len(re.findall(rf"(?<![\w/-]){re.escape(path)}/\w", text))
    return files, len(re.findall(rf"(?<![\w-]){re.escape(last)}(?![\w-])", text, re.IGNORECASE))


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
        content = yaml_of(raw) or {}
        config = RepoConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = f"; the keys are {', '.join(_keys(first['loc']))}" if _is_extra(first) else ""
        raise BadInputError(f"{PATH}: {key}: {first['msg']}{known}") from error
    except ValueError as error:
        raise BadInputError(f"{PATH} cannot be read: {error}") from error
    return config


def _is_extra(error: ErrorDetails) -> bool:
    return error["type"] == "extra_forbidden"


def _keys(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that are known where an unknown one stands."""
    inner = place[:1] == ("projects",)
    return tuple((ProjectConfig if inner else RepoConfig).model_fields)


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
