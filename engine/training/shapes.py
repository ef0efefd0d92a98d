"""Which shapes of the published curves hold here: a claim, their figures, ours, and what follows.

Every claim is that one thing is better than another; it holds where the interval of the difference
lies above zero and is contradicted where it lies below.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.training.analysis import (
    Estimate,
    best_shares,
    bootstrap,
    by_reward_model,
    by_tests,
    samples_needed,
)
from engine.training.arms import Sample, Walk

EVOLVING = 20
"""Samples of four iterations of five: what the goal gives the model that evolves."""
FEW, MANY = 5, 50
"""Between these, the published best-of-N by a reward model is flat."""


class Finding(StrEnum):
    """What our interval says of a claim."""

    HOLDS = "holds"
    UNCLEAR = "not told apart"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class Shape:
    """One published claim; `ours` is the difference that it says is above zero."""

    claim: str
    published: str
    ours: Estimate
    finding: Finding


@dataclass(frozen=True, slots=True)
class Goal:
    """How an arm at `EVOLVING` samples compares with repeated sampling from the classical model.

    `needed` is how many samples of that reach the arm's rate, None where none of its counts does;
    `seconds` are CPU seconds a task, of the arm and of the most repeated sampling.
    """

    arm: str
    rate: Estimate
    repeated: Estimate
    repeated_samples: int
    needed: int | None
    seconds: tuple[float, float]


Of = Callable[[Sequence[Sample]], float]
Walks = Mapping[str, Sequence[Walk]]


def right_at(iteration: int) -> Of:
    """The share of right samples of an iteration; -1 is the last."""
    return lambda samples: _mean_at(samples, iteration, lambda one: float(one.solved))


def score_at(iteration: int) -> Of:
    """The reward model's mean opinion of an iteration; -1 is the last."""
    return lambda samples: _mean_at(samples, iteration, lambda one: one.score)


def _mean_at(samples: Sequence[Sample], iteration: int, told: Callable[[Sample], float]) -> float:
    wanted = samples[-1].iteration if iteration < 0 else iteration
    values = [told(sample) for sample in samples if sample.iteration == wanted]
    return sum(values) / len(values)


CLAIMS: tuple[tuple[str, str, tuple[str, Of], tuple[str, Of]], ...] = (
    ("classical SFT gets worse when it is shown its own patches (B2, first against last)",
     "151 to 139 of 500 solved", ("B2", right_at(0)), ("B2", right_at(-1))),
    ("mutation SFT scores higher in the last iteration than in the first, E at random (M1)",
     "mean score 0.236 to 0.252", ("M1", score_at(-1)), ("M1", score_at(0))),
    ("mutation SFT solves more in the last iteration where the reward model selects E (M2)",
     "154 to 165 of 500 solved", ("M2", right_at(-1)), ("M2", right_at(0))),
    ("selecting E by the reward model scores higher than E at random (M2 against M1, last)",
     "mean score 0.345 against 0.252", ("M2", score_at(-1)), ("M1", score_at(-1))),
    ("RL lifts the first sample (R3 against M1, first)",
     "mean score 0.465 against 0.221", ("R3", right_at(0)), ("M1", right_at(0))),
    ("RL with E improves its own patches (R3, last against first)",
     "177 to 200 of 500 solved", ("R3", right_at(-1)), ("R3", right_at(0))),
    ("RL with E is ahead of RL without E in the last iteration (R3 against R1)",
     "200 against 175 of 500 solved", ("R3", right_at(-1)), ("R1", right_at(-1))),
)  # fmt: skip
"""(claim, their figures, what is better, than what)."""


def shapes(walks: Walks) -> Iterator[Shape]:
    """The claims whose arms were walked."""
    for claim, published, (better, at), (worse, than) in CLAIMS:
        if better in walks and worse in walks:
            ours = difference(walks[better], at, walks[worse], than)
            yield Shape(claim, published, ours, finding(ours))
    if "B1" in walks and len(walks["B1"][0].samples) >= MANY:
        yield _flat(walks["B1"])


def _flat(repeated: Sequence[Walk]) -> Shape:
    """Best-of-N by tests gains more from N than best-of-N by the reward model."""
    few, many = (
        [best_shares(repeated, count, pick) for pick in (by_tests, by_reward_model)]
        for count in (FEW, MANY)
    )
    tests, scores = (
        [b - a for a, b in zip(*pair, strict=True)] for pair in zip(few, many, strict=True)
    )
    ours = bootstrap(repeated, [a - b for a, b in zip(tests, scores, strict=True)])
    claim = f"from {FEW} to {MANY} samples tests as selector gain more than the reward model (B1)"
    return Shape(claim, "188 to 201 against 194 to 193 of 500", ours, finding(ours))


def difference(better: Sequence[Walk], at: Of, worse: Sequence[Walk], than: Of) -> Estimate:
    """Mean difference over tasks that both arms walked; an arm without seeds stands for each."""
    gaps, kept = [], []
    other = {(walk.instance_id, walk.seed): walk for walk in worse}
    fallback = {walk.instance_id: walk for walk in worse}
    seeds = {walk.seed for walk in worse}
    for walk in better:
        pair = (walk.instance_id, walk.seed)
        partner = other.get(pair) if walk.seed in seeds else fallback.get(walk.instance_id)
        if partner is not None:
            gaps.append(at(walk.samples) - than(partner.samples))
            kept.append(walk)
    return bootstrap(kept, gaps)


def finding(ours: Estimate) -> Finding:
    """What an interval says of a difference that is claimed to be above zero."""
    if ours.low > 0:
        return Finding.HOLDS
    return Finding.CONTRADICTED if ours.high < 0 else Finding.UNCLEAR


def goals(pooled: Mapping[str, Sequence[tuple[int, Estimate]]], walks: Walks) -> Iterator[Goal]:
    """Every evolving arm at `EVOLVING` samples beside repeated sampling."""
    if "B1" not in pooled:
        return
    repeated = pooled["B1"]
    most, reached = repeated[-1]
    curve = [(count, told.mean) for count, told in repeated]
    for name, told in pooled.items():
        rate = dict(told).get(EVOLVING)
        if rate is None or name in {"B0", "B1"}:
            continue
        seconds = (_seconds(walks[name], EVOLVING), _seconds(walks["B1"], most))
        needed = samples_needed(curve, rate.mean)
        yield Goal(name, rate, reached, most, needed, seconds)


def _seconds(walks: Sequence[Walk], count: int) -> float:
    """CPU seconds that so many samples of a task took to draw."""
    each = [walk.cpu_s * count / len(walk.samples) for walk in walks]
    return round(sum(each) / len(each), 3)
