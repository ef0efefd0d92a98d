"""`evoscale bench humanevalfix|refactory|mutants`: one search, three sets of bugs."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer
from rich.console import Console

from bot.cli.files import check_writable, write_whole
from engine.errors import BadInputError

if TYPE_CHECKING:
    from engine.training.benchmark import Mean, Report, Share
    from engine.training.search import Check, SearchTask, TaskResult
    from sandbox.contract import Sandbox as AnySandbox

    Bench = tuple[list[SearchTask], Check]
    BenchOf = Callable[[Sequence[tuple[int, "Given"]], AnySandbox], Bench]

BUILD = Path("build")
Given = TypeVar("Given")

Sample = Annotated[int | None, typer.Option(min=1, help="Only so many, drawn by the seed.")]
Iterations = Annotated[int, typer.Option(min=1, max=32, help="T, the first included.")]
Candidates = Annotated[int, typer.Option(min=1, max=64, help="M, per iteration.")]
Proposer = Annotated[
    Literal["evolve", "sample", "rewrite", "write", "random"],
    typer.Option(
        help="`sample` never shows earlier candidates, `evolve` does; `rewrite` and `write` are "
        "what is mixed in it, ranked rewrites and free writing; `random` is the baseline."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same candidates.")]
Sandbox = Annotated[
    Literal["auto", "docker", "runc", "bubblewrap"], typer.Option(help="Where the tests run.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="JSON, written after each; a run goes on where it ended."),
]
AtLeast = Annotated[
    int, typer.Option(min=0, help="End with exit code 1 when fewer than so many are solved.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object as the last line on stdout.")]
Together = Annotated[
    int,
    typer.Option(
        min=1, max=256, help="How many are searched side by side, sharing boxes and time."
    ),
]
Told = Annotated[
    bool, typer.Option("--issue", help="Tell the model one line about a call that fails.")
]


Traced = Annotated[
    bool,
    typer.Option("--traced/--untraced", help="Leave out edits of lines that no failing check ran."),
]


@dataclass(frozen=True, slots=True)
class _Run:
    """What the three commands share."""

    benchmark: str
    data: str
    sample: int | None
    iterations: int
    candidates: int
    proposer: str
    seed: int
    sandbox: Literal["auto", "docker", "runc", "bubblewrap"]
    together: int
    traced: bool
    out_file: Path | None
    as_json: bool

    @property
    def command(self) -> str:
        """The command line that repeats the run."""
        sample = f" --sample {self.sample}" if self.sample else ""
        return (
            f"evoscale bench {self.benchmark} {self.data}{sample} --iterations {self.iterations} "
            f"--candidates {self.candidates} --proposer {self.proposer} --seed {self.seed} "
            f"--sandbox {self.sandbox} --together {self.together}"
            f" --{'traced' if self.traced else 'untraced'}"
        )


def humanevalfix(
    data: Annotated[Path, typer.Option(help="humanevalfix-python.jsonl of the benchmark.")],
    sample: Sample = None,
    iterations: Iterations = 4,
    candidates: Candidates = 8,
    proposer: Proposer = "sample",
    seed: Seed = 0,
    sandbox: Sandbox = "bubblewrap",
    together: Together = 8,
    traced: Traced = True,
    at_least: AtLeast = 0,
    out_file: Out = None,
    as_json: AsJson = False,
) -> None:
    """Repair HumanEvalFix: the visible test picks the candidate, the hidden one is the verdict.

    With --out a run that was interrupted goes on: functions in the file are not tried again.
    """
    from engine.training.humanevalfix import read_tasks, search_tasks

    run = _Run(
        "humanevalfix",
        f"--data {data}",
        sample,
        iterations,
        candidates,
        proposer,
        seed,
        sandbox,
        together,
        traced,
        out_file,
        as_json,
    )
    report = _measure(run, read_tasks(data), search_tasks)
    if report.solved.solved < at_least:
        raise typer.Exit(1)


def refactory(
    data: Annotated[Path, typer.Option(help="refactory.jsonl of the benchmark.")],
    sample: Sample = None,
    iterations: Iterations = 4,
    candidates: Candidates = 8,
    proposer: Proposer = "sample",
    seed: Seed = 0,
    sandbox: Sandbox = "bubblewrap",
    told: Told = False,
    together: Together = 8,
    traced: Traced = True,
    out_file: Out = None,
    as_json: AsJson = False,
) -> None:
    """Repair students' programs: half of the cases pick the candidate, all of them are the verdict.

    With --out a run that was interrupted goes on: programs in the file are not tried again.
    """
    from engine.training.outcomes import Boxes
    from engine.training.refactory import WrongProgram, read_programs, search_tasks
    from sandbox import images

    run = _Run(
        "refactory",
        f"--data {data}{' --issue' if told else ''}",
        sample,
        iterations,
        candidates,
        proposer,
        seed,
        sandbox,
        together,
        traced,
        out_file,
        as_json,
    )

    def bench_of(programs: Sequence[tuple[int, WrongProgram]], engine: "AnySandbox") -> "Bench":
        return search_tasks(programs, Boxes(engine, images.bare(engine)), told=told)

    _measure(run, read_programs(data), bench_of)


def mutants(
    data: Annotated[
        list[Path] | None,
        typer.Option(help="What `evoscale train executable` made of the unseen packages; repeat."),
    ] = None,
    wheels: Annotated[
        Path, typer.Option(help="The folder of the pinned wheels; what it lacks is downloaded.")
    ] = BUILD / "wheels",
    sample: Sample = None,
    iterations: Iterations = 4,
    candidates: Candidates = 8,
    proposer: Proposer = "sample",
    seed: Seed = 0,
    sandbox: Sandbox = "bubblewrap",
    told: Told = False,
    together: Together = 8,
    traced: Traced = True,
    out_file: Out = None,
    as_json: AsJson = False,
) -> None:
    """Repair bugs put into functions of unseen packages, some of kinds that no training drew.

    With --out a run that was interrupted goes on: functions in the file are not tried again.
    """
    from engine.models.rewrites.kinds import HELD_OUT
    from engine.training.executable import ExecutableTask
    from engine.training.mutants import boxes_for_packages, read_mutants, search_tasks

    files = data or [BUILD / "mutants.jsonl", BUILD / "unseen-kinds.jsonl"]
    run = _Run(
        "mutants",
        " ".join(f"--data {file}" for file in files) + (" --issue" if told else ""),
        sample,
        iterations,
        candidates,
        proposer,
        seed,
        sandbox,
        together,
        traced,
        out_file,
        as_json,
    )
    held_out = frozenset(kind.rewrite.__name__ for kind in HELD_OUT)

    def bench_of(found: Sequence[tuple[int, ExecutableTask]], engine: "AnySandbox") -> "Bench":
        return search_tasks(found, boxes_for_packages(engine, wheels), held_out, told=told)

    _measure(run, read_mutants(files), bench_of)


def _measure(run: _Run, given: Sequence[Given], bench_of: "BenchOf[Given]") -> "Report":
    """Search the sample, keep what is found, and say the figures."""
    from engine import models
    from engine.settings import EngineSettings
    from engine.training.benchmark import run_benchmark
    from engine.training.search import Search, numbered, proposer_of
    from sandbox.backends import open_sandbox
    from sandbox.settings import SandboxSettings

    if run.out_file is not None:
        check_writable(run.out_file)
    known = read_known(run.out_file, run.command)
    engine = open_sandbox(run.sandbox, SandboxSettings(kind=run.sandbox))
    tasks, check = bench_of(numbered(given, run.sample, run.seed), engine)
    bench = (tasks if run.traced else [task.untraced() for task in tasks]), check
    blind = run.proposer == "random"
    only = run.proposer if run.proposer in models.WRITTEN else "mix"
    settings = EngineSettings().model_copy(update={"proposer": only})
    with nullcontext() if blind else models.opened(settings) as model:
        search = Search(
            name=run.proposer,
            proposer=proposer_of(run.proposer, model),
            model="none" if model is None else model.name,
            seed=run.seed,
            iterations=run.iterations,
            candidates=run.candidates,
            together=run.together,
        )
        report = run_benchmark(
            run.benchmark,
            bench,
            search,
            isolation=engine.isolation,
            on_progress=_saying(run, known),
            known=known,
        )
    _keep(run.out_file, {"command": run.command, **asdict(report)})
    _say(run, report)
    return report


def _saying(run: _Run, known: "Mapping[str, TaskResult]") -> "Callable[[TaskResult], None]":
    """What is done with each result: it is kept, and said."""
    err = Console(stderr=True)
    tried = [asdict(result) for result in known.values()]

    def say(result: "TaskResult") -> None:
        tried.append(asdict(result))
        _keep(run.out_file, {"command": run.command, "tasks": tried})
        mark = "[green]solved[/]" if result.solved else "[dim]not solved[/]"
        err.print(f"{result.task_id:12} {mark} {result.candidates:3} candidates", soft_wrap=True)

    return say


def _say(run: _Run, report: "Report") -> None:
    """The figures: one JSON object, or lines for a person."""
    err = Console(stderr=True)
    err.print(f"to repeat it: {run.command}", soft_wrap=True, highlight=False)
    if run.as_json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        return
    out = Console()
    whole, mean = report.solved, report.weighted
    out.print(
        f"{whole.solved} of {whole.total} solved ({_told(whole)}) within "
        f"{run.iterations * run.candidates} candidates; {report.seconds_per_function:.1f} s each"
    )
    out.print(f"each group counted alike: {_told(mean)}")
    for name, share in {**report.by_group, **report.by_subset}.items():
        out.print(f"  {name}: {share.solved} of {share.total} ({_told(share)})", highlight=False)


def _told(share: "Share | Mean") -> str:
    """A rate in per cent with its interval."""
    return f"{100 * share.rate:.1f} %, {100 * share.low:.1f} to {100 * share.high:.1f}"


def read_known(path: Path | None, command: str) -> "dict[str, TaskResult]":
    """The results that an earlier run of the same command left in `path`.

    Raises:
        BadInputError: the file is none of ours, or was made by another command.
    """
    from engine.training.search import TaskResult

    if path is None or not path.is_file() or not path.stat().st_size:
        return {}
    try:
        found = json.loads(path.read_bytes())
        made_by = str(found["command"])
        results = [TaskResult(**task) for task in found["tasks"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInputError(f"{path} holds no results of a benchmark; name another file") from error
    if made_by != command:
        raise BadInputError(f"{path} was made by `{made_by}`; repeat that, or name another file")
    return {result.task_id: result for result in results}


def _keep(path: Path | None, found: dict[str, object]) -> None:
    if path is not None:
        write_whole(path, json.dumps(found, indent=2) + "\n")
