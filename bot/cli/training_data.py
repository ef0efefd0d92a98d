"""`evoscale train executable`: the training data that is made by running code."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from bot.cli.files import check_writable

BUILD = Path("build")
out = Console()


def executable(
    corpus_file: Annotated[
        Path, typer.Option("--corpus", help="The corpus, one function a line.")
    ] = BUILD / "corpus.jsonl",
    wheels: Annotated[
        Path, typer.Option(help="The folder of the pinned wheels; what it lacks is downloaded.")
    ] = BUILD / "wheels",
    out_file: Annotated[Path, typer.Option("--out", help="Where the tasks go.")] = BUILD
    / "executable-train.jsonl",
    count: Annotated[int, typer.Option(min=1, help="How many tasks.")] = 1500,
    split: Annotated[
        Literal["train", "doctests", "dev", "test", "unseen-kinds"],
        typer.Option(
            help="Whose functions; `doctests` are trained on, `unseen-kinds` have bugs held out."
        ),
    ] = "train",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same tasks.")] = 0,
    sandbox: Annotated[
        Literal["auto", "docker", "runc", "bubblewrap"], typer.Option(help="Where the code runs.")
    ] = "bubblewrap",
) -> None:
    """Make buggy functions whose repair can be judged by running it, all of it inside boxes."""
    from engine.training.corpus import read_corpus
    from engine.training.executable import write_tasks
    from engine.training.task_sets import Source, task_set
    from sandbox.backends import open_sandbox
    from sandbox.settings import SandboxSettings

    check_writable(out_file)
    engine = open_sandbox(sandbox, SandboxSettings(kind=sandbox))
    source = Source(read_corpus(corpus_file), wheels, engine)
    tasks = task_set(split, count, seed, source, lambda so_far: out.print(f"{so_far:6,} tasks"))
    write_tasks(out_file, tasks)
    out.print(f"{len(tasks):,} tasks of {len({t.fixed for t in tasks}):,} functions in {out_file}")
