"""What one step of RL rolls out: examples refreshed, prompts conditioned, rewards compared.

Every rollout draws conditioning examples of its own. Were E shared inside a group, R(x, y') would
be a constant of it and the group's mean would remove it; with an E for each rollout, or a baseline
over the whole batch, it is a control variate that acts (docs/decisions/0047-trl.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal

from engine.models.base import Profile
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.messages import Example, prompt_ids, task_prompt, usable
from engine.training.libraries.pool import NOTHING, Draw, Pool, Scored
from engine.training.libraries.scoring import Scorer, objective
from engine.training.libraries.tasks import Task, TaskFile

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Ids = list[list[int]]
Generate = Callable[[Ids], list[list[int]]]
"""Samples one completion for each prompt, as token ids."""

Sample = tuple[str, Example, float]
Gather = Callable[[list[Sample]], list[Sample]]
"""Puts together what all processes sampled: task, usable completion and R of it."""


@dataclass(slots=True)
class Rollouts:
    """The prompts of one step and what each was shown; counts for the metrics."""

    prompt_ids: Ids = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rollout's reward, and what the metrics count of it."""

    reward: float
    usable: bool
    copied: bool
    score: float | None


class Conditioner:
    """Keeps the pool fresh and makes each rollout's prompt."""

    def __init__(
        self, config: LargeConfig, tokenizer: "PreTrainedTokenizerBase", scorer: Scorer
    ) -> None:
        """Index the tasks; nothing is sampled yet.

        Raises:
            BadInputError: the tasks cannot be read.
        """
        self._config, self._tokenizer, self._scorer = config, tokenizer, scorer
        self.tasks = TaskFile(config.data.tasks)
        self.pool = Pool(config.run.seed)
        self.waiting: dict[str, tuple[Example, ...]] = {}
        """Candidates of a file, which are scored when their task comes up and not before."""

    @property
    def profile(self) -> Profile:
        """How the policy wants to be prompted."""
        return self._config.model.profile

    def needs_refresh(self, ids: Sequence[str], step: int) -> bool:
        """Whether any of these tasks has examples that are too old; those of a file count from 0.

        Raises:
            BadInputError: the scorer does not answer.
        """
        for instance_id in set(ids) & self.waiting.keys():
            self._put(self._scored(instance_id, self.waiting.pop(instance_id)), step=0)
        every = self._config.rl.refresh_every
        return any(self.pool.stale(each, step, every) for each in ids)

    def refresh(self, ids: Sequence[str], step: int, generate: Generate, gather: Gather) -> None:
        """Sample one candidate for each rollout of the batch and put them into the pool.

        As many as there are rollouts, on every process, because engines that share their work over
        several cards need prompts in equal number. Where a task has examples already, most of its
        new candidates are conditioned on them: examples of all iterations come to be shown.

        Raises:
            BadInputError: the scorer does not answer.
        """
        shown = self.rollouts(ids, step, purpose=1)
        texts = self.decode(generate(shown.prompt_ids))
        mine: list[Sample] = []
        for instance_id in dict.fromkeys(ids):
            written = [text for each, text in zip(ids, texts, strict=True) if each == instance_id]
            task = self.tasks.get(instance_id)
            read = [usable(task, text, self.profile) for text in written]
            mine += self._scored(instance_id, [example for example in read if example])
        self._put(gather(mine), step)
        for instance_id in ids:
            self.pool.note(instance_id, step)

    def _scored(self, instance_id: str, examples: Sequence[Example]) -> list[Sample]:
        task = self.tasks.get(instance_id)
        scores = self._scorer.score([(task, each) for each in examples]) if examples else []
        pairs = zip(examples, scores, strict=True)
        return [(instance_id, example, score) for example, score in pairs]

    def _put(self, samples: Sequence[Sample], step: int) -> None:
        by_task: dict[str, list[Scored]] = {}
        for instance_id, example, score in samples:
            by_task.setdefault(instance_id, []).append(Scored(example, score))
        for instance_id, scored in by_task.items():
            self.pool.replace(instance_id, scored, step)

    def rollouts(self, ids: Sequence[str], step: int, purpose: int = 0) -> Rollouts:
        """A prompt for each rollout; whether a task is shown examples is decided for its group."""
        made = Rollouts()
        for number, instance_id in enumerate(ids):
            draw = self._draw(instance_id, step, 2 * number + purpose)
            prompt = task_prompt(self.tasks.get(instance_id), draw.examples, self.profile)
            made.prompt_ids.append(self._fitting(prompt_ids(prompt, self._tokenizer)))
            made.draws.append(draw)
        return made

    def _draw(self, instance_id: str, step: int, number: int) -> Draw:
        section = self._config.rl
        alone = Random(f"{self._config.run.seed} {step} {instance_id}").random()
        if alone < section.without_examples:
            return NOTHING
        return self.pool.draw(instance_id, section.examples, (step, number))

    def _fitting(self, ids: list[int]) -> list[int]:
        """The last tokens that leave room for a completion; the order of work stands last."""
        model = self._config.model
        return ids[-max(1, model.context_tokens - model.completion_tokens) :]

    def decode(self, ids: Ids) -> list[str]:
        """Completions as text, without the end of the answer."""
        return [str(text) for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def outcomes(
        self, ids: Sequence[str], completions: Ids, draws: Sequence[Draw]
    ) -> list[Outcome]:
        """R(x, y) - R(x, y') - lambda F(y) for each rollout.

        Raises:
            BadInputError: the scorer does not answer.
        """
        tasks = [self.tasks.get(each) for each in ids]
        read = [
            usable(task, text, self.profile)
            for task, text in zip(tasks, self.decode(completions), strict=True)
        ]
        scores = self._scores(tasks, read)
        return [
            self._outcome(example, score, draw)
            for example, score, draw in zip(read, scores, draws, strict=True)
        ]

    def _scores(self, tasks: Sequence[Task], read: Sequence[Example | None]) -> list[float | None]:
        pairs = [(task, each) for task, each in zip(tasks, read, strict=True) if each]
        found = iter(self._scorer.score(pairs) if pairs else ())
        return [next(found) if each else None for each in read]

    def _outcome(self, example: Example | None, score: float | None, draw: Draw) -> Outcome:
        section = self._config.rl
        previous = draw.previous if section.shaped else 0.0
        copied = example is not None and example.key in {e.key for e in draw.examples}
        reward = objective(score, previous, section.penalty)
        return Outcome(reward, example is not None, copied, score)


def advantages(
    rewards: "torch.Tensor",
    conditioned: "torch.Tensor",
    rollouts: int,
    baseline: Literal["group", "leave_one_out", "batch"],
) -> "torch.Tensor":
    """What each rollout's log-probability is multiplied by; all three tensors have shape (batch,).

    `group` is Dr. GRPO's (arXiv 2503.20783), `leave_one_out` RLOO's (arXiv 2402.14740), `batch`
    that of REINFORCE++ (arXiv 2501.03262), its mean taken apart for rollouts with and without
    examples: only the former lose R(x, y'), and one mean would tell the two kinds apart, not good
    from bad.
    """
    import torch

    if baseline != "batch":
        groups = rewards.view(-1, rollouts)
        centred = (groups - groups.mean(1, keepdim=True)).flatten()
        scale = rollouts / (rollouts - 1) if baseline == "leave_one_out" else 1.0
        return centred * scale
    centred = rewards.clone()
    for kind in (conditioned > 0.5, conditioned <= 0.5):
        if kind.any():
            centred[kind] -= rewards[kind].mean()
    return centred / (torch.sqrt((centred**2).mean()) + 1e-4)
