"""The arms of the experiment: a model, how its samples are conditioned, and how many it may draw.

Every arm walks the same tasks and writes down what every sample was; what follows from that is
`engine.training.analysis`'s business. Names are those of the issue's design: B are baselines, M the
mutation model, R the models trained by reinforcement learning.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Protocol

from engine.line_format import render_edit
from engine.models.base import Prompt, Sampling
from engine.models.ranked import RankedRewrites
from engine.models.rewrites.kinds import edit_between, rewrite
from engine.models.rewrites.spans import ParsedFunction
from engine.training.chains import Chain, Choose, at_random, best_by
from engine.training.executable import ExecutableTask
from engine.training.judging import Judge, Judged
from engine.training.policy import MAX_EDIT_TOKENS, Policy, seeded
from engine.training.reward_model import RewardModel

SELF_EVOLVING = 5
"""M = K = 5: all of an iteration's samples are shown to the next (the published setting)."""
SELECTED_FROM = 10
"""M where a scorer selects K = 5 of them (the published setting)."""
REPEATED = 200
ITERATIONS = 4
TASKS_TOGETHER = 32


class Selector(StrEnum):
    """Who chooses the conditioning examples."""

    NONE = "none"
    RANDOM = "random"
    REWARD_MODEL = "reward model"
    ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm; `model` is the folder's name under the models, empty for blind rewriting."""

    name: str
    says: str
    model: str
    selector: Selector
    samples: int
    iterations: int
    seeded: bool = False
    ranked: bool = False


