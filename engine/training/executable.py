"""Bugs whose repair can be judged by running it: what a function answers to calls.

A task holds a buggy function and examples of what the right one answers: the visible ones may
choose among candidates, the hidden ones are the verdict. Right answers come from running the clean
function in a box, or from the doctests of the package that it is from.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from itertools import groupby
from pathlib import Path

from engine.errors import BadInputError
from engine.training.outcomes import Answers, Boxes, Calls, run_calls

_FLAGS = ELLIPSIS | NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True)
class Example:
    """A call, or a statement at the prompt, and its outcome; None where only its effect counts."""

    call: str
    outcome: str | None


@dataclass(frozen=True, slots=True)
class ExecutableTask:
    """A function with one bug, in SWE-bench's field names where those exist.

    `module` is empty where the function needs no more than `setup`, which are imports; else it is
    the importable module that the function belongs to. With `prompted` the examples are those of
    its doctest.
    """

    instance_id: str
    package: str
    split: str
    module: str
    prompted: bool
    name: str
    setup: str
    source: str
    fixed: str
    kind: str
    problem_statement: str
    visible: tuple[Example, ...]
    hidden: tuple[Example, ...]

    @property
    def shown(self) -> int:
        """How many of the verdicts that `score` gives are the visible examples'."""
        return len(judged(self.visible))


def judged(examples: Sequence[Example]) -> tuple[Example, ...]:
    """The examples that have a right outcome."""
    return tuple(example for example in examples if example.outcome is not None)


def score(
    tasks: Sequence[ExecutableTask], sources: Sequence[str], boxes: Boxes
) -> list[list[bool]]:
    """Which examples each source answers rightly in the place of its task's function.

    One source a task; neighbours that are the same task share their set-up. The verdicts stand in
    the order of the visible examples, then the hidden ones.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    pairs = zip(tasks, sources, strict=True)
    groups = [
        (task, tuple(source for _, source in run))
        for task, run in groupby(pairs, key=lambda pair: pair[0])
    ]
    answers = run_calls([calls_of(task, texts) for task, texts in groups], boxes)
    return [
        verdicts(task, told)
        for (task, _), found in zip(groups, answers, strict=True)
        for told in found
    ]


def calls_of(task: ExecutableTask, sources: Sequence[str]) -> Calls:
    """A task's examples, to be run with these sources."""
    return Calls(
        name=task.name,
        setup=task.setup,
        examples=tuple(example.call for example in (*task.visible, *task.hidden)),
        sources=tuple(sources),
        module=task.module,
        prompted=task.prompted,
    )


def verdicts(task: ExecutableTask, told: Sequence[str]) -> list[bool]:
    """Which of a task's examples came out right; those that were not reached did not."""
    examples = (*task.visible, *task.hidden)
    heard = (*told, *("" for _ in range(len(examples) - len(told))))
    return [
        is_right(example.outcome, said)
        for example, said in zip(examples, heard, strict=True)
        if example.outcome is not None
    ]


def is_right(wanted: str, said: str) -> bool:
    """Whether an outcome is the right one; what was printed is compared as doctest does."""
    if wanted == said:
        return True
    for word in ("printed ", "raised "):
        if wanted.startswith(word):
            rest = wanted.removeprefix(word), said.removeprefix(word)
            return said.startswith(word) and OutputChecker().check_output(*rest, _FLAGS)
    return False


def clean_answers(tasks: Sequence[Calls], boxes: Boxes) -> list[tuple[str, ...]]:
    """The outcomes of the first source of each."""
    found: list[Answers] = run_calls(tasks, boxes)
    return [answers[0] if answers else () for answers in found]


def write_tasks(path: Path, tasks: Iterable[ExecutableTask]) -> None:
    """Write tasks as JSONL."""
    with path.open("w", encoding="utf-8") as file:
        for task in tasks:
            file.write(json.dumps(asdict(task)) + "\n")


def read_tasks(path: Path) -> list[ExecutableTask]:
    """Read tasks back.

    Raises:
        BadInputError: the file is missing or a line is no task.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [_task(row) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        msg = f"{path} holds no executable tasks: {error}; make it with `evoscale train executable`"
        raise BadInputError(msg) from error


def _task(row: dict[str, object]) -> ExecutableTask:
    """One line as a task."""
    examples = {
        key: tuple(Example(**example) for example in list(row[key]))  # type: ignore[call-overload]  # read from JSON
        for key in ("visible", "hidden")
    }
    return ExecutableTask(**{**row, **examples})  # type: ignore[arg-type]  # TypeError is caught
