"""`evoscale …`: every command a person types.

The one module of the bot that may look behind the engine's front door, on demand, command by
command; nothing imports it.
"""

import json
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from bot.cli import inbound, measuring, sandbox, training
from bot.cli.files import NO_ROOM, check_writable, write_whole
from engine import logs

if TYPE_CHECKING:
    from engine.solve import Solution

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="A labelled issue becomes a tested pull request. Start with [bold]evoscale demo[/].",
)
app.add_typer(training.app, name="train")
app.add_typer(measuring.app, name="bench")
app.add_typer(sandbox.app, name="sandbox")
app.command()(inbound.receive)
app.command()(inbound.replay)

EXIT_BAD_INPUT = 2
EXIT_NO_PATCH = 3

out = Console()
err = Console(stderr=True)


def main() -> None:
    """Run the command line; known failures end with one clear sentence and exit code 2."""
    from pydantic import ValidationError

    from bot.errors import BotError
    from bot.settings import wrong_settings
    from engine.errors import EngineError
    from sandbox.errors import SandboxError

    try:
        app()
    except (BotError, EngineError, SandboxError) as error:
        _refuse(str(error))
    except ValidationError as error:
        wrong = wrong_settings(error)
        if wrong is None:
            raise
        _refuse(wrong)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        _refuse(f"{error.strerror}{where}; make room, try again")


def _refuse(reason: str) -> NoReturn:
    err.print(f"[bold red]evoscale:[/] {escape(reason)}", highlight=False, soft_wrap=True)
    sys.exit(EXIT_BAD_INPUT)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, for browsing.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use the small project that ships, no download.")
    ] = False,
    sandbox: Annotated[
        Literal["auto", "docker", "runc", "bubblewrap"], typer.Option(help="Where the tests run.")
    ] = "auto",
    case: Annotated[
        str, typer.Option(help="Which real bug; `evoscale demo --list` names them.")
    ] = "",
    list_cases: Annotated[bool, typer.Option("--list", help="List the real bugs.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object as the last line on stdout.")
    ] = False,
) -> None:
    """From a labelled issue to a tested pull request, all on this machine.

    Starts a GitHub of its own (fakehub), the web process, the workers and the scheduler; pushes a
    real project with a real bug, opens the issue, sets the label, and waits for the pull request.
    """
    from bot import demo as demo_module

    if list_cases:
        demo_module.list_cases(out)
        return
    options = demo_module.DemoOptions(keep, offline, sandbox, case, as_json)
    raise typer.Exit(demo_module.run(options, err if as_json else out))


@app.command()
def solve(
    issue: Annotated[Path, typer.Argument(help="A Markdown file; its first line is the title.")],
    repo: Annotated[Path, typer.Option(help="The checkout to repair; it is never changed.")],
    iterations: Annotated[int, typer.Option(min=1, max=20, help="The first one included.")] = 4,
    candidates: Annotated[int, typer.Option(min=1, max=64, help="Sampled per iteration (M).")] = 8,
    conditioning: Annotated[
        int, typer.Option(min=0, max=20, help="Earlier patches shown to the model (K).")
    ] = 5,
    selection: Annotated[
        Literal["by_tests", "by_reward", "unscored"],
        typer.Option(help="How those K are chosen; `unscored` needs a model trained for it."),
    ] = "by_tests",
    model: Annotated[
        str, typer.Option(help="`embedded`, a back end's name, or a JSON script of completions.")
    ] = "",
    proposer: Annotated[
        Literal["mix", "rewrite", "write"] | None,
        typer.Option(
            help="The embedded model's ranked rewrites, free writing, or the mix that solves most."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same candidates.")] = 0,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="First at temperature 0, as the paper's greedy mode.")
    ] = False,
    sandbox: Annotated[
        Literal["auto", "docker", "runc", "bubblewrap"], typer.Option(help="Where the tests run.")
    ] = "auto",
    test_command: Annotated[
        str, typer.Option(help="How the tests run; found out if not given.")
    ] = "",
    minutes: Annotated[
        float, typer.Option(min=0.01, help="The longest that it may search.")
    ] = 30.0,
    out_file: Annotated[Path | None, typer.Option("--out", help="Write the patch here.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object as the last line on stdout.")
    ] = False,
) -> None:
    """Search for a patch to a local checkout: no GitHub, no queue.

    Exit code 0 with a patch, 3 without one, 2 for bad input.
    """
    from engine.contract import Budget, Progress, Selection
    from engine.settings import EngineSettings
    from engine.solve import SolveOptions, solution
    from engine.solve import solve as search
    from sandbox.settings import SandboxSettings

    if out_file is not None:
        check_writable(out_file)
    chosen = _model_choice(model) | ({"proposer": proposer} if proposer else {})
    settings = EngineSettings().model_copy(update=chosen)
    budget = Budget(
        iterations=iterations,
        candidates_per_iteration=candidates,
        conditioning_examples=conditioning,
        wall_clock_s=minutes * 60,
    )
    options = SolveOptions(
        issue=issue,
        repo=repo,
        budget=budget,
        selection=Selection(selection),
        seed=seed,
        test_command=tuple(shlex.split(test_command)) or None,
        greedy=greedy,
    )
    logs.set_up("plain", "WARNING")
    began = time.monotonic()

    def say(progress: Progress) -> None:
        note = f"  {progress.note}" if progress.note else ""
        tried = f"  {progress.candidates} candidates" if progress.candidates else ""
        err.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {progress.stage}{tried}{note}")

    outcome = search(options, settings, SandboxSettings(kind=sandbox), say)
    result = solution(outcome, settings.model, seed, time.monotonic() - began)
    if as_json:
        sys.stdout.write(result.model_dump_json() + "\n")
    else:
        _show_solution(result)
    if out_file is not None and result.patch:
        write_whole(out_file, result.patch)
    raise typer.Exit(0 if result.patch else EXIT_NO_PATCH)


def _model_choice(model: str) -> dict[str, str]:
    """The settings that `--model` stands for; the environment's where it is not given."""
    from engine.errors import BadInputError
    from engine.models import BACK_ENDS

    if not model:
        return {}
    if model.endswith(".json"):
        return {"model": "scripted", "model_name": model}
    if model not in BACK_ENDS:
        raise BadInputError(f"there is no model {model!r}; there are {', '.join(BACK_ENDS)}")
    return {"model": model}


def _show_solution(result: "Solution") -> None:
    out.print(f"[bold]{result.status}[/]")
    told = (
        ("", result.reason),
        ("\nWhat the log says:\n", result.log),
        ("\nThe recipe that was tried; change it in .github/evoscale.yml:\n", result.recipe),
    )
    for head, text in told:
        if text:
            out.print(f"{head}{text.rstrip()}", highlight=False, markup=False, soft_wrap=True)
    if result.patch:
        out.print(Syntax(result.patch, "diff", theme="ansi_dark", background_color="default"))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8080,
) -> None:
    """Run the web process: the webhook receiver and the run pages."""
    import uvicorn

    uvicorn.run("bot.main:app", factory=True, host=host, port=port, log_config=None)


