"""What samples of executable tasks are worth: usable or not, the reward, solved or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.line_format import apply, parse
from engine.reward import FORMAT_PENALTY, share
from engine.training.executable import ExecutableTask, score
from engine.training.outcomes import Boxes
from engine.training.proposers import tree_of


@dataclass(frozen=True, slots=True)
class Judged:
    """One sample. `key` is its program's syntax tree, None when it is unusable.

    `reward` is R(x, y) - lambda F(y) of the published objective: half for keeping the examples that
    the buggy function answers rightly, half for those that it does not; an edit that names no line,
    changes nothing or does not parse has R = 0 and F = 1. `visible` and `solved` say whether the
    visible examples, and all of them, came out right.
    """

    text: str
    key: str | None
    reward: float
    visible: bool
    solved: bool


class Judge:
    """Runs samples in boxes and remembers what came out, since models repeat themselves."""

    def __init__(self, boxes: Boxes) -> None:
        """Say where to run."""
        self._boxes = boxes
        self._known: dict[tuple[str, str], list[bool]] = {}

    def judge(self, asked: Sequence[tuple[ExecutableTask, Sequence[str]]]) -> list[list[Judged]]:
        """The verdicts of each task's samples, in their order.

        Raises:
            SandboxUnavailableError: no box can be opened, or the box failed.
        """
        sources = [[source_of(task, text) for text in texts] for task, texts in asked]
        self._run(
            [
                (task, source)
                for (task, _), found in zip(asked, sources, strict=True)
                for source in (task.source, *found)
                if source is not None
            ]
        )
        return [
            [self._judged(task, text, source) for text, source in zip(texts, found, strict=True)]
            for (task, texts), found in zip(asked, sources, strict=True)
        ]

    def _run(self, programs: Sequence[tuple[ExecutableTask, str]]) -> None:
        """Run the programs that are not known yet."""
        fresh = {
            (task.instance_id, source): (task, source)
            for task, source in programs
            if (task.instance_id, source) not in self._known
        }
        if fresh:
            tasks, sources = zip(*fresh.values(), strict=True)
            verdicts = score(tasks, sources, self._boxes)
            self._known.update(zip(fresh, verdicts, strict=True))

    def _judged(self, task: ExecutableTask, text: str, source: str | None) -> Judged:
        if source is None:
            return Judged(text, None, -FORMAT_PENALTY, visible=False, solved=False)
        before = self._known[task.instance_id, task.source]
        after = self._known[task.instance_id, source]
        return Judged(
            text,
            tree_of(source),
            reward_of(before, after),
            visible=all(after[: task.shown]),
            solved=all(after),
        )


def source_of(task: ExecutableTask, text: str) -> str | None:
    """The function that a sample makes; None when the sample is unusable."""
    edit = parse(text)
    source = apply(edit, task.source) if edit else None
    tree = tree_of(source) if source else None
    return None if tree is None or tree == tree_of(task.source) else source


def reward_of(before: Sequence[bool], after: Sequence[bool]) -> float:
    """R(x, y) in 0..1 from the verdicts before and after, as `engine.reward.tests_reward`."""
    kept = [now for was, now in zip(before, after, strict=True) if was]
    mended = [now for was, now in zip(before, after, strict=True) if not was]
    keeping = share(sum(kept), len(kept))
    return 0.5 * keeping + 0.5 * share(sum(mended), len(mended)) * keeping
