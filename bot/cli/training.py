"""`evoscale train …`: the recipe behind the embedded model, step by step."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bot.cli import training_libraries

app = typer.Typer(no_args_is_help=True, help="Train the model that ships, from pinned wheels.")
out = Console()
app.add_typer(training_libraries.app, name="large")

BUILD = Path("build")
Corpus = Annotated[Path, typer.Option("--corpus", help="The corpus, one function a line.")]


@app.command()
def corpus(
    wheels: Annotated[
        Path, typer.Option(help="The folder of the pinned wheels; what it lacks is downloaded.")
    ] = BUILD / "wheels",
    out_file: Annotated[Path, typer.Option("--out", help="Where the corpus goes.")] = BUILD
    / "corpus.jsonl",
    exclude: Annotated[
        list[Path] | None,
        typer.Option(help="Benchmarks (JSONL) whose functions must stay out; repeat it."),
    ] = None,
) -> None:
    """Collect functions from the pinned wheels and the standard library."""
    from engine import training
    from engine.training.corpus import build_corpus
    from engine.training.wheels import fetch_wheels, load_manifest

    manifest = Path(training.__file__).with_name("wheels.toml")
    fetch_wheels(load_manifest(manifest), wheels)
    counts = build_corpus(manifest, out_file, exclude or [], wheels)
    for name, count in counts.most_common():
        out.print(f"{count:8,}  {name}")
    out.print(f"{counts.total():8,}  functions in {out_file}")


@app.command()
def sft(
    corpus_file: Corpus = BUILD / "corpus.jsonl",
    folder: Annotated[
        Path, typer.Option("--out", help="Where model, checkpoint and metrics go.")
    ] = BUILD / "sft",
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to train at most.")] = 80.0,
    steps: Annotated[
        int, typer.Option(min=1, help="How many steps to train at most, to repeat a run.")
    ] = 1_000_000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train together.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Data order and initial weights.")] = 0,
) -> None:
    """Classical SFT: injected bug in, repair out. Goes on from its last checkpoint."""
    from engine.training.sft import SftConfig, SftProgress, train_sft

    def say(progress: SftProgress) -> None:
        dev = f"  dev {progress.dev_loss:.3f}" if progress.dev_loss is not None else ""
        out.print(
            f"step {progress.step:6}  {progress.seconds:7.0f} s  {progress.tokens:12,} tokens  "
            f"loss {progress.loss:.3f}{dev}"
        )

    config = SftConfig(
        corpus=corpus_file,
        out=folder,
        seed=seed,
        wall_clock_s=minutes * 60,
        max_steps=steps,
        workers=workers,
    )
    out.print(f"the model is in {train_sft(config, say)}")
