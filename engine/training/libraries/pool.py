"""Where conditioning examples come from: the latest candidates of each task, scored.

Candidates are replaced as a whole when they are sampled anew, so that E comes from the policy as it
is now and not from its past. The same seed, step and task give the same draw on every process.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from engine.models.base import Profile
from engine.training.libraries.messages import Example, usable
from engine.training.libraries.tasks import Kept, Sampled, TaskFile, read_rows, write_rows


@dataclass(frozen=True, slots=True)
class Scored:
    """A usable candidate and R of it."""

    example: Example
    reward: float


@dataclass(frozen=True, slots=True)
class Draw:
    """What one rollout is shown: E, and R(x, y') of one y' of it; without E that is 0."""

    examples: tuple[Example, ...]
    previous: float


NOTHING = Draw((), 0.0)


class Pool:
    """The usable candidates of every task, and at which step they were sampled."""

    def __init__(self, seed: int) -> None:
        """Begin empty."""
        self._seed = seed
        self._scored: dict[str, tuple[Scored, ...]] = {}
        self._made_at: dict[str, int] = {}

    def replace(self, instance_id: str, scored: Iterable[Scored], step: int) -> None:
        """Take these candidates in the place of the task's earlier ones, one of each program.

        Where none is usable the earlier ones stay: a prompt without examples is drawn anyway.
        """
        distinct = {each.example.key: each for each in scored}
        if distinct:
            self._scored[instance_id] = tuple(distinct.values())
        self.note(instance_id, step)

    def note(self, instance_id: str, step: int) -> None:
        """The task was sampled at this step, whether or not anything was usable."""
        self._made_at[instance_id] = step

    def stale(self, instance_id: str, step: int, refresh_every: int) -> bool:
        """Whether the task's candidates are older than allowed, or were never sampled."""
        if refresh_every == 0:
            return False
        made = self._made_at.get(instance_id)
        return made is None or step - made >= refresh_every

    @property
    def known(self) -> frozenset[str]:
        """The tasks that have candidates."""
        return frozenset(self._scored)

    def draw(self, instance_id: str, k: int, turn: tuple[int, int]) -> Draw:
        """At most k examples for one rollout; `turn` is the step and the rollout's number."""
        pool = self._scored.get(instance_id, ())
        if not pool:
            return NOTHING
        rng = Random(f"{self._seed} {instance_id} {turn}")
        shown = rng.sample(pool, min(k, len(pool)))
        return Draw(tuple(each.example for each in shown), rng.choice(shown).reward)

    def rows(self) -> list[dict[str, object]]:
        """Everything, to be written into a checkpoint."""
        return [
            {
                "instance_id": instance_id,
                "step": self._made_at[instance_id],
                "completions": [each.example.completion for each in scored],
                "rewards": [each.reward for each in scored],
            }
            for instance_id, scored in self._scored.items()
        ]

    def restore(self, path: Path, tasks: TaskFile, profile: Profile) -> None:
        """Take what `rows` wrote; a candidate whose task changed since is left out.

        Raises:
            BadInputError: the file cannot be read.
        """
        known = set(tasks.ids)
        for row in read_rows(path, Kept):
            if row.instance_id not in known:
                continue
            task = tasks.get(row.instance_id)
            pairs = zip(row.completions, row.rewards, strict=True)
            read = ((usable(task, text, profile), reward) for text, reward in pairs)
            scored = (Scored(example, reward) for example, reward in read if example)
            self.replace(row.instance_id, scored, row.step)


def read_candidates(
    path: Path, tasks: TaskFile, profile: Profile
) -> dict[str, tuple[Example, ...]]:
    """The usable candidates of a file, by task; those of tasks that are not there are left out.

    Raises:
        BadInputError: the file cannot be read, or a row is none.
    """
    known = set(tasks.ids)
    written: dict[str, list[str]] = {}
    for row in read_rows(path, Sampled):
        if row.instance_id in known:
            written.setdefault(row.instance_id, []).append(row.completion)
    return {
        instance_id: distinct(tasks, instance_id, completions, profile)
        for instance_id, completions in written.items()
    }


def distinct(
    tasks: TaskFile, instance_id: str, completions: Sequence[str], profile: Profile
) -> tuple[Example, ...]:
    """The usable ones among a task's completions, one of each program."""
    task = tasks.get(instance_id)
    read = (usable(task, completion, profile) for completion in completions)
    return tuple({example.key: example for example in read if example}.values())


def write_candidates(path: Path, rows: Iterable[Sampled]) -> int:
    """Write candidates down; how many.

    Raises:
        BadInputError: the file cannot be written.
    """
    return write_rows(path, rows)
