"""Executable tasks from packages that no model of ours is trained on: settings and the benchmark.

`unseen.toml` pins them. Where a function has a doctest that holds, its examples are taken, else
guessed calls; a function that stands in the training corpus too is left out.
"""

import ast
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from engine.errors import BadInputError
from engine.training.corpus import Function, tree_digest
from engine.training.differential import of_module, self_contained, with_guesses
from engine.training.doctests import with_doctests
from engine.training.executable import ExecutableTask
from engine.training.outcomes import Boxes
from engine.training.packages import PackageFunction, functions_of
from engine.training.subjects import Subject, Wanted, buggy_tasks
from engine.training.wheels import Wheel

MANIFEST = Path(__file__).with_name("unseen.toml")
BUGS_TRIED = 10
BUGS_KEPT = 6

_WORD = re.compile(r"[A-Za-z_]\w*")


def unseen_functions(wheels: Sequence[Wheel], folder: Path, split: str) -> list[PackageFunction]:
    """The functions of the wheels of a split.

    Raises:
        BadInputError: a wheel is missing or not the pinned one.
    """
    return [
        found for wheel in wheels if wheel.split == split for found in functions_of(wheel, folder)
    ]


def without_known(
    functions: Iterable[PackageFunction], corpus: Iterable[Function]
) -> list[PackageFunction]:
    """The functions whose normalised tree is not that of one that is trained on."""
    wanted = list(functions)
    shapes = {_shape(found.function) for found in wanted}
    trained = (f for f in corpus if f.split == "train")
    known = {_digest(f) for f in trained if _shape(f) in shapes}
    return [found for found in wanted if _digest(found.function) not in known]


def _shape(function: Function) -> str:
    """A body's text without its words: cheap, and equal where the trees are."""
    return _WORD.sub("v", function.plain.partition("\n")[2])


def _digest(function: Function) -> str:
    try:
        node = ast.parse(function.plain).body[0]
    except SyntaxError:
        return function.plain
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return tree_digest(node)
    return function.plain


def unseen_subjects(functions: Sequence[PackageFunction], seed: int, boxes: Boxes) -> list[Subject]:
    """The functions that can be run, with their examples.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    found = with_doctests(functions, seed, boxes)
    done = {(subject.module, subject.function.name) for subject in found}
    rest = [f for f in functions if (f.module, f.function.name) not in done]
    callables = [subject for f in rest if (subject := of_module(f, seed)) is not None]
    return found + with_guesses(callables, boxes)


def corpus_subjects(functions: Sequence[Function], seed: int, boxes: Boxes) -> list[Subject]:
    """The functions of the corpus that run by themselves, with guessed examples.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    found = [subject for f in functions if (subject := self_contained(f, seed)) is not None]
    return with_guesses(found, boxes)


def spread(
    subjects: Sequence[Subject], count: int, seed: int, boxes: Boxes, wanted: Wanted | None = None
) -> list[ExecutableTask]:
    """So many tasks drawn by the seed, over as many functions as there are.

    Raises:
        BadInputError: the subjects do not give so many.
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    asked = wanted or Wanted(tried=BUGS_TRIED, kept=BUGS_KEPT)
    by_function: dict[tuple[str, str], list[ExecutableTask]] = {}
    for task in buggy_tasks(subjects, boxes, asked):
        by_function.setdefault((task.module, task.fixed), []).append(task)
    rng = Random(seed)
    turns = [
        (turn, rng.random(), number, task)
        for number, tasks in enumerate(by_function.values())
        for turn, task in enumerate(tasks)
    ]
    if len(turns) < count:
        msg = f"these functions give {len(turns)} tasks, not {count}; ask for fewer"
        raise BadInputError(msg)
    return [task for *_, task in sorted(turns, key=lambda turn: turn[:3])[:count]]
