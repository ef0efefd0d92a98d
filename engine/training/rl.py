"""Reinforcement learning for self-evolution: one step rewards, chains of the policy's own samples.

The published objective is, over prompts (x, E) with E from the model's own distribution,

    maximise  E[ R(x, y) - R(x, y') - lambda F(y) ],   y sampled given (x, E),  y' drawn from E,

which telescopes over iterations into R(x, y_T) - R(x, y_0) (arXiv 2505.23604; potentials: Ng et al.
1999). The gradient is REINFORCE's with the batch's mean as baseline and its deviation as scale
(REINFORCE++). One step:

    chains    the next tasks, each at some iteration, with E from its last visit (none at first)
    sample    several completions of every prompt, from the policy as it is now
    judge     run them: R - lambda F of every sample
    weigh     subtract R(y'), then the baseline: an advantage for every sample
    update    raise the likelihood of samples by their advantage, once
    go on     every chain moves to its next iteration, its E drawn from these samples
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.reward import potential_difference
from engine.training.chains import Chain, at_random
from engine.training.checkpoints import Checkpoint, write_config
from engine.training.executable import ExecutableTask, read_tasks
from engine.training.judging import Judge, Judged
from engine.training.names import Baseline, Objective
from engine.training.network import export, mixed_precision
from engine.training.outcomes import Boxes
from engine.training.packed import Pack, grouped
from engine.training.policy import Policy, Sampled, load_policy, seeded
from engine.training.reward_model import RewardModel, load_reward_model

if TYPE_CHECKING:
    import torch

TOKENS_TOGETHER = 4096
WARM_UP_STEPS = 5
ORIGIN = (
    "tasks", "base", "seed", "objective", "baseline", "iterations", "prompts", "samples", "chains",
    "temperature", "lr", "reward_model",
)  # fmt: skip
"""What two runs must share for one to go on from the other's checkpoint."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RlConfig:
    """One run of `steps` steps of `prompts` prompts with `samples` samples each.

    A chain is followed for `iterations` iterations, the first without conditioning examples; 1 is
    reinforcement learning without evolution. With `reward_model` R is its score, without it what
    running the sample gives; F is always checked.
    """

    tasks: Path
    base: Path
    out: Path
    seed: int = 0
    objective: Objective = Objective.DIFFERENCE
    baseline: Baseline = Baseline.BATCH
    iterations: int = 4
    steps: int = 100
    prompts: int = 16
    samples: int = 8
    chains: int = 64
    temperature: float = 1.0
    lr: float = 2e-4
    save_every: int = 10
    reward_model: Path | None = None


@dataclass(frozen=True, slots=True)
class RlProgress:
    """One line of the metrics file: means over the step's samples.

    `copied` are samples equal to one that was shown, of those with a conditioned prompt; `distinct`
    is different usable programs a prompt; `evolved` and `unconditioned` the solved shares with and
    without conditioning examples.
    """

    step: int
    reward: float
    solved: float
    unconditioned: float | None
    evolved: float | None
    unusable: float
    copied: float | None
    distinct: float
    dropped: int
    gradient: float


@dataclass(frozen=True, slots=True)
class Visit:
    """A chain's prompt with its samples and what they are worth."""

    chain: Chain
    samples: tuple[Sampled, ...]
    judged: tuple[Judged, ...]


