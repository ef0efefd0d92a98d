"""`evoscale train experiment`: every arm on the same held-out tasks, and what follows from it.

Training and walks that are on disk are not done again, so a run goes on where it was stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.training.analysis import (
    SELECTORS,
    Contrast,
    Estimate,
    IterationFigures,
    best_of,
    bootstrap,
    contrasts,
    iterations,
    mixed,
    oracle,
)
from engine.training.arms import (
    ARMS,
    Arm,
    Blind,
    Drawer,
    Ranks,
    Referees,
    Walk,
    Writes,
    read_walks,
    walk,
    write_walks,
)
from engine.training.checkpoints import claim
from engine.training.executable import ExecutableTask, read_tasks
from engine.training.judging import Judge
from engine.training.names import ARM_NAMES, Baseline, Objective
from engine.training.outcomes import Boxes
from engine.training.policy import load_policy
from engine.training.reward_model import load_reward_model
from engine.training.rl import RlConfig, RlProgress, train_rl
from engine.training.shapes import Goal, Shape, goals, right_at, shapes

if TYPE_CHECKING:
    from engine.models.ranked import RankedRewrites

FREE = (0, 2, 4, 6, 8, 10, 20)
CURVE = (1, 2, 5, 10, 15, 20, 30, 50, 100, 200)


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """`models` holds the folders `sft`, `mutation` and `reward`, and gains those of the RL arms.

    `tasks` are held out; `train_tasks` are what the RL arms train on.
    """

    models: Path
    tasks: Path
    train_tasks: Path
    out: Path
    limit: int = 150
    seeds: int = 3
    rl_steps: int = 60
    rl_prompts: int = 8
    arms: tuple[str, ...] = ARM_NAMES


@dataclass(frozen=True, slots=True)
class Results:
    """All figures: by arm and iteration, by samples, contrasts, published shapes, the goal."""

    tasks: int
    functions: int
    by_iteration: dict[str, list[IterationFigures]]
    best_of: dict[str, list[tuple[int, Estimate]]]
    pooled: dict[str, list[tuple[int, Estimate]]]
    contrasts: list[Contrast] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    mixes: list[tuple[int, Estimate]] = field(default_factory=list)


RL_ARMS = {
    "rl-without": (Objective.PLAIN, Baseline.BATCH, 1),
    "rl-plain": (Objective.PLAIN, Baseline.BATCH, 4),
    "rl-difference": (Objective.DIFFERENCE, Baseline.BATCH, 4),
    "rl-group": (Objective.DIFFERENCE, Baseline.GROUP, 4),
}


def run_experiment(
    config: ExperimentConfig,
    boxes: Boxes,
    on_progress: Callable[[str], None],
) -> Results:
    """Train what is not trained, walk what is not walked, and work the figures out.

    Raises:
        BadInputError: tasks or models are missing, an arm is not known, or the samples that lie
            there were drawn under other settings.
        SandboxUnavailableError: no box can be opened.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    names = ("models", "tasks", "train_tasks", "limit", "rl_steps", "rl_prompts")
    claim(config.out / "settings.json", {name: getattr(config, name) for name in names})
    tasks = _drawn(read_tasks(config.tasks), config.limit)
    walks: dict[str, list[Walk]] = {}
    for arm in chosen_arms(config.arms):
        for seed in range(config.seeds if arm.seeded else 1):
            path = config.out / f"{arm.name}-{seed}.jsonl"
            if not path.is_file():
                folder = _folder(arm, seed, config, boxes, on_progress)
                on_progress(f"{arm.name} seed {seed}: {arm.says}, {len(tasks)} tasks")
                referees = Referees(
                    Judge(boxes), load_reward_model(config.models / "reward" / "model")
                )
                drawer = drawer_of(arm, folder)
                write_walks(path, walk(arm, drawer, tasks, referees, seed))
            walks.setdefault(arm.name, []).extend(read_walks(path))
    return results(walks)


def chosen_arms(names: Sequence[str]) -> list[Arm]:
    """The arms of these names, in the table's order.

    Raises:
        BadInputError: there is none of a name.
    """
    unknown = set(names) - {arm.name for arm in ARMS}
    if unknown:
        known = ", ".join(arm.name for arm in ARMS)
        msg = f"no arm {', '.join(sorted(unknown))}; the arms are {known}"
        raise BadInputError(msg)
    return [arm for arm in ARMS if arm.name in names]


def _drawn(tasks: Sequence[ExecutableTask], limit: int) -> list[ExecutableTask]:
    """At most `limit` tasks, drawn by a fixed seed."""
    if len(tasks) <= limit:
        return list(tasks)
    return Random(0).sample(list(tasks), limit)


