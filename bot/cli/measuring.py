"""`evoscale bench …`: the figures, each from a command."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from bot.cli import benchmarks
from bot.cli.files import check_writable, write_whole

app = typer.Typer(no_args_is_help=True, help="Measure; every figure in the docs has a command.")


for command in (benchmarks.humanevalfix, benchmarks.refactory, benchmarks.mutants):
    app.command()(command)


@app.command()
def realbugs(
    name: Annotated[
        list[str] | None, typer.Option("--only", help="Only this bug; repeat it for more.")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, max=20, help="T, the first included.")] = 6,
    candidates: Annotated[int, typer.Option(min=1, max=64, help="M, per iteration.")] = 16,
    minutes: Annotated[float, typer.Option(min=0.1, help="The longest for one bug.")] = 5.0,
    sandbox: Annotated[
        Literal["auto", "docker", "runc", "bubblewrap"], typer.Option(help="Where the tests run.")
    ] = "auto",
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="JSON, written after each bug; a run goes on where it ended."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write the table of docs/results.md here.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object as the last line on stdout.")
    ] = False,
) -> None:
    """Try every real bug of the list; a hidden check is the verdict.

    With --out a run that was interrupted goes on: bugs that stand in the file are not tried again.
    """
    from bot.cli import real_bugs
    from engine.contract import Budget
    from sandbox.settings import SandboxSettings

    err = Console(stderr=True)

    def say(result: real_bugs.Result, results: real_bugs.Results) -> None:
        if out_file is not None:
            write_whole(out_file, results.model_dump_json(indent=2) + "\n")
        word = "[green]solved[/]" if result.solved else f"[dim]{result.status}[/]"
        err.print(f"{result.name:32} {word}  {result.candidates} candidates {result.seconds:.0f} s")

    command = (
        f"evoscale bench realbugs --iterations {iterations} --candidates {candidates} "
        f"--minutes {minutes:g} --sandbox {sandbox}"
    )
    for path in (out_file, table):
        if path is not None:
            check_writable(path)
    known = real_bugs.read_results(out_file, command)
    budget = Budget(
        iterations=iterations, candidates_per_iteration=candidates, wall_clock_s=minutes * 60
    )
    results = real_bugs.run_all(
        name or [], budget, SandboxSettings(kind=sandbox), known=known, say=say
    )
    if table is not None:
        write_whole(table, real_bugs.as_markdown(results))
    err.print(f"{results.solved} of {results.of} solved; to repeat it: {command}", soft_wrap=True)
    if as_json:
        sys.stdout.write(results.model_dump_json() + "\n")


@app.command()
def environments(
    only: Annotated[str, typer.Option("--only", help="Only this language or project.")] = "",
    sandbox: Annotated[
        Literal["auto", "docker", "runc", "bubblewrap"], typer.Option(help="Where the tests run.")
    ] = "auto",
    seconds: Annotated[
        float, typer.Option(min=1.0, help="The longest for one command; a job has less.")
    ] = 300.0,
    page: Annotated[
        Path | None, typer.Option(help="Write docs/results/environments.md here.")
    ] = None,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="JSON, written after each; a run goes on where it ended."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object as the last line on stdout.")
    ] = False,
) -> None:
    """Bring real projects to a green base without a human; each failure has its reason.

    With --out a run that was interrupted goes on: projects in the file are not tried again.
    """
    from bot.cli import environments as projects
    from sandbox.backends import open_sandbox
    from sandbox.settings import SandboxSettings

    for path in (page, out_file):
        if path is not None:
            check_writable(path)
    known = projects.read_rows(out_file)
    err = Console(stderr=True)
    settings = SandboxSettings(kind=sandbox, wall_clock_s=seconds)
    bench = projects.Bench(projects.load(only), open_sandbox(sandbox, settings), settings)

    command = (
        f"evoscale bench environments{f' --only {only}' if only else ''} "
        f"--sandbox {sandbox} --seconds {seconds:g}"
    )

    def keep() -> None:
        if out_file is not None:
            write_whole(out_file, projects.as_json(known))
        if page is not None:
            told = (len(bench.pins), command, bench.sandbox.isolation, seconds)
            write_whole(page, projects.as_markdown(known, *told))

    def say(row: projects.Row) -> None:
        known.append(row)
        keep()
        word = "[green]green[/]" if row.green else f"[dim]{escape(row.reason)}[/]"
        name = f"{row.language} {row.name} {row.version}"
        err.print(f"{name:44} {row.tests:5} tests {word}", soft_wrap=True)

    keep()
    rows = projects.run_all(bench, list(known), say)
    green = sum(row.green for row in rows)
    err.print(f"{green} of {len(rows)} reach a green base; to repeat it: {command}", soft_wrap=True)
    if as_json:
        found = {
            "projects": [row.model_dump() for row in rows],
            "languages": projects.totals(rows),
        }
        sys.stdout.write(json.dumps(found) + "\n")


@app.command()
def sandbox(
    rounds: Annotated[int, typer.Option(min=1, max=200, help="Candidates of each kind.")] = 20,
    in_a_row: Annotated[
        int, typer.Option(min=0, help="Candidates after which nothing may be left behind.")
    ] = 200,
    page: Annotated[Path | None, typer.Option(help="Write docs/results/sandbox.md here.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object as the last line on stdout.")
    ] = False,
) -> None:
    """What a box costs: one candidate through every kind of box, interleaved, in one run."""
    from rich.markdown import Markdown

    from bot.cli import box_figures

    if page is not None:
        check_writable(page)
    err = Console(stderr=True)
    figures = box_figures.measure(rounds, in_a_row, lambda said: err.print(f"[dim]{said}[/]"))
    command = f"evoscale bench sandbox --rounds {rounds} --in-a-row {in_a_row}"
    text = box_figures.as_markdown(figures, command)
    if page is not None:
        write_whole(page, text)
    if as_json:
        sys.stdout.write(figures.model_dump_json() + "\n")
        return
    Console().print(Markdown(text))
