"""Self-evolution one iteration at a time: what a task was tried with, and what is shown of it next.

Training and evaluation walk the same chains. A chain begins without conditioning examples; each
iteration's samples are what the next one may be shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from engine.training.executable import ExecutableTask
from engine.training.judging import Judged
from engine.training.reward_model import prompt_of

CONDITIONING_EXAMPLES = 5

Choose = Callable[["Chain", Sequence[Judged], int], Sequence[Judged]]
"""Conditioning examples, at most so many, from the usable samples of the iteration before."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A task at iteration `iteration`, with the samples that its next prompt shows."""

    task: ExecutableTask
    iteration: int = 0
    examples: tuple[Judged, ...] = ()

    @property
    def prompt(self) -> str:
        """What the model is asked."""
        return prompt_of(self.task, [one.text for one in self.examples])

    def then(self, samples: Sequence[Judged], choose: Choose) -> "Chain":
        """The chain after an iteration; where nothing was usable it shows what it showed before."""
        chosen = choose(self, distinct(samples), CONDITIONING_EXAMPLES)
        return replace(self, iteration=self.iteration + 1, examples=tuple(chosen) or self.examples)


def distinct(samples: Sequence[Judged]) -> list[Judged]:
    """The usable samples, each program once, in their order."""
    found: dict[str, Judged] = {}
    for one in samples:
        if one.key is not None:
            found.setdefault(one.key, one)
    return list(found.values())


def at_random(seed: int) -> Choose:
    """Any of them: self-evolution, which asks nobody (`K` of `M` in the published notation)."""

    def choose(chain: Chain, samples: Sequence[Judged], count: int) -> Sequence[Judged]:
        rng = Random(f"{seed}/{chain.task.instance_id}/{chain.iteration}")
        return rng.sample(list(samples), min(count, len(samples)))

    return choose


def best_by(score: Callable[[Chain, Judged], float]) -> Choose:
    """The highest by a score: a reward model's, or for the upper bound the true reward."""

    def choose(chain: Chain, samples: Sequence[Judged], count: int) -> Sequence[Judged]:
        return sorted(samples, key=lambda one: -score(chain, one))[:count]

    return choose
