"""The report that all benchmarks share: shares solved, with intervals, by group and subset."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.training.search import Check, Search, SearchTask, TaskResult, run_search

Z = 1.959964
"""Standard deviations on either side of a 95 % interval."""

WITHIN = (1, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Share:
    """`solved` of `total`, with Wilson's 95 % interval."""

    solved: int
    total: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Mean:
    """A rate that is no share, such as the mean of groups, with its 95 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one run.

    `within` are the shares that fewer candidates solve; `by_group` and `by_subset` are apart, and
    `weighted` counts every group alike, whatever its size.
    """

    benchmark: str
    proposer: str
    model: str
    seed: int
    iterations: int
    candidates_per_iteration: int
    temperature: float
    isolation: str
    solved: Share
    within: dict[str, Share]
    weighted: Mean
    by_group: dict[str, Share]
    by_subset: dict[str, Share]
    visible_passed: int
    without_visible_test: int
    candidates: int
    completions: int
    seconds_per_function: float
    tasks: tuple[TaskResult, ...]


def run_benchmark(
    name: str,
    bench: tuple[Sequence[SearchTask], Check],
    search: Search,
    *,
    isolation: str,
    on_progress: Callable[[TaskResult], None],
    known: Mapping[str, TaskResult] | None = None,
) -> Report:
    """Search every task of a benchmark that is not known from an earlier run, and count.

    Raises:
        ModelUnavailableError: the model cannot be loaded.
        SandboxUnavailableError: no box can be opened.
    """
    results = run_search(*bench, search, on_progress, known or {})
    groups = _apart(results, lambda result: result.group)
    most = search.iterations * search.candidates
    return Report(
        benchmark=name,
        proposer=search.name,
        model=search.model,
        seed=search.seed,
        iterations=search.iterations,
        candidates_per_iteration=search.candidates,
        temperature=search.temperature,
        isolation=isolation,
        solved=share(results),
        within={str(k): share(results, within=k) for k in WITHIN if k <= most},
        weighted=weighted(list(groups.values())),
        by_group=groups,
        by_subset=_apart([r for r in results if r.subset], lambda result: result.subset),
        visible_passed=sum(r.visible_passed is True for r in results),
        without_visible_test=sum(r.visible_passed is None for r in results),
        candidates=sum(r.candidates for r in results),
        completions=sum(r.completions for r in results),
        seconds_per_function=sum(r.seconds for r in results) / max(1, len(results)),
        tasks=tuple(results),
    )


def _apart(results: Sequence[TaskResult], key: Callable[[TaskResult], str]) -> dict[str, Share]:
    """The shares of each group by itself."""
    names = sorted({key(result) for result in results})
    return {name: share([r for r in results if key(r) == name]) for name in names}


def share(results: Sequence[TaskResult], *, within: int | None = None) -> Share:
    """The share solved, by the first `within` candidates only."""
    solved = sum(r.solved and (within is None or r.candidates <= within) for r in results)
    return wilson(solved, len(results))


def wilson(solved: int, total: int) -> Share:
    """A share with Wilson's interval, which holds near 0 and 1 and for small counts too."""
    if not total:
        return Share(0, 0, 0.0, 0.0, 1.0)
    rate = solved / total
    scale = 1 + Z * Z / total
    middle = (rate + Z * Z / (2 * total)) / scale
    reach = Z * math.sqrt(rate * (1 - rate) / total + Z * Z / (4 * total * total)) / scale
    return Share(solved, total, rate, max(0.0, middle - reach), min(1.0, middle + reach))


def weighted(groups: Sequence[Share]) -> Mean:
    """The mean of the groups' rates; its interval joins the reaches of theirs."""
    if not groups:
        return Mean(0.0, 0.0, 1.0)
    rate = sum(group.rate for group in groups) / len(groups)
    below = math.hypot(*(group.rate - group.low for group in groups)) / len(groups)
    above = math.hypot(*(group.high - group.rate for group in groups)) / len(groups)
    return Mean(rate, max(0.0, rate - below), min(1.0, rate + above))