@app.command()
def worker(
    role: Annotated[
        Literal["bot", "engine", "gpu", "sandbox"],
        typer.Argument(
            help="`bot` talks to GitHub; `gpu` searches with the model; `sandbox` builds and tests "
            "in boxes; `engine` searches and tests what it finds itself."
        ),
    ],
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Tasks at a time.")] = 4,
) -> None:
    """Run a Celery worker; give the engine's no GitHub credential, it needs none."""
    from engine.queue import CONTROL, GPU, LAST_LOOK, SANDBOX

    queues = {"bot": [CONTROL], "gpu": [GPU], "sandbox": [SANDBOX, LAST_LOOK], "engine": [GPU]}
    if role == "bot":
        from bot.tasks import app as celery
    else:
        if role == "sandbox":
            _must_hold_no_secret()
        if role != "gpu":
            from sandbox.guarantees import open_checked
            from sandbox.settings import SandboxSettings

            open_checked(SandboxSettings())  # no errand is taken where boxes do not hold
        from engine.tasks import app as celery
        from engine.tasks import settings, testers

        if role == "engine":
            testers.start(settings.sandbox_workers)
    arguments = ["worker", "--pool", "threads", "--concurrency", str(concurrency)]
    arguments += ["--queues", ",".join(queues[role]), "--hostname", f"{role}@%h"]
    celery.worker_main(
        [*arguments, "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    )


def _must_hold_no_secret() -> None:
    from engine.errors import BadInputError
    from engine.settings import held_secrets

    held = held_secrets()
    if held:
        raise BadInputError(
            f"this worker was given {', '.join(held)}; a process that starts boxes must hold no "
            "secret, so unset it there (docs/security.md)"
        )


@app.command()
def beat(
    state: Annotated[Path, typer.Option(help="Where the scheduler keeps its times.")] = Path(
        "evoscale-beat"
    ),
) -> None:
    """Run the scheduler: it has the bot look now and then for what no delivery told it."""
    from bot.tasks import app as celery

    celery.Beat(schedule=str(state), loglevel="WARNING").run()


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check everything that an operator can get wrong, and say how to mend it."""
    from bot import doctor as doctor_module

    logging.disable(logging.WARNING)
    checks = doctor_module.check_all()
    if as_json:
        sys.stdout.write(json.dumps([check.as_dict() for check in checks]) + "\n")
    else:
        table = Table("", "what", "found", "to mend it", show_lines=False)
        for check in checks:
            table.add_row(check.mark, check.what, check.found, check.advice)
        out.print(table)
    raise typer.Exit(1 if any(check.failed for check in checks) else 0)