def _folder(
    arm: Arm,
    seed: int,
    config: ExperimentConfig,
    boxes: Boxes,
    on_progress: Callable[[str], None],
) -> Path:
    """Where an arm's model lies; an RL arm's is trained when it is not there."""
    if not arm.seeded:
        return config.models / arm.model / "model"
    out = config.models / f"{arm.model}-{seed}"
    if not (out / "model" / "model.safetensors").is_file():
        objective, baseline, length = RL_ARMS[arm.model]

        def say(progress: RlProgress) -> None:
            on_progress(
                f"{arm.name} seed {seed}: step {progress.step} of {config.rl_steps}, reward "
                f"{progress.reward:.3f}, solved {progress.solved:.3f}"
            )

        rl = RlConfig(
            config.train_tasks,
            config.models / "mutation" / "model",
            out,
            seed=seed,
            objective=objective,
            baseline=baseline,
            iterations=length,
            steps=config.rl_steps,
            prompts=config.rl_prompts,
            chains=4 * config.rl_prompts,
        )
        train_rl(rl, boxes, say)
    return out / "model"


def drawer_of(arm: Arm, folder: Path) -> Drawer:
    """What draws an arm's samples."""
    if not arm.model:
        return Blind()
    return Ranks(_ranked(folder)) if arm.ranked else Writes(load_policy(folder))


def _ranked(folder: Path) -> "RankedRewrites":
    from engine.models import EMBEDDED_PROFILE
    from engine.models.onnx_local import OnnxLocal
    from engine.models.ranked import RankedRewrites

    inner = OnnxLocal(folder, name=folder.parent.name, profile=EMBEDDED_PROFILE)
    return RankedRewrites(inner, heat=1.0)  # drawn by likelihood, as every arm's samples are


def results(walks: dict[str, list[Walk]]) -> Results:
    """The figures of all arms that were walked."""
    some = next(iter(walks.values()), [])
    repeated = walks.get("B1", [])
    pooled = {name: list(_pooled(each)) for name, each in walks.items()}
    return Results(
        tasks=len({one.instance_id for one in some}),
        functions=len({one.function for one in some}),
        by_iteration={name: iterations(each) for name, each in walks.items()},
        best_of={
            name: [(n, best_of(repeated, n, pick)) for n in _counts(repeated)]
            for name, pick in SELECTORS.items()
        }
        if repeated
        else {},
        pooled=pooled,
        contrasts=contrasts(list(_planned(walks))),
        shapes=list(shapes(walks)),
        goals=list(goals(pooled, walks)),
        mixes=list(_mixes(walks)),
    )


def _counts(walks: Sequence[Walk]) -> list[int]:
    """The points of a curve that the walks are long enough for."""
    return [n for n in CURVE if n <= len(walks[0].samples)]


def _pooled(walks: Sequence[Walk]) -> Iterator[tuple[int, Estimate]]:
    """Solved by any of the first N samples, in the order in which they were drawn."""
    for count in _counts(walks):
        yield count, bootstrap(walks, [float(oracle(one.samples[:count])) for one in walks])


def _mixes(walks: dict[str, list[Walk]]) -> Iterator[tuple[int, Estimate]]:
    """Ranked rewrites with so many of them written freely in their place."""
    if {"B1", "B3"} <= walks.keys():
        count = len(walks["B3"][0].samples)
        for free in (n for n in FREE if n <= count):
            yield free, mixed(walks["B3"], walks["B1"], count, free)


def _planned(
    walks: dict[str, list[Walk]],
) -> Iterator[tuple[str, Sequence[Walk], Sequence[float], Sequence[float]]]:
    """The contrasts that were named before anything was measured."""
    for name, (a, at), (b, bt) in (
        ("R3 against R1, last iteration", ("R3", -1), ("R1", -1)),
        ("R3, last iteration against first", ("R3", -1), ("R3", 0)),
        ("R3 against R2, last iteration", ("R3", -1), ("R2", -1)),
        ("M1, last iteration against first", ("M1", -1), ("M1", 0)),
        ("B2, last iteration against first", ("B2", -1), ("B2", 0)),
    ):
        first, second = walks.get(a, []), walks.get(b, [])
        if first and len(first) == len(second):
            yield name, first, fresh(first, at), fresh(second, bt)


def fresh(walks: Sequence[Walk], iteration: int) -> list[float]:
    """Each walk's share of right samples at an iteration; -1 is the last."""
    share = right_at(iteration)
    return [share(walk.samples) for walk in walks]
