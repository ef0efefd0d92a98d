"""The benchmark of held-out mutants: executable tasks of packages that nothing is trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import BadInputError
from engine.training.executable import (
    ExecutableTask,
    calls_of,
    is_right,
    read_tasks,
    verdicts,
)
from engine.training.issues import title_of
from engine.training.outcomes import Boxes, Calls, lines_run, run_calls
from engine.training.packages import image_of
from engine.training.search import Check, Region, SearchTask
from engine.training.unseen import MANIFEST
from engine.training.wheels import fetch_wheels, load_manifest
from sandbox.contract import Sandbox

SEEN_KINDS = "kinds of bugs that are trained on"
HELD_OUT_KINDS = "kinds of bugs that are held out"


def read_mutants(files: Sequence[Path]) -> list[ExecutableTask]:
    """The tasks of some files, of packages that are held out.

    Raises:
        BadInputError: a file holds no tasks, or tasks of the training split.
    """
    tasks = [task for file in files for task in read_tasks(file)]
    trained = sum(task.split == "train" for task in tasks)
    if not tasks or trained:
        msg = (
            f"{trained} of {len(tasks)} tasks are training tasks; make the benchmark's with "
            "`evoscale train executable --split test`"
        )
        raise BadInputError(msg)
    return tasks


def boxes_for_packages(sandbox: Sandbox, wheels: Path) -> Boxes:
    """Boxes in which the unseen packages can be imported; wheels that are missing are downloaded.

    Raises:
        BadInputError: a wheel cannot be had.
        SandboxUnavailableError: the back end does not answer.
    """
    pinned = load_manifest(MANIFEST)
    fetch_wheels(pinned, wheels)
    return Boxes(sandbox, image_of(pinned, wheels, sandbox))


def search_tasks(
    tasks: Sequence[tuple[int, ExecutableTask]],
    boxes: Boxes,
    held_out: frozenset[str],
    *,
    told: bool = False,
) -> tuple[list[SearchTask], Check]:
    """The tasks as the search takes them, by package, and their examples.

    Bugs of the kinds `held_out` are counted apart. With `told` the model is shown the issue's
    title. Every task is run twice as it is: what its failing visible examples ran is known then.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    ran = _ran_where_failing([task for _, task in tasks], boxes)
    found = [
        SearchTask(
            number=number,
            task_id=task.instance_id,
            group=task.package,
            regions=(Region("", task.source, "").knowing(lines),),
            issue=title_of(task.problem_statement) if told else "",
            subset=HELD_OUT_KINDS if task.kind in held_out else SEEN_KINDS,
        )
        for (number, task), lines in zip(tasks, ran, strict=True)
    ]
    return found, _Examples({task.instance_id: task for _, task in tasks}, boxes)


def _ran_where_failing(
    tasks: Sequence[ExecutableTask], boxes: Boxes
) -> list[frozenset[int] | None]:
    """The lines that each task's failing visible examples ran; None where that is unknown.

    A doctest's examples stand on each other's shoulders: those that pass run as well.
    """
    answers = run_calls([calls_of(task, [task.source]) for task in tasks], boxes)
    orders: list[Calls] = []
    for task, told in zip(tasks, answers, strict=True):
        heard = (*(told[0] if told else ()), *([""] * len(task.visible)))
        failing = tuple(
            example.call
            for example, said in zip(task.visible, heard, strict=False)
            if task.prompted
            or (example.outcome is not None and not is_right(example.outcome, said))
        )
        orders.append(replace(calls_of(task, [task.source]), examples=failing))
    return lines_run(orders, boxes)


@dataclass(frozen=True, slots=True)
class _Examples:
    """The tasks' examples; the verdict takes all of them."""

    tasks: Mapping[str, ExecutableTask]
    boxes: Boxes

    def __call__(
        self, asked: Sequence[tuple[str, Sequence[str]]], *, hidden: bool
    ) -> list[list[bool]]:
        orders = [calls_of(self.tasks[name], programs) for name, programs in asked]
        found = zip(asked, run_calls(orders, self.boxes), strict=True)
        return [
            [self._passes(self.tasks[name], heard, hidden=hidden) for heard in answers]
            for (name, _), answers in found
        ]

    @staticmethod
    def _passes(task: ExecutableTask, heard: Sequence[str], *, hidden: bool) -> bool:
        right = verdicts(task, heard)
        return all(right if hidden else right[: task.shown])