def train_rl(config: RlConfig, boxes: Boxes, on_progress: Callable[[RlProgress], None]) -> Path:
    """Train, or go on from the last checkpoint; the exported model's folder.

    A run that goes on begins its chains anew and draws other samples than one that never stopped.

    Raises:
        BadInputError: tasks or models are missing, the checkpoint is of another run, or the
            gradient is no number.
        SandboxUnavailableError: no box can be opened.
    """
    import torch

    config.out.mkdir(parents=True, exist_ok=True)
    write_config(config, config.out)
    policy = load_policy(config.base)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=config.lr, weight_decay=0.0)
    checkpoint = Checkpoint(config.out, {name: getattr(config, name) for name in ORIGIN})
    first = checkpoint.load(policy.model, optimizer)
    reward_model = load_reward_model(config.reward_model) if config.reward_model else None
    chains = Chains(read_tasks(config.tasks), config, first)
    judge = Pay(Judge(boxes), reward_model)
    for step in range(first, config.steps):
        visits = list(visit(chains.next(), policy, judge, config, step))
        gradient = update(policy, optimizer, visits, config, step)
        dropped = chains.go_on(visits)
        progress = progress_of(step + 1, visits, dropped, gradient)
        with (config.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(progress)) + "\n")
        on_progress(progress)
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            checkpoint.save(policy.model, optimizer, step + 1)
    return export(policy.model, policy.tokenizer, config.out / "model")


class Chains:
    """The chains that are being followed, visited in turn; an ended one makes room for a new task.

    A task whose first samples are all worth the same teaches nothing and is dropped.
    """

    def __init__(self, tasks: Sequence[ExecutableTask], config: RlConfig, first: int) -> None:
        """Begin with the first tasks of the seed's order.

        Raises:
            BadInputError: there are no tasks.
        """
        if not tasks:
            msg = f"{config.tasks} holds no task; make some with `evoscale train executable`"
            raise BadInputError(msg)
        self._config = config
        self._tasks = _endless(tasks, f"{config.seed}/{first}")
        self._choose = at_random(config.seed)
        self._open = [Chain(next(self._tasks)) for _ in range(config.chains)]

    def next(self) -> list[Chain]:
        """The chains whose turn it is."""
        return self._open[: self._config.prompts]

    def go_on(self, visits: Sequence[Visit]) -> int:
        """Move the visited chains on and to the end of the queue; how many were dropped."""
        dropped = 0
        moved = []
        for one in visits:
            same = len({judged.reward for judged in one.judged}) == 1
            after = one.chain.then(one.judged, self._choose)
            ended = after.iteration >= self._config.iterations
            dropped += same
            moved.append(Chain(next(self._tasks)) if same or ended else after)
        self._open = self._open[len(visits) :] + moved
        return dropped


def _endless(tasks: Sequence[ExecutableTask], seed: str) -> Iterator[ExecutableTask]:
    """The tasks again and again, every time in another order."""
    rng = Random(seed)
    while True:
        yield from rng.sample(list(tasks), len(tasks))


class Pay:
    """R - lambda F of samples: from running them, or from a reward model, F checked either way."""

    def __init__(self, judge: Judge, reward_model: RewardModel | None) -> None:
        """Take who decides."""
        self._judge = judge
        self._model = reward_model

    def judge(self, asked: Sequence[tuple[Chain, Sequence[str]]]) -> list[list[Judged]]:
        """The verdicts of every chain's samples; with a reward model its scores are the rewards."""
        found = self._judge.judge([(chain.task, texts) for chain, texts in asked])
        if self._model is None:
            return found
        scores = self._model.score([(Chain(c.task).prompt, texts) for c, texts in asked])
        return [
            [
                one if one.key is None else replace(one, reward=score)
                for one, score in zip(judged, told, strict=True)
            ]
            for judged, told in zip(found, scores, strict=True)
        ]


def visit(
    chains: Sequence[Chain], policy: Policy, pay: Pay, config: RlConfig, step: int
) -> Iterator[Visit]:
    """Sample every chain's prompt from the policy as it is, and judge the samples."""
    generator = seeded(config.seed * 1_000_003 + step)
    prompts = [chain.prompt for chain in chains]
    drawn = policy.sample(prompts, config.samples, config.temperature, generator)
    texts = [[sample.text for sample in samples] for samples in drawn]
    judged = pay.judge(list(zip(chains, texts, strict=True)))
    for chain, samples, verdicts in zip(chains, drawn, judged, strict=True):
        yield Visit(chain, tuple(samples), tuple(verdicts))