ARMS = (
    Arm("B0", "random rewriting", "", Selector.NONE, 20, 1),
    Arm("B1", "classical SFT, repeated sampling", "sft", Selector.NONE, REPEATED, 1),
    Arm("B2", "classical SFT, iterated", "sft", Selector.RANDOM, SELF_EVOLVING, ITERATIONS),
    Arm("B3", "rewriting ranked by classical SFT", "sft", Selector.NONE, 20, 1, ranked=True),
    Arm("M1", "mutation SFT, random E", "mutation", Selector.RANDOM, SELF_EVOLVING, ITERATIONS),
    Arm("M2", "mutation SFT, reward-selected E", "mutation", Selector.REWARD_MODEL, SELECTED_FROM,
        ITERATIONS),
    Arm("M3", "mutation SFT, oracle-selected E", "mutation", Selector.ORACLE, SELECTED_FROM,
        ITERATIONS),
    Arm("R1", "RL without E", "rl-without", Selector.RANDOM, SELF_EVOLVING, ITERATIONS,
        seeded=True),
    Arm("R2", "RL with E on R(y)", "rl-plain", Selector.RANDOM, SELF_EVOLVING, ITERATIONS,
        seeded=True),
    Arm("R3", "RL with E on R(y) - R(y')", "rl-difference", Selector.RANDOM, SELF_EVOLVING,
        ITERATIONS, seeded=True),
    Arm("R4", "RL with E on R(y) - R(y'), group baseline", "rl-group", Selector.RANDOM,
        SELF_EVOLVING, ITERATIONS, seeded=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one task, in the order it was drawn; `score` is the reward model's."""

    iteration: int
    reward: float
    usable: bool
    visible: bool
    solved: bool
    copied: bool
    key: str
    score: float


@dataclass(frozen=True, slots=True)
class Walk:
    """All samples of one task under one arm; `cpu_s` is this process's time for drawing them."""

    arm: str
    seed: int
    instance_id: str
    function: str
    kind: str
    cpu_s: float
    samples: tuple[Sample, ...]


class Drawer(Protocol):
    """Writes completions of chains' prompts."""

    def draw(self, chains: Sequence[Chain], n: int, seed: int) -> list[list[str]]:
        """`n` completions of every chain's prompt."""
        ...


@dataclass(frozen=True, slots=True)
class Writes:
    """A line model that writes freely, at temperature 1 as it is trained."""

    policy: Policy

    def draw(self, chains: Sequence[Chain], n: int, seed: int) -> list[list[str]]:
        """Sample from the model."""
        drawn = self.policy.sample([chain.prompt for chain in chains], n, 1.0, seeded(seed))
        return [[sample.text for sample in samples] for samples in drawn]


@dataclass(frozen=True, slots=True)
class Ranks:
    """All single rewrites, drawn by the model's likelihood without replacement."""

    model: RankedRewrites

    def draw(self, chains: Sequence[Chain], n: int, seed: int) -> list[list[str]]:
        """Sample from the ranked rewrites."""
        sampling = Sampling(n, 1.0, MAX_EDIT_TOKENS, seed)
        return [
            [one.text for one in self.model.sample(Prompt("", chain.prompt), sampling)]
            for chain in chains
        ]


@dataclass(frozen=True, slots=True)
class Blind:
    """Single rewrites by chance, of the kinds that bugs are injected with; no model."""

    def draw(self, chains: Sequence[Chain], n: int, seed: int) -> list[list[str]]:
        """Draw rewrites without looking."""
        return [list(self._rewrites(chain.task, n, seed)) for chain in chains]

    def _rewrites(self, task: ExecutableTask, n: int, seed: int) -> Iterator[str]:
        rng = Random(f"{seed}/{task.instance_id}")
        parsed = ParsedFunction(task.source)
        for _ in range(n):
            made = rewrite(parsed, rng)
            edit = edit_between(task.source, made.source) if made else None
            yield render_edit(edit) if edit else ""


@dataclass(frozen=True, slots=True)
class Referees:
    """Who judges samples: boxes for the verdict, a reward model for its opinion."""

    judge: Judge
    reward_model: RewardModel

    def scores(self, chain: Chain, texts: Sequence[str]) -> list[float]:
        """The reward model's opinion of each; the prompt it reads shows no earlier patch."""
        return self.reward_model.score([(Chain(chain.task).prompt, texts)])[0]


def walk(
    arm: Arm, drawer: Drawer, tasks: Sequence[ExecutableTask], referees: Referees, seed: int
) -> Iterator[Walk]:
    """Every task's samples under an arm, some tasks at a time.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    for at in range(0, len(tasks), TASKS_TOGETHER):
        chains = [Chain(task) for task in tasks[at : at + TASKS_TOGETHER]]
        found: list[list[Sample]] = [[] for _ in chains]
        spent = 0.0
        for iteration in range(arm.iterations):
            began = time.process_time()
            texts = drawer.draw(chains, arm.samples, (seed * 1000 + at) * 16 + iteration)
            spent += time.process_time() - began
            judged = referees.judge.judge(
                [(chain.task, said) for chain, said in zip(chains, texts, strict=True)]
            )
            for k, (chain, verdicts) in enumerate(zip(chains, judged, strict=True)):
                scores = referees.scores(chain, [one.text for one in verdicts])
                found[k] += _samples(chain, verdicts, scores)
                opinions = dict(zip((one.text for one in verdicts), scores, strict=True))
                chains[k] = chain.then(verdicts, _choose(arm.selector, opinions, seed))
        for chain, samples in zip(chains, found, strict=True):
            task = chain.task
            cpu_s = round(spent / len(chains), 4)
            function = f"{task.package}/{task.name}"
            yield Walk(arm.name, seed, task.instance_id, function, task.kind, cpu_s, tuple(samples))


def _choose(selector: Selector, opinions: dict[str, float], seed: int) -> Choose:
    """How the conditioning examples are chosen."""
    if selector is Selector.REWARD_MODEL:
        return best_by(lambda _, one: opinions[one.text])
    if selector is Selector.ORACLE:
        return best_by(lambda _, one: one.reward)
    return at_random(seed)


def _samples(chain: Chain, verdicts: Sequence[Judged], scores: Sequence[float]) -> list[Sample]:
    """What is written down of an iteration."""
    shown = {example.key for example in chain.examples}
    numbers: dict[str, str] = {}
    return [
        Sample(
            iteration=chain.iteration,
            reward=round(one.reward, 4),
            usable=one.key is not None,
            visible=one.visible,
            solved=one.solved,
            copied=one.key is not None and one.key in shown,
            key=_short(one.key, numbers),
            score=round(score, 4),
        )
        for one, score in zip(verdicts, scores, strict=True)
    ]


def _short(key: str | None, numbers: dict[str, str]) -> str:
    """A short name for a program, the same for the same program of a task."""
    if key is None:
        return ""
    return numbers.setdefault(key, hashlib.sha256(key.encode()).hexdigest()[:10])


def write_walks(path: Path, walks: Iterator[Walk]) -> None:
    """Write walks as they come, the file whole or not at all."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for one in walks:
            file.write(json.dumps(asdict(one)) + "\n")
    partial.replace(path)


def read_walks(path: Path) -> list[Walk]:
    """Read walks back."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Walk(**{**row, "samples": tuple(Sample(**sample) for sample in row["samples"])})
        for row in rows
    ]
