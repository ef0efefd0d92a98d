"""The search that all benchmarks share: visible checks choose a candidate, hidden ones judge it.

The final candidate is the first that passes the visible check; a task without one takes its first
candidate. A search ends with the first candidate that passes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

from engine.errors import BadInputError
from engine.evolve import TEMPERATURE
from engine.line_format import MAX_LINES, split_lines
from engine.models.base import Model
from engine.prompts import shares
from engine.training.proposers import (
    ModelProposer,
    Proposer,
    RandomProposer,
    Tried,
    draw,
    tree_of,
)

PROPOSERS = ("evolve", "sample", "random")
CONDITIONING_EXAMPLES = 5
PARALLEL_TASKS = 2


@dataclass(frozen=True, slots=True)
class Region:
    """A function, or a window of one, that may be edited, and what stands around it."""

    before: str
    text: str
    after: str

    def program(self, text: str) -> str:
        """The whole program with another text in the region's place."""
        return f"{self.before}{text}{self.after}"


class Check(Protocol):
    """Says which programs are right."""

    def __call__(self, programs: Sequence[str], *, hidden: bool) -> list[bool]:
        """One verdict a program, by the visible cases or by all there are."""
        ...


@dataclass(frozen=True, slots=True)
class SearchTask:
    """A program to repair. `regions` come most suspicious first; `group` and `subset` are reported.

    `number` is the task's place in its benchmark and part of its seed: a sample gets what the whole
    benchmark gets.
    `visible` says whether there is a visible check; `issue` is what the model is told.
    """

    number: int
    task_id: str
    group: str
    regions: tuple[Region, ...]
    check: Check
    visible: bool = True
    issue: str = ""
    subset: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of one task. `visible_passed` is None where there is no visible check.

    `completions` counts everything sampled, `candidates` the distinct ones that applied and parsed,
    up to the one that passed.
    """

    task_id: str
    group: str
    subset: str
    solved: bool
    visible_passed: bool | None
    candidates: int
    completions: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Search:
    """How every task is searched: `iterations` times `candidates`, by one proposer and seed."""

    name: str
    proposer: Proposer
    model: str
    temperature: float = TEMPERATURE
    seed: int = 0
    iterations: int = 4
    candidates: int = 8
    clock: Callable[[], float] = time.monotonic


def proposer_of(name: str, model: Model | None, temperature: float = TEMPERATURE) -> Proposer:
    """The proposer of a name: `evolve` is shown what failed, `sample` never, `random` is blind.

    Raises:
        BadInputError: there is none of that name, or it needs a model.
    """
    if name not in PROPOSERS:
        msg = f"no proposer {name!r}; choose one of {', '.join(PROPOSERS)}"
        raise BadInputError(msg)
    if name == "random":
        return RandomProposer()
    if model is None:
        msg = f"the proposer {name!r} needs a model"
        raise BadInputError(msg)
    return ModelProposer(model, temperature, evolves=name == "evolve")


Given = TypeVar("Given")


def numbered(items: Sequence[Given], sample: int | None, seed: int) -> list[tuple[int, Given]]:
    """All items with their numbers, or a random sample of them, in order."""
    pairs = list(enumerate(items))
    if sample is None or sample >= len(pairs):
        return pairs
    return sorted(Random(seed).sample(pairs, sample), key=lambda pair: pair[0])


def run_search(
    tasks: Iterable[SearchTask],
    search: Search,
    say: Callable[[TaskResult], None],
    known: Mapping[str, TaskResult],
) -> list[TaskResult]:
    """The results of all tasks, in their order; `say` hears of each that was not `known`.

    Raises:
        ModelUnavailableError: the model cannot be loaded.
        SandboxUnavailableError: no box can be opened.
    """
    results: list[TaskResult] = []

    def work(task: SearchTask) -> TaskResult:
        return known.get(task.task_id) or _solve(task, search)

    with ThreadPoolExecutor(PARALLEL_TASKS) as pool:
        for result in pool.map(work, tasks):
            if result.task_id not in known:
                say(result)
            results.append(result)
    return results


def _solve(task: SearchTask, search: Search) -> TaskResult:
    """Search one task and take the hidden check's verdict on the final candidate."""
    began = search.clock()
    final: str | None = None
    candidates = completions = 0
    for found, sampled in _iterations(task, search):
        completions += sampled
        passed = _passing(task, found)
        candidates += len(found) if passed is None else passed + 1
        if passed is not None:
            final = found[passed]
            break
    return TaskResult(
        task_id=task.task_id,
        group=task.group,
        subset=task.subset,
        solved=final is not None and task.check([final], hidden=True)[0],
        visible_passed=final is not None if task.visible else None,
        candidates=candidates,
        completions=completions,
        seconds=round(search.clock() - began, 3),
    )


def _iterations(task: SearchTask, search: Search) -> Iterator[tuple[list[str], int]]:
    """Programs and completions of one iteration after the other, conditioned on the last one's.

    The first of several regions gets the most candidates, as in the engine.
    """
    regions = [r for r in task.regions if len(split_lines(r.text)) <= MAX_LINES]
    tried = [Tried({tree_of(r.text) or ""}, issue=task.issue) for r in regions]
    split = shares(len(regions), search.candidates)
    for iteration in range(search.iterations if regions else 0):
        found: list[str] = []
        completions = 0
        for place, (region, seen, wanted) in enumerate(zip(regions, tried, split, strict=True)):
            seed = ((search.seed + 7919 * place) * 1000 + task.number) * 100 + iteration
            drawn = draw(search.proposer, region.text, seen, wanted=wanted, seed=seed)
            completions += drawn.completions
            found += [region.program(p.source) for p in drawn.proposals]
            failed = tuple(p.text for p in drawn.proposals[:CONDITIONING_EXAMPLES])
            seen.failed = failed or seen.failed
        yield found, completions


def _passing(task: SearchTask, found: Sequence[str]) -> int | None:
    """The number of the first that passes the visible check; the first without a check."""
    if not task.visible:
        return 0 if found else None
    verdicts = task.check(found, hidden=False)
    return verdicts.index(True) if True in verdicts else None
