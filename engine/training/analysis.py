"""What the arms' samples say: solve rates, intervals, paired tests. Pure functions of walks."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from engine.training.arms import Sample, Walk

ORDERS = 20
"""How many random orders of a walk's samples an estimate of best-of-N averages over."""
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over tasks with its 95 % interval, from a bootstrap over functions and seeds."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class IterationFigures:
    """One arm at one iteration: means over all samples of all tasks and seeds."""

    arm: str
    iteration: int
    samples_spent: int
    solved: Estimate
    reward: float
    score: float
    copied: float
    unusable: float
    distinct: float
    cpu_s: float


def iterations(walks: Sequence[Walk]) -> list[IterationFigures]:
    """The figures of one arm, an entry an iteration."""
    found = []
    counts = Counter(sample.iteration for sample in walks[0].samples)
    for iteration in sorted(counts):
        each = [[s for s in walk.samples if s.iteration == iteration] for walk in walks]
        flat = [sample for samples in each for sample in samples]
        shares = [_mean(s.solved for s in samples) for samples in each]
        found.append(
            IterationFigures(
                arm=walks[0].arm,
                iteration=iteration,
                samples_spent=sum(counts[k] for k in counts if k <= iteration),
                solved=bootstrap(walks, shares),
                reward=_mean(s.reward for s in flat),
                score=_mean(s.score for s in flat),
                copied=_mean(s.copied for s in flat),
                unusable=_mean(not s.usable for s in flat),
                distinct=_mean(len({s.key for s in samples if s.usable}) for samples in each),
                cpu_s=_mean(walk.cpu_s for walk in walks) * (iteration + 1) / len(counts),
            )
        )
    return found


def _mean(values: Iterable[float]) -> float:
    """The mean to four places; 0 of nothing."""
    told = list(values)
    return round(float(np.mean(told)), 4) if told else 0.0


def bootstrap(walks: Sequence[Walk], values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of a value a walk, its interval by drawing functions and seeds with replacement.

    Bugs of one function, and runs of one seed, are no independent cases (`training.md`, 5.5).
    """
    functions = sorted({walk.function for walk in walks})
    seeds = sorted({walk.seed for walk in walks})
    sums = np.zeros((len(functions), len(seeds)))
    sizes = np.zeros_like(sums)
    for walk, value in zip(walks, values, strict=True):
        at = functions.index(walk.function), seeds.index(walk.seed)
        sums[at] += value
        sizes[at] += 1
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(functions), len(functions))
        columns = rng.integers(0, len(seeds), len(seeds))
        chosen = np.ix_(rows, columns)
        means.append(sums[chosen].sum() / max(1.0, sizes[chosen].sum()))
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(round(float(np.mean(values)), 4), round(float(low), 4), round(float(high), 4))


Pick = Callable[[Sequence[Sample]], bool]
"""Whether the sample that a selector takes from these is right."""


def oracle(samples: Sequence[Sample]) -> bool:
    """Any right one counts: pass@N."""
    return any(sample.solved for sample in samples)


def by_tests(samples: Sequence[Sample]) -> bool:
    """The first that passes the visible examples."""
    return next((sample.solved for sample in samples if sample.visible), False)


def by_reward_model(samples: Sequence[Sample]) -> bool:
    """The usable one with the highest score."""
    usable = [sample for sample in samples if sample.usable]
    return max(usable, key=lambda sample: sample.score).solved if usable else False


def by_majority(samples: Sequence[Sample]) -> bool:
    """The program that was written most often, the earliest of equals."""
    usable = [sample for sample in samples if sample.usable]
    if not usable:
        return False
    (key, _), *_ = Counter(sample.key for sample in usable).most_common(1)
    return next(sample.solved for sample in usable if sample.key == key)


SELECTORS: dict[str, Pick] = {
    "oracle": oracle,
    "tests": by_tests,
    "reward model": by_reward_model,
    "majority": by_majority,
}


def best_of(walks: Sequence[Walk], count: int, pick: Pick, seed: int = 0) -> Estimate:
    """Best-of-`count` of repeated sampling under a selector, averaged over random orders."""
    return bootstrap(walks, best_shares(walks, count, pick, seed))


def best_shares(walks: Sequence[Walk], count: int, pick: Pick, seed: int = 0) -> list[float]:
    """For each walk the share of random orders whose first `count` samples give a right pick."""
    shares = []
    for walk in walks:
        rng = Random(f"{seed}/{walk.seed}/{walk.instance_id}")
        orders = [rng.sample(walk.samples, count) for _ in range(ORDERS)]
        shares.append(sum(pick(order) for order in orders) / len(orders))
    return shares


def mixed(
    ranked: Sequence[Walk], written: Sequence[Walk], count: int, free: int, seed: int = 0
) -> Estimate:
    """Solved by any of `count` candidates: the first ranked ones and `free` drawn from the written.

    Averaged over random draws of what is written; both arms walked the same tasks.
    """
    other = {walk.instance_id: walk.samples for walk in written}
    shares = []
    for walk in ranked:
        rng = Random(f"{seed}/{walk.instance_id}")
        sure = oracle(walk.samples[: count - free])
        draws = [rng.sample(other[walk.instance_id], free) for _ in range(ORDERS)]
        shares.append(sum(sure or oracle(draw) for draw in draws) / ORDERS)
    return bootstrap(ranked, shares)


def samples_needed(curve: Sequence[tuple[int, float]], rate: float) -> int | None:
    """The least number of samples on a curve of (samples, solve rate) that reaches a rate."""
    return next((count for count, reached in curve if reached >= rate), None)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two conditions on the same tasks: the difference of means, its interval, and p after Holm."""

    name: str
    difference: Estimate
    p: float
    p_holm: float


def contrasts(
    pairs: Sequence[tuple[str, Sequence[Walk], Sequence[float], Sequence[float]]],
) -> list[Contrast]:
    """Paired permutation tests over functions, corrected by Holm (all were named beforehand)."""
    raw = []
    for name, walks, first, second in pairs:
        gaps = [a - b for a, b in zip(first, second, strict=True)]
        raw.append((name, bootstrap(walks, gaps), sign_flip_p(walks, gaps)))
    order = sorted(range(len(raw)), key=lambda k: raw[k][2])
    corrected = [1.0] * len(raw)
    least = 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, raw[k][2] * (len(raw) - rank)))
        corrected[k] = round(least, 4)
    return [Contrast(*each, p_holm) for each, p_holm in zip(raw, corrected, strict=True)]


def sign_flip_p(walks: Sequence[Walk], gaps: Sequence[float], seed: int = 0) -> float:
    """Two-sided p that paired gaps, summed by function, are as far from 0 under random signs."""
    sums: dict[str, float] = {}
    for walk, gap in zip(walks, gaps, strict=True):
        sums[walk.function] = sums.get(walk.function, 0.0) + gap
    told = np.array(list(sums.values()))
    rng = np.random.default_rng(seed)
    flipped = (rng.choice([-1.0, 1.0], (10_000, len(told))) * told).sum(1)
    beyond = int((np.abs(flipped) >= abs(told.sum()) - 1e-12).sum())
    return round((beyond + 1) / 10_001, 4)
