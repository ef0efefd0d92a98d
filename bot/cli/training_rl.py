"""`evoscale train rl|experiment`: reinforcement learning, and the arms that it is compared with."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bot.cli.training_stages import BUILD, TRAIN_TASKS, Seed, Tasks, open_boxes
from engine.training.names import ARM_NAMES, Baseline, Objective

out = Console()


def rl(
    tasks: Tasks = TRAIN_TASKS,
    base: Annotated[Path, typer.Option(help="The mutation model.")] = BUILD / "mutation" / "model",
    folder: Annotated[Path, typer.Option("--out", help="Where model and metrics go.")] = BUILD
    / "rl",
    objective: Annotated[Objective, typer.Option(help="What a sample is paid.")] = (
        Objective.DIFFERENCE
    ),
    baseline: Annotated[Baseline, typer.Option(help="What the payment is compared with.")] = (
        Baseline.BATCH
    ),
    iterations: Annotated[
        int, typer.Option(min=1, max=16, help="How long chains are; 1 is without evolution.")
    ] = 4,
    steps: Annotated[int, typer.Option(min=1, help="How many steps.")] = 100,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts a step.")] = 16,
    samples: Annotated[int, typer.Option(min=2, help="Samples a prompt.")] = 8,
    lr: Annotated[float, typer.Option(min=0.0, help="Learning rate.")] = 2e-4,
    reward_model: Annotated[
        Path | None, typer.Option(help="A reward model that pays, instead of running the tests.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Policy gradient on R(y) - R(y') - lambda F(y), over chains of the policy's own samples."""
    from engine.training.rl import RlConfig, RlProgress, train_rl

    def say(progress: RlProgress) -> None:
        evolved = f"  evolved {progress.evolved:.3f}" if progress.evolved is not None else ""
        out.print(
            f"step {progress.step:5}  reward {progress.reward:.3f}  right {progress.solved:.3f}"
            f"{evolved}  unusable {progress.unusable:.2f}  distinct {progress.distinct:.1f}"
        )

    config = RlConfig(
        tasks,
        base,
        folder,
        seed=seed,
        objective=objective,
        baseline=baseline,
        iterations=iterations,
        steps=steps,
        prompts=prompts,
        samples=samples,
        chains=4 * prompts,
        lr=lr,
        reward_model=reward_model,
    )
    out.print(f"the model is in {train_rl(config, open_boxes(), say)}")


def experiment(
    models: Annotated[
        Path, typer.Option(help="The folder of sft, mutation and reward; gains the RL arms'.")
    ] = BUILD,
    tasks: Annotated[Path, typer.Option(help="Held-out executable tasks.")] = BUILD
    / "mutants.jsonl",
    train_tasks: Tasks = TRAIN_TASKS,
    wheels: Annotated[
        Path, typer.Option(help="The held-out packages; what it lacks is downloaded.")
    ] = BUILD / "wheels",
    folder: Annotated[Path, typer.Option("--out", help="Where the samples go.")] = BUILD
    / "experiment",
    page: Annotated[
        Path | None, typer.Option(help="Write tables and plots to this Markdown file.")
    ] = None,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", help="Only these arms; repeat it.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many held-out tasks.")] = 150,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each RL arm.")] = 3,
    rl_steps: Annotated[int, typer.Option(min=1, help="Steps of each RL arm.")] = 60,
    rl_prompts: Annotated[int, typer.Option(min=1, help="Prompts a step of RL.")] = 8,
) -> None:
    """Train and walk every arm on the same held-out tasks; goes on where it was stopped."""
    from engine.training.experiment import ExperimentConfig, run_experiment
    from engine.training.experiment_page import write_page
    from engine.training.mutants import boxes_for_packages

    config = ExperimentConfig(
        models,
        tasks,
        train_tasks,
        folder,
        limit=limit,
        seeds=seeds,
        rl_steps=rl_steps,
        rl_prompts=rl_prompts,
        arms=tuple(arms or ARM_NAMES),
    )
    boxes = boxes_for_packages(open_boxes().sandbox, wheels)
    found = run_experiment(config, boxes, out.print)
    for name, rows in found.by_iteration.items():
        told = "  ".join(f"{row.solved.mean:6.1%}" for row in rows)
        out.print(f"{name:3} right by iteration  {told}")
    if page is not None:
        write_page(page, found, config)
        out.print(f"the page is {page}")
