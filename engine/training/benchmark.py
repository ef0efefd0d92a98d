"""`evoscale bench humanevalfix`: repairs HumanEvalFix's functions and reports the figure.

The visible test chooses the final candidate, the first that passes it; the hidden test is the
verdict. A task without a visible test takes its first candidate. A search ends with the first
candidate that passes.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInputError
from engine.evolve import TEMPERATURE
from engine.line_format import MAX_LINES, split_lines
from engine.models.base import Model
from engine.training.humanevalfix import FixTask, read_tasks
from engine.training.proposers import (
    ModelProposer,
    Proposal,
    Proposer,
    RandomProposer,
    Tried,
    draw,
    tree_of,
)
from engine.training.verdicts import run_programs
from sandbox import images
from sandbox.contract import Sandbox

PROPOSERS = ("evolve", "sample", "random")

CONDITIONING_EXAMPLES = 5
PARALLEL_TASKS = 2


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of one task. `visible_passed` is None where there is no visible test.

    `completions` counts everything sampled, `candidates` the distinct ones that applied and parsed.
    """

    task_id: str
    bug_type: str
    solved: bool
    visible_passed: bool | None
    candidates: int
    completions: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HumanEvalFixReport:
    """The figures of one run; `rate` is `solved` of `total`."""

    proposer: str
    model: str
    seed: int
    iterations: int
    candidates_per_iteration: int
    temperature: float
    isolation: str
    total: int
    solved: int
    rate: float
    visible_passed: int
    without_visible_test: int
    candidates: int
    completions: int
    seconds_per_function: float
    tasks: tuple[TaskResult, ...]


@dataclass(frozen=True, slots=True)
class _Search:
    """What every task's search shares."""

    proposer: Proposer
    sandbox: Sandbox
    image: str
    seed: int
    iterations: int
    candidates: int
    clock: Callable[[], float]


def run_humanevalfix(  # noqa: PLR0913 - the command's own options, one argument each
    data: Path,
    *,
    model: Model | None,
    sandbox: Sandbox,
    sample: int | None = None,
    seed: int = 0,
    iterations: int = 4,
    candidates: int = 8,
    proposer: str = "evolve",
    on_progress: Callable[[TaskResult], None],
    temperature: float = TEMPERATURE,
    clock: Callable[[], float] = time.monotonic,
) -> HumanEvalFixReport:
    """Search every task with `iterations` times `candidates` distinct candidates.

    `proposer` is `evolve` (conditioned on candidates that failed), `sample` (never conditioned) or
    `random` (blind rewrites, no model).

    Raises:
        BadInputError: the data file or the proposer's name is no good.
        ModelUnavailableError: the model cannot be loaded.
        SandboxUnavailableError: no box can be opened.
    """
    tasks = read_tasks(data, sample=sample, seed=seed)
    search = _Search(
        _proposer(proposer, model, temperature),
        sandbox,
        images.bare(sandbox),
        seed,
        iterations,
        candidates,
        clock,
    )
    results = []
    with ThreadPoolExecutor(PARALLEL_TASKS) as pool:
        for result in pool.map(lambda item: _solve(item[1], item[0], search), enumerate(tasks)):
            on_progress(result)
            results.append(result)
    return HumanEvalFixReport(
        proposer=proposer,
        model="none" if proposer == "random" or model is None else model.name,
        seed=seed,
        iterations=iterations,
        candidates_per_iteration=candidates,
        temperature=temperature,
        isolation=sandbox.isolation,
        total=len(results),
        solved=sum(r.solved for r in results),
        rate=sum(r.solved for r in results) / len(results),
        visible_passed=sum(r.visible_passed is True for r in results),
        without_visible_test=sum(r.visible_passed is None for r in results),
        candidates=sum(r.candidates for r in results),
        completions=sum(r.completions for r in results),
        seconds_per_function=sum(r.seconds for r in results) / len(results),
        tasks=tuple(results),
    )


def _proposer(name: str, model: Model | None, temperature: float) -> Proposer:
    """The proposer of a name.

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


def _solve(task: FixTask, number: int, search: _Search) -> TaskResult:
    """Search one task and take the hidden test's verdict on the final candidate."""
    began = search.clock()
    final: Proposal | None = None
    candidates = completions = 0
    for proposals, sampled in _iterations(task, number, search):
        completions += sampled
        passed = _passing(task, proposals, search)
        candidates += len(proposals) if passed is None else passed + 1
        if passed is not None:
            final = proposals[passed]
            break
    solved = final is not None and _passes(task, [final], task.hidden_test, search)[0]
    visible = None if not task.visible_test else final is not None
    return TaskResult(
        task.task_id,
        task.bug_type,
        solved,
        visible,
        candidates,
        completions,
        round(search.clock() - began, 3),
    )


def _iterations(
    task: FixTask, number: int, search: _Search
) -> Iterator[tuple[tuple[Proposal, ...], int]]:
    """Proposals and completions of one iteration after the other, conditioned on the last one's."""
    if len(split_lines(task.function)) > MAX_LINES:
        return
    tried = Tried({tree_of(task.function) or ""})
    for iteration in range(search.iterations):
        seed = (search.seed * 1000 + number) * 100 + iteration
        drawn = draw(
            search.proposer,
            task.function,
            tried,
            wanted=search.candidates,
            seed=seed,
        )
        yield drawn.proposals, drawn.completions
        failed = tuple(p.text for p in drawn.proposals[:CONDITIONING_EXAMPLES])
        tried.failed = failed or tried.failed


def _passing(task: FixTask, proposals: tuple[Proposal, ...], search: _Search) -> int | None:
    """The number of the first proposal that passes the visible test; the first without a test."""
    if not task.visible_test:
        return 0 if proposals else None
    verdicts = _passes(task, proposals, task.visible_test, search)
    return verdicts.index(True) if True in verdicts else None


def _passes(
    task: FixTask, proposals: "tuple[Proposal, ...] | list[Proposal]", test: str, search: _Search
) -> list[bool]:
    """Which proposals' modules run a test to its end."""
    programs = [f"{task.module(p.source)}\n{test}\n" for p in proposals]
    return run_programs(programs, sandbox=search.sandbox, image=search.image)
