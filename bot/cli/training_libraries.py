"""`evoscale train large …`: the recipe at the size of 7B and 32B models."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(
    no_args_is_help=True,
    help="The same recipe for models of 7B and 32B, on TRL; docs/training-large.md.",
)
out = Console()

Config = Annotated[
    str, typer.Option(help="A TOML file, or `qwen2.5-coder-7b` or `qwen2.5-coder-32b`.")
]
GIB = 1024**3


@app.command()
def sft(config: Config) -> None:
    """Classical SFT of the base model. Goes on from its last checkpoint, as all stages do."""
    from engine.training.libraries.config import load_config
    from engine.training.libraries.trl_sft import train_supervised

    folder = train_supervised(load_config(config), mutation=False)
    out.print(f"the model is in {escape(str(folder))}")


@app.command()
def mutation(config: Config) -> None:
    """Mutation SFT, from the base model again, shown patches of the classical one."""
    from engine.training.libraries.config import load_config
    from engine.training.libraries.trl_sft import train_supervised

    folder = train_supervised(load_config(config), mutation=True)
    out.print(f"the model is in {escape(str(folder))}")


@app.command()
def reward(config: Config) -> None:
    """The reward model: does this patch resolve this issue?"""
    from engine.training.libraries.config import load_config
    from engine.training.libraries.trl_reward import train_reward

    out.print(f"the model is in {escape(str(train_reward(load_config(config))))}")


@app.command()
def rl(config: Config) -> None:
    """RL for self-evolution, from the mutation model."""
    from engine.training.libraries.config import load_config
    from engine.training.libraries.trl_rl import train_rl

    out.print(f"the model is in {escape(str(train_rl(load_config(config))))}")


@app.command()
def plan(config: Config = "qwen2.5-coder-32b") -> None:
    """Parameters, bytes and cards that every stage needs, computed from the model's numbers."""
    from engine.training.libraries.config import load_config
    from engine.training.libraries.memory import parameters
    from engine.training.libraries.plan import RESERVE, needs

    read = load_config(config)
    found = list(needs(read))
    table = Table("stage", "weights", "gradients", "optimizer", "a card's own", "cards", "a card")
    for need in found:
        state = need.state
        shown = [state.weights, state.gradients, state.optimizer, need.card]
        cards = str(need.cards) if need.cards else "none fits"
        held = f"{need.per_card / GIB:,.1f}" if need.per_card else ""
        sizes = [f"{size / GIB:,.1f}" for size in shown]
        table.add_row(need.stage + (f"\n{need.note}" if need.note else ""), *sizes, cards, held)
    if read.architecture is not None:
        out.print(f"{escape(read.model.name)}: {parameters(read.architecture).total:,} parameters")
    out.print(
        f"GiB; cards of {read.hardware.gpu_memory_gib:g} GiB, of which {RESERVE:.0%} is left free; "
        f"{read.model.context_tokens:,} tokens of context"
    )
    out.print(table)
    if read.run.accelerate != "none":
        out.print(
            f"start a stage on several cards with: accelerate launch --config_file "
            f"{read.run.accelerate}.yaml -m bot.cli train large STAGE --config FILE"
        )


@app.command()
def data(
    out_file: Annotated[Path, typer.Option("--out", help="Where the tasks or verdicts go.")] = Path(
        "tasks.jsonl"
    ),
    instances: Annotated[
        list[Path] | None,
        typer.Option(help="JSONL or parquet of SWE-Fixer, SWE-Gym or SWE-bench-extra; repeat it."),
    ] = None,
    clones: Annotated[
        Path | None, typer.Option(help="The folder of the repositories' clones, for instances.")
    ] = None,
    trajectories: Annotated[
        Path | None, typer.Option(help="Parquet of SWE-agent-trajectories, for verdicts.")
    ] = None,
    tasks: Annotated[
        Path | None, typer.Option(help="The tasks that verdicts are about, made before.")
    ] = None,
    how: Annotated[bool, typer.Option("--how", help="Say how to get the data, and end.")] = False,
) -> None:
    """Public data, downloaded by you, to tasks (--instances --clones) or verdicts."""
    from engine.errors import BadInputError
    from engine.training.libraries import public_data
    from engine.training.libraries.public_tables import HOW_TO_GET
    from engine.training.libraries.tasks import TaskFile, write_rows

    if how:
        out.print(HOW_TO_GET, highlight=False)
        return
    report = public_data.Report()
    if instances and clones:
        write_rows(out_file, public_data.all_tasks(instances, clones, report))
    elif trajectories and tasks:
        known = frozenset(TaskFile(tasks).ids)
        write_rows(out_file, public_data.verdicts(trajectories, known, report))
    else:
        raise BadInputError(
            "name --instances and --clones for tasks, or --trajectories and --tasks for verdicts; "
            "--how says where they come from"
        )
    for reason, count in report.left_out.most_common():
        out.print(f"{count:8,}  left out: {escape(reason)}", highlight=False)
    out.print(f"{report.kept:8,}  kept in {escape(str(out_file))}", highlight=False)


@app.command()
def sample(
    config: Config,
    out_file: Annotated[Path, typer.Option("--out", help="Where candidates go; appended to.")],
    n: Annotated[int, typer.Option("-n", min=1, max=64, help="Patches of a task.")] = 5,
) -> None:
    """Sample patches of every task with the model that EVOSCALE_ENGINE_MODEL names."""
    from engine import models
    from engine.settings import EngineSettings
    from engine.training.libraries.config import load_config
    from engine.training.libraries.sampling import sample as sample_all

    with models.opened(EngineSettings()) as model:
        written = sample_all(load_config(config), model, n, out_file, out.print)
    out.print(f"{written:,} candidates written to {escape(str(out_file))}")


@app.command()
def serve(
    config: Config,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Its port.")] = 8100,
) -> None:
    """Serve the reward to trainers: TRL's ranks, OpenRLHF, verl."""
    from engine.training.libraries.config import load_config
    from engine.training.libraries.reward_server import Rewards, make_server
    from engine.training.libraries.scoring import local_scorer
    from engine.training.libraries.tasks import TaskFile

    read = load_config(config)
    rewards = Rewards(
        TaskFile(read.data.tasks), local_scorer(read), read.model.profile, read.rl.penalty
    )
    with make_server(rewards, host, port) as server:
        out.print(f"rewards at http://{host}:{server.server_port}/objective")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            out.print("stopped")


@app.command()
def export(
    config: Config,
    to: Annotated[Literal["openrlhf", "verl"], typer.Option(help="Whose fields are written.")],
    folder: Annotated[Path, typer.Option("--out", help="The folder that the files go to.")],
    rounds: Annotated[
        int, typer.Option(min=1, help="Prompts of a task in the RL file, each with its own E.")
    ] = 4,
) -> None:
    """The same data as files of OpenRLHF or verl, and the options that name them."""
    from engine.training.libraries import verl_reward
    from engine.training.libraries.config import load_config
    from engine.training.libraries.export import advice
    from engine.training.libraries.export import export as write
    from engine.training.libraries.scoring import make_scorer

    read = load_config(config)
    scorer = make_scorer(read) if read.data.candidates else None
    for name, rows in write(read, to, folder, scorer, rounds).items():
        out.print(f"{rows:8,}  {escape(str(folder / name))}", highlight=False)
    out.print(escape(advice(to, folder, Path(verl_reward.__file__))), highlight=False)
