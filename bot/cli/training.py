"""`evoscale train …`: the recipe behind the embedded model, step by step."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bot.cli import training_libraries, training_rl
from bot.cli import training_stages as stages
from bot.cli.training_data import executable

app = typer.Typer(no_args_is_help=True, help="Train the model that ships, from pinned wheels.")
out = Console()
app.add_typer(training_libraries.app, name="large")
app.command()(executable)
for stage in (stages.tokenizer, stages.pretrain, stages.sft, stages.mutation, stages.reward):
    app.command()(stage)
app.command()(training_rl.rl)
app.command()(training_rl.experiment)

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
    """Collect functions from the pinned wheels and the standard library.

    Beside the corpus a manifest says what it was made of, and how many functions each gave.
    """
    from engine import training
    from engine.training.corpus import build_corpus
    from engine.training.wheels import fetch_wheels, load_manifest, write_counts

    manifest = Path(training.__file__).with_name("wheels.toml")
    pinned = load_manifest(manifest)
    fetch_wheels(pinned, wheels)
    counts = build_corpus(manifest, out_file, exclude or [], wheels)
    write_counts(out_file, pinned, counts)
    for name, count in counts.most_common():
        out.print(f"{count:8,}  {name}")
    out.print(f"{counts.total():8,}  functions in {out_file}")