def advantages(visits: Sequence[Visit], config: RlConfig, rng: Random) -> list[Floats]:
    """One number a sample: its payment over the baseline, in the batch's deviations.

    y' is drawn for every sample, or once a prompt where the baseline is the prompt's group.
    """
    paid = [_payments(one, config, rng) for one in visits]
    every = np.concatenate(paid)
    scale = float(every.std()) + 1e-6
    if config.baseline is Baseline.BATCH:
        return [(one - every.mean()) / scale for one in paid]
    return [one - one.mean() for one in paid]


def _payments(one: Visit, config: RlConfig, rng: Random) -> Floats:
    """What every sample of a visit is paid."""
    rewards = np.array([judged.reward for judged in one.judged])
    if config.objective is Objective.PLAIN or not one.chain.examples:
        return rewards
    if config.baseline is Baseline.GROUP:
        previous = [rng.choice(one.chain.examples).reward] * len(rewards)
    else:
        previous = [rng.choice(one.chain.examples).reward for _ in rewards]
    return np.array([potential_difference(r, p) for r, p in zip(rewards, previous, strict=True)])


def update(
    policy: Policy,
    optimizer: "torch.optim.Optimizer",
    visits: Sequence[Visit],
    config: RlConfig,
    step: int,
) -> float:
    """One gradient step; the gradient's norm before it is clipped to 1.

    Raises:
        BadInputError: the norm is no number.
    """
    import torch

    weights = advantages(visits, config, Random(f"{config.seed}/{step}/previous"))
    prompts = policy.encode([one.chain.prompt for one in visits])
    packs = [
        Pack(ids, tuple(sample.ids for sample in one.samples))
        for ids, one in zip(prompts, visits, strict=True)
    ]
    count = sum(len(one.samples) for one in visits)
    policy.model.train()
    for group in grouped(packs, TOKENS_TOGETHER):
        weight = torch.from_numpy(np.concatenate([weights[k] for k in group])).float()
        with mixed_precision():
            told = policy.log_likelihoods([packs[k] for k in group], config.temperature)
        (-(weight * told).sum() / count).backward()  # type: ignore[no-untyped-call]  # torch
    norm = float(torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0))
    if not np.isfinite(norm):
        msg = "the gradient is no number; the last checkpoint is unharmed: lower the learning rate"
        raise BadInputError(msg)
    for settings in optimizer.param_groups:
        settings["lr"] = config.lr * min(1.0, (step + 1) / WARM_UP_STEPS)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def progress_of(step: int, visits: Sequence[Visit], dropped: int, gradient: float) -> RlProgress:
    """What is said of a step."""
    judged = [one for each in visits for one in each.judged]
    conditioned = [each for each in visits if each.chain.examples]
    first = [one.solved for each in visits if not each.chain.examples for one in each.judged]
    later = [one.solved for each in conditioned for one in each.judged]
    return RlProgress(
        step=step,
        reward=round(_mean([one.reward for one in judged]), 4),
        solved=round(_mean([one.solved for one in judged]), 4),
        unconditioned=round(_mean(first), 4) if first else None,
        evolved=round(_mean(later), 4) if later else None,
        unusable=round(_mean([one.key is None for one in judged]), 4),
        copied=round(_mean([_is_copy(each, one) for each in conditioned for one in each.judged]), 4)
        if conditioned
        else None,
        distinct=round(_mean([len({o.key for o in each.judged if o.key}) for each in visits]), 2),
        dropped=dropped,
        gradient=round(gradient, 4),
    )


def _is_copy(each: Visit, one: Judged) -> bool:
    """Whether a sample says what it was shown."""
    return one.key is not None and one.key in {example.key for example in each.chain.examples}


def _mean(values: Sequence[float]) -> float:
    """The mean, 0 of nothing."""
    return float(np.mean(values)) if values else 0.0
