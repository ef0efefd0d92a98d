"""The search that all benchmarks share: visible checks choose a candidate, hidden ones judge it.

The final candidate is the first that passes the visible check; a task without one takes its first
candidate. A search ends with the first candidate that passes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol, TypeVar

from engine.errors import BadInputError
from engine.evolve import TEMPERATURE
from engine.line_format import MAX_LINES, split_lines
from engine.models.base import Model
from engine.prompts import shares
from engine.reach import whole_statements
from engine.training.proposers import (
    ModelProposer,
    Proposer,
    RandomProposer,
    Tried,
    draw,
    tree_of,
)

PROPOSERS = ("evolve", "sample", "rewrite", "write", "random")
CONDITIONING_EXAMPLES = 5
PARALLEL_TASKS = 2


@dataclass(frozen=True, slots=True)
class Region:
    """A function, or a window of one, that may be edited, and what stands around it.

    `reached` holds the lines of `text`, 0-based, of statements that failing visible checks ran;
    None where that is unknown.
    """

    before: str
    text: str
    after: str
    reached: frozenset[int] | None = None

    def knowing(self, ran: frozenset[int] | None) -> "Region":
        """The same region with the lines (1-based) of its whole program that ran."""
        whole = None if ran is None else whole_statements(self.program(self.text), ran)
        if whole is None:
            return self
        start = self.before.count("\n") + 1
        own = range(len(split_lines(self.text)))
        return replace(self, reached=frozenset(k for k in own if start + k in whole))

    def program(self, text: str) -> str:
        """The whole program with another text in the region's place."""
        return f"{self.before}{text}{self.after}"


class Check(Protocol):
    """Says which programs are right."""

    def __call__(
        self, asked: Sequence[tuple[str, Sequence[str]]], *, hidden: bool
    ) -> list[list[bool]]:
        """One verdict a program of every task, which goes by its id.

        By the visible cases, or by all there are.
        """
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
    visible: bool = True
    issue: str = ""
    subset: str = ""

    def untraced(self) -> "SearchTask":
        """The same task, nothing known of what ran."""
        return replace(self, regions=tuple(replace(r, reached=None) for r in self.regions))


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
    """How every task is searched: `iterations` times `candidates`, by one proposer and seed.

    So many tasks are searched `together`: their candidates share boxes, and each takes an equal
    part of the time.
    """

    name: str
    proposer: Proposer
    model: str
    temperature: float = TEMPERATURE
    seed: int = 0
    iterations: int = 4
    candidates: int = 8
    together: int = 8
    clock: Callable[[], float] = time.monotonic


def proposer_of(name: str, model: Model | None, temperature: float = TEMPERATURE) -> Proposer:
    """The proposer of a name: `evolve` is shown what failed, `random` is blind, no other is shown.

    What `rewrite` and `write` leave out of the mix is the model's own business.

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
    tasks: Sequence[SearchTask],
    check: Check,
    search: Search,
    say: Callable[[TaskResult], None],
    known: Mapping[str, TaskResult],
) -> list[TaskResult]:
    """The results of all tasks, in their order; `say` hears of each that was not `known`.

    Raises:
        ModelUnavailableError: the model cannot be loaded.
        SandboxUnavailableError: no box can be opened.
    """
    found = dict(known)
    fresh = [task for task in tasks if task.task_id not in known]
    with ThreadPoolExecutor(PARALLEL_TASKS) as pool:
        for first in range(0, len(fresh), search.together):
            for result in _solve(fresh[first : first + search.together], check, search, pool):
                say(result)
                found[result.task_id] = result
    return [found[task.task_id] for task in tasks]


class _State:
    """How far one task's search has come."""

    def __init__(self, task: SearchTask) -> None:
        self.task = task
        self.regions = [r for r in task.regions if len(split_lines(r.text)) <= MAX_LINES]
        self.tried = [
            Tried({tree_of(r.text) or ""}, issue=task.issue, reached=r.reached)
            for r in self.regions
        ]
        self.programs: list[str] = []
        self.final: str | None = None
        self.candidates = 0
        self.completions = 0

    def draw(self, iteration: int, search: Search) -> None:
        """The next programs, conditioned on the last ones.

        The first of several regions gets the most candidates, as in the engine.
        """
        self.programs = []
        split = shares(len(self.regions), search.candidates)
        places = enumerate(zip(self.regions, self.tried, split, strict=True))
        for place, (region, tried, wanted) in places:
            seed = ((search.seed + 7919 * place) * 1000 + self.task.number) * 100 + iteration
            drawn = draw(search.proposer, region.text, tried, wanted=wanted, seed=seed)
            self.completions += drawn.completions
            self.programs += [region.program(p.source) for p in drawn.proposals]
            failed = tuple(p.text for p in drawn.proposals[:CONDITIONING_EXAMPLES])
            tried.failed = failed or tried.failed

    def judge(self, verdicts: Sequence[bool]) -> None:
        """Take the first program that passed."""
        passed = verdicts.index(True) if True in verdicts else None
        self.candidates += len(self.programs) if passed is None else passed + 1
        if passed is not None:
            self.final = self.programs[passed]


def _solve(
    tasks: Sequence[SearchTask], check: Check, search: Search, pool: ThreadPoolExecutor
) -> list[TaskResult]:
    """Search some tasks side by side and take the hidden check's verdict on their finals."""
    began = search.clock()
    states = [_State(task) for task in tasks]
    for iteration in range(search.iterations):
        open_ones = [state for state in states if state.final is None and state.regions]
        list(pool.map(lambda state: state.draw(iteration, search), open_ones))  # noqa: B023 - now
        blind = [state for state in open_ones if not state.task.visible]
        for state in blind:
            state.judge([True] * len(state.programs))
        seeing = [state for state in open_ones if state.task.visible]
        asked = [(state.task.task_id, state.programs) for state in seeing]
        for state, verdicts in zip(seeing, check(asked, hidden=False), strict=True):
            state.judge(verdicts)
    finals = [(s.task.task_id, [s.final]) for s in states if s.final is not None]
    solved = {
        name
        for (name, _), (right,) in zip(finals, check(finals, hidden=True), strict=True)
        if right
    }
    seconds = round((search.clock() - began) / len(states), 3)
    return [_result(state, state.task.task_id in solved, seconds) for state in states]


def _result(state: _State, solved: bool, seconds: float) -> TaskResult:  # noqa: FBT001  # a field of the result
    task = state.task
    return TaskResult(
        task_id=task.task_id,
        group=task.group,
        subset=task.subset,
        solved=solved,
        visible_passed=state.final is not None if task.visible else None,
        candidates=state.candidates,
        completions=state.completions,
        seconds=seconds,
    )
