"""`evoscale train tokenizer|pretrain|sft|mutation|reward`: supervised stages, a command each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from engine.training.outcomes import Boxes
    from engine.training.sft import SftConfig

BUILD = Path("build")
TRAIN_TASKS = BUILD / "executable-train.jsonl"
DEV_TASKS = BUILD / "executable-dev.jsonl"

out = Console()
Corpus = Annotated[Path, typer.Option("--corpus", help="The corpus, one function a line.")]
Minutes = Annotated[float, typer.Option(min=0.1, help="How long to train at most.")]
Steps = Annotated[int, typer.Option(min=1, help="How many steps to train at most.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that train together.")]
Seed = Annotated[int, typer.Option(min=0, help="Data order and initial weights.")]
Base = Annotated[Path | None, typer.Option("--base", help="The model's folder to begin from.")]
Out = Annotated[Path, typer.Option("--out", help="Where model, checkpoint and metrics go.")]
Tasks = Annotated[Path, typer.Option(help="Executable tasks to train on.")]
DevTasks = Annotated[Path, typer.Option(help="Executable tasks for the figures.")]
Size = Annotated[
    Literal["3M", "7M", "18M"], typer.Option(help="Parameters of a model that begins from nothing.")
]
MANY = 1_000_000


def tokenizer(
    corpus_file: Corpus = BUILD / "corpus.jsonl",
    folder: Out = BUILD / "tokenizer",
    seed: Seed = 0,
    size: Size = "7M",
) -> None:
    """Train the byte-level BPE on functions of the corpus."""
    from engine.training.network import SIZES
    from engine.training.tokenizer import make_tokenizer

    make_tokenizer(corpus_file, folder, SIZES[size].vocabulary, seed)
    out.print(f"the tokenizer is in {folder}")


def pretrain(
    corpus_file: Corpus = BUILD / "corpus.jsonl",
    tokenizer_folder: Annotated[
        Path, typer.Option("--tokenizer", help="Its folder; made when it is not there.")
    ] = BUILD / "tokenizer",
    folder: Out = BUILD / "pretrain",
    minutes: Minutes = 92.0,
    steps: Steps = MANY,
    workers: Workers = 2,
    seed: Seed = 0,
    base: Base = None,
    size: Size = "7M",
    code_loss: Annotated[
        float,
        typer.Option(
            min=0.0, help="Weight of the code's own tokens at first; 0 trains on repairs alone."
        ),
    ] = 1.0,
) -> None:
    """From nothing (or on from --base): language modelling and repair in one pass."""
    from engine.training.network import SIZES, shape_of
    from engine.training.row_sources import FreshBugs
    from engine.training.sft import SftConfig

    if not (tokenizer_folder / "tokenizer.json").is_file():
        tokenizer(corpus_file, tokenizer_folder, seed, size)
    _train(
        SftConfig(
            FreshBugs(corpus_file),
            tokenizer_folder,
            folder,
            dev=FreshBugs(corpus_file, "dev"),
            base=base,
            shape=SIZES[size] if base is None else shape_of(base),
            seed=seed,
            wall_clock_s=minutes * 60,
            max_steps=steps,
            workers=workers,
            code_loss=code_loss,
        )
    )


def sft(
    corpus_file: Corpus = BUILD / "corpus.jsonl",
    folder: Out = BUILD / "sft",
    minutes: Minutes = 15.0,
    steps: Steps = MANY,
    workers: Workers = 2,
    seed: Seed = 0,
    base: Base = None,
) -> None:
    """Classical SFT: issue and buggy function in, repair out; nothing that was tried before."""
    from engine.training.network import shape_of
    from engine.training.row_sources import FreshBugs
    from engine.training.sft import SftConfig, fine_tuned

    base = base or _embedded()
    config = SftConfig(
        FreshBugs(corpus_file, previous_share=0.0),
        base,
        folder,
        dev=FreshBugs(corpus_file, "dev", previous_share=0.0),
        base=base,
        shape=shape_of(base),
        seed=seed,
        wall_clock_s=minutes * 60,
        max_steps=steps,
        workers=workers,
    )
    _train(fine_tuned(config))


def mutation(
    corpus_file: Corpus = BUILD / "corpus.jsonl",
    classical: Annotated[
        Path, typer.Option(help="The classical model, whose patches are shown.")
    ] = BUILD / "sft" / "model",
    folder: Out = BUILD / "mutation",
    instances: Annotated[int, typer.Option(min=1, help="How many bugs to show patches of.")] = 4000,
    minutes: Minutes = 15.0,
    steps: Steps = MANY,
    workers: Workers = 2,
    seed: Seed = 0,
    base: Base = None,
) -> None:
    """Mutation SFT, from the base again: the classical model's patches in view, the repair out."""
    from engine.training.mutation import MutationRows, ensure_mutation_rows
    from engine.training.network import shape_of
    from engine.training.row_sources import WrittenRows
    from engine.training.sft import SftConfig, fine_tuned

    base = base or _embedded()
    train, dev = ensure_mutation_rows(
        MutationRows(corpus_file, classical, "train", instances, seed),
        folder,
        lambda so_far: out.print(f"{so_far:7,} instances"),
    )
    config = SftConfig(
        WrittenRows(train),
        base,
        folder,
        dev=WrittenRows(dev),
        base=base,
        shape=shape_of(base),
        seed=seed,
        wall_clock_s=minutes * 60,
        max_steps=steps,
        workers=workers,
    )
    _train(fine_tuned(config))


def reward(
    tasks: Tasks = TRAIN_TASKS,
    dev_tasks: DevTasks = DEV_TASKS,
    policy: Annotated[
        Path, typer.Option(help="The model whose samples are labelled by running them.")
    ] = BUILD / "sft" / "model",
    folder: Out = BUILD / "reward",
    epochs: Annotated[int, typer.Option(min=1, help="How often to see every task.")] = 3,
    seed: Seed = 0,
    base: Base = None,
) -> None:
    """The reward model: a sigmoid over one patch, trained on samples that were run."""
    from engine.training.reward_model import (
        RewardModelConfig,
        RewardProgress,
        train_reward_model,
    )

    def say(progress: RewardProgress) -> None:
        told = f"  AUC {progress.auc}  pairs {progress.pairs}" if progress.auc else ""
        if told or progress.step % 10 == 0:
            out.print(f"step {progress.step:6}  loss {progress.loss:.3f}{told}")

    config = RewardModelConfig(
        tasks, dev_tasks, policy, base or _embedded(), folder, seed, epochs=epochs
    )
    out.print(f"the reward model is in {train_reward_model(config, open_boxes(), say)}")


def open_boxes() -> "Boxes":
    """Where samples run: bubblewrap, whose boxes open fastest."""
    from engine.training.outcomes import Boxes
    from sandbox import images
    from sandbox.backends import open_sandbox
    from sandbox.settings import SandboxSettings

    sandbox = open_sandbox("bubblewrap", SandboxSettings(kind="bubblewrap"))
    return Boxes(sandbox, images.bare(sandbox))


def _embedded() -> Path:
    from engine.models import EMBEDDED

    return EMBEDDED


def _train(config: "SftConfig") -> None:
    """Run one supervised stage and say how it goes."""
    from engine.training.sft import SftProgress, train_sft

    def say(progress: SftProgress) -> None:
        dev = f"  dev {progress.dev_loss:.3f}" if progress.dev_loss is not None else ""
        out.print(
            f"step {progress.step:6}  {progress.seconds:7.0f} s  {progress.tokens:12,} tokens  "
            f"loss {progress.loss:.3f}{dev}"
        )

    out.print(f"the model is in {train_sft(config, say)}")
