"""The named sets of executable tasks: train, dev, test, and test with kinds of bugs held out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.training.bugs import inject_held_out
from engine.training.corpus import Function
from engine.training.differential import draw_tasks
from engine.training.executable import ExecutableTask
from engine.training.outcomes import Boxes
from engine.training.packages import image_of
from engine.training.subjects import Wanted
from engine.training.unseen import (
    MANIFEST,
    corpus_subjects,
    spread,
    unseen_functions,
    unseen_subjects,
    without_known,
)
from engine.training.wheels import fetch_wheels, load_manifest
from sandbox import images
from sandbox.contract import Sandbox

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
    pinned = load_manifest(MANIFEST)
    fetch_wheels(pinned, source.wheels)
    boxes = Boxes(source.sandbox, image_of(pinned, source.wheels, source.sandbox))
    split = "dev" if name == "dev" else "test"
    functions = unseen_functions(pinned, source.wheels, split)
    subjects = unseen_subjects(without_known(functions, source.corpus), seed, boxes)
    subjects += corpus_subjects([f for f in source.corpus if f.split == split], seed, boxes)
    found = spread(subjects, count, seed, boxes, HELD_OUT if name == "unseen-kinds" else None)
    say(len(found))
    return found
