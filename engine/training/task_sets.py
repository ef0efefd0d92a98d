"""The named sets of executable tasks.

`train` and `doctests` are of functions that are trained on, by guessed calls and by their authors'
examples; `dev`, `test` and `unseen-kinds` are of functions that are not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.training.bugs import inject_held_out
from engine.training.corpus import Function
from engine.training.differential import draw_tasks
from engine.training.doctests import with_doctests
from engine.training.executable import ExecutableTask
from engine.training.outcomes import Boxes
from engine.training.packages import functions_of, image_of
from engine.training.subjects import Subject, Wanted
from engine.training.unseen import (
    MANIFEST,
    corpus_subjects,
    spread,
    unseen_functions,
    unseen_subjects,
    without_known,
)
from engine.training.wheels import Wheel, fetch_wheels, load_manifest
from sandbox import images
from sandbox.contract import Sandbox

DOCTESTED = frozenset({"mpmath", "networkx", "sympy"})
"""Wheels of the corpus that import quickly and document their functions by examples."""

HELD_OUT = Wanted(inject_held_out, tried=24, kept=6)


@dataclass(frozen=True, slots=True)
class Source:
    """What task sets are made from: the corpus, the folder of the wheels, and where to run."""

    corpus: Sequence[Function]
    wheels: Path
    sandbox: Sandbox


def task_set(
    name: str, count: int, seed: int, source: Source, say: Callable[[int], None]
) -> list[ExecutableTask]:
    """The first `count` tasks of a set; `say` hears now and then how many there are.

    Raises:
        BadInputError: a wheel cannot be had, or there are not so many tasks.
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    if name == "train":
        boxes = Boxes(source.sandbox, images.bare(source.sandbox))
        trained = [function for function in source.corpus if function.split == "train"]
        return draw_tasks(trained, count, seed, boxes, say)
    if name == "doctests":
        found = spread(_documented(seed, source), count, seed, _boxes(_trained_wheels(), source))
        say(len(found))
        return found
    pinned = load_manifest(MANIFEST)
    boxes = _boxes(pinned, source)
    split = "dev" if name == "dev" else "test"
    functions = unseen_functions(pinned, source.wheels, split)
    subjects = unseen_subjects(without_known(functions, source.corpus), seed, boxes)
    subjects += corpus_subjects([f for f in source.corpus if f.split == split], seed, boxes)
    found = spread(subjects, count, seed, boxes, HELD_OUT if name == "unseen-kinds" else None)
    say(len(found))
    return found


def _trained_wheels() -> list[Wheel]:
    """The wheels whose doctests are trained on."""
    pinned = load_manifest(MANIFEST.with_name("wheels.toml"))
    return [wheel for wheel in pinned if wheel.name in DOCTESTED]


def _boxes(pinned: Sequence[Wheel], source: Source) -> Boxes:
    """Boxes in which these wheels can be imported."""
    fetch_wheels(pinned, source.wheels)
    return Boxes(source.sandbox, image_of(pinned, source.wheels, source.sandbox))


def _documented(seed: int, source: Source) -> list[Subject]:
    """The corpus's training functions whose doctests hold."""
    pinned = _trained_wheels()
    boxes = _boxes(pinned, source)
    kept = {f.plain for f in source.corpus if f.split == "train"}
    found = [f for wheel in pinned for f in functions_of(wheel, source.wheels)]
    return with_doctests([f for f in found if f.function.plain in kept], seed, boxes)
