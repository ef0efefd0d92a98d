"""Rows of training data: tasks, earlier candidates, verdicts; one JSON object a line.

Tasks hold whole files, so a file of them may be large: it is indexed once and read row by row.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.candidate import CodeContext, SourceFile, Span
from engine.contract import Issue
from engine.errors import BadInputError

MAX_ROW_BYTES = 20_000_000
"""No row of the public data comes near; a longer line is no row but a broken file."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Row):
    """A file at base_commit."""

    path: str
    text: str


class Place(_Row):
    """The function that a line edit is about, lines from 1, both included."""

    path: str
    start: int = Field(ge=1)
    end: int = Field(ge=1)


class Task(_Row):
    """An issue with the files to edit and the edit that resolved it.

    `patch` is the gold diff and `completion` the same in the model's edit format. `reasoning` is a
    teacher's, written without earlier patches in view, and `mutation_reasoning` with them; where
    they are empty the target is the edit alone. `focus` is for the line format only.
    """

    instance_id: str = Field(min_length=1)
    problem_statement: str
    files: tuple[File, ...] = Field(min_length=1)
    completion: str = ""
    patch: str = ""
    reasoning: str = ""
    mutation_reasoning: str = ""
    repo: str = ""
    base_commit: str = ""
    focus: Place | None = None

    @property
    def issue(self) -> Issue:
        """The problem statement; its first line is the title."""
        title, _, body = self.problem_statement.strip().partition("\n")
        return Issue(number=0, title=title, body=body.strip())

    @property
    def span(self) -> Span | None:
        """The focus as the engine's prompts take it."""
        if self.focus is None:
            return None
        return Span(self.focus.path, self.focus.path, self.focus.start, self.focus.end)

    @property
    def context(self) -> CodeContext:
        """The files, and the focus if there is one."""
        files = tuple(SourceFile(file.path, file.text) for file in self.files)
        return CodeContext(files, (self.span,) if self.span else ())


class Sampled(_Row):
    """A completion that a model wrote for a task earlier."""

    instance_id: str = Field(min_length=1)
    completion: str


class Verdict(_Row):
    """Whether a patch resolved its task's issue, as tests said; a diff or a completion."""

    instance_id: str = Field(min_length=1)
    resolved: bool
    patch: str = ""
    completion: str = ""


class Kept(_Row):
    """A task's conditioning examples as a checkpoint of RL keeps them."""

    instance_id: str = Field(min_length=1)
    step: int = Field(ge=0)
    completions: tuple[str, ...]
    rewards: tuple[float, ...]


Row = TypeVar("Row", Task, Sampled, Verdict, Kept)


def read_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """Yield the rows of a file.

    Raises:
        BadInputError: the file cannot be read, or a line is no such row; names file and line.
    """
    for number, _, line in _lines(path):
        yield parse_row(line, kind, f"{path}, line {number}")


def parse_row(line: bytes, kind: type[Row], where: str) -> Row:
    """Read one row.

    Raises:
        BadInputError: it is none; says which field is wrong.
    """
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        told = error.errors()[0]
        field = ".".join(str(part) for part in told["loc"]) or "the line"
        raise BadInputError(
            f"{where} is no row of {kind.__name__.lower()}s: {field}: {told['msg']}"
        ) from error


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Line number, offset and bytes of every line that is not blank."""
    try:
        with path.open("rb") as file:
            offset, number = 0, 0
            while line := file.readline(MAX_ROW_BYTES + 1):
                number += 1
                if len(line) > MAX_ROW_BYTES:
                    raise BadInputError(f"{path}, line {number} has over {MAX_ROW_BYTES} bytes")
                if line.strip():
                    yield number, offset, line
                offset += len(line)
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise BadInputError(
            f"{path} cannot be read: {said}; `evoscale train large data` makes it"
        ) from error


class TaskFile:
    """A file of tasks, by id; only the index is in memory."""

    def __init__(self, path: Path) -> None:
        """Index the file.

        Raises:
            BadInputError: it cannot be read, holds no task, or one id twice.
        """
        self._path = path
        self._offsets: dict[str, int] = {}
        for number, offset, line in _lines(path):
            task = parse_row(line, Task, f"{path}, line {number}")
            if task.instance_id in self._offsets:
                raise BadInputError(f"{path}, line {number}: {task.instance_id} is there twice")
            self._offsets[task.instance_id] = offset
        if not self._offsets:
            raise BadInputError(f"{path} holds no task")

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self._offsets)

    @property
    def ids(self) -> Sequence[str]:
        """Every instance_id, in the file's order."""
        return list(self._offsets)

    def get(self, instance_id: str) -> Task:
        """The task of this id.

        Raises:
            BadInputError: there is none.
        """
        offset = self._offsets.get(instance_id)
        if offset is None:
            raise BadInputError(f"{self._path} holds no task {instance_id!r}")
        with self._path.open("rb") as file:
            file.seek(offset)
            return parse_row(file.readline(), Task, f"{self._path}, {instance_id}")

    def __iter__(self) -> Iterator[Task]:
        """The tasks in the file's order."""
        return read_rows(self._path, Task)


def write_rows(path: Path, rows: Iterable[BaseModel | dict[str, object]]) -> int:
    """Write rows, one a line, aside first; how many there were.

    Raises:
        BadInputError: the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.partial")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            for row in rows:
                told = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
                file.write(json.dumps(told) + "\n")
                count += 1
        aside.replace(path)
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise BadInputError(f"{path} cannot be written: {said}; make room there") from error
    return count
