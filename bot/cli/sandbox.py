"""`evoscale sandbox …`: what this machine's boxes hold, and the room that their images take."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from sandbox.guarantees import Finding
    from sandbox.pruning import Pruned

app = typer.Typer(no_args_is_help=True, help="What keeps foreign code in on this machine.")

JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object as the last line on stdout.")
]
KindOption = Annotated[
    Literal["auto", "docker", "runc", "bubblewrap"] | None,
    typer.Option("--sandbox", help="Which back end; the settings' if not given."),
]


@app.command()
def check(sandbox: KindOption = None, as_json: JsonOption = False) -> None:
    """Attack boxes on this machine and print what holds; takes a minute or two, gVisor some more.

    First the promises of a box, one by one; then hostile candidates of a small repository, which
    reach out of their box, leave something for the host or for the next candidate, fake results of
    their tests and, where network, memory and processes hold, bomb, fill and flood.

    Exit code 1 where network, memory or processes, or what EVOSCALE_SANDBOX_REQUIRE adds, do not
    hold: a worker refuses to run then.
    """
    from sandbox.backends import find_sandbox
    from sandbox.conformance.lacks import lacks
    from sandbox.errors import SandboxError
    from sandbox.guarantees import attacked, must_hold
    from sandbox.settings import SandboxSettings

    settings = SandboxSettings() if sandbox is None else SandboxSettings(kind=sandbox)
    opened = find_sandbox(settings.kind, settings)
    err = Console(stderr=True)
    found: list[Finding] = []
    began = time.monotonic()
    for finding in attacked(opened, settings):
        found.append(finding)
        if not as_json:
            spent = time.monotonic() - began
            err.print(f"[dim]{len(found):3} {spent:4.0f} s {escape(finding.name)}[/]")
    refusal = None
    try:
        must_hold(opened, settings)
    except SandboxError as error:
        refusal = str(error)
    if as_json:
        checks = [asdict(finding) for finding in found]
        whole = {
            "isolation": opened.isolation,
            "watched": dict(opened.watched),
            "lacks": dict(lacks(opened)),
            "refused": refusal,
            "checks": checks,
        }
        sys.stdout.write(json.dumps(whole) + "\n")
    else:
        _show(opened.isolation, found, refusal)
        for word, why in (*opened.watched.items(), *lacks(opened).items()):
            Console().print(f"{word}: {escape(why)}", soft_wrap=True)
    unkept = any(not finding.holds and not finding.optional for finding in found)
    raise typer.Exit(1 if refusal or unkept else 0)


@app.command()
def prune(
    days: Annotated[
        float | None, typer.Option(min=0, help="Remove what was not used for so many days.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=0, help="Bytes that may stay; the longest unused go first.")
    ] = None,
    sandbox: KindOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove images by age and size, and what killed processes left; never what is in use.

    What pip and npm keep goes in the same way. Without options the settings decide; workers do the
    same by themselves every hour.
    """
    from sandbox.backends import open_sandbox
    from sandbox.pruning import DAY_S, prune_downloads
    from sandbox.pruning import prune as prune_images
    from sandbox.settings import SandboxSettings

    settings = SandboxSettings() if sandbox is None else SandboxSettings(kind=sandbox)
    opened = open_sandbox(settings.kind, settings)
    boxes = opened.reap()
    age_s = (settings.images_days if days is None else days) * DAY_S
    most = settings.images_bytes if keep is None else keep
    pruned = prune_images(opened, older_than_s=age_s, most_bytes=most)
    most = settings.downloads_bytes if keep is None else keep
    kept = prune_downloads(settings.downloads, older_than_s=age_s, most_bytes=most)
    if as_json:
        told = {"boxes": boxes, **asdict(pruned), "downloads": asdict(kept)}
        sys.stdout.write(json.dumps(told) + "\n")
        return
    out = Console()
    removed = f"{boxes} boxes and {len(pruned.removed)} images removed"
    out.print(f"{removed}: {_room(pruned)} of images are left", soft_wrap=True)
    removed = f"{len(kept.removed)} files of downloads removed"
    out.print(f"{removed}: {_room(kept)} of downloads are left", soft_wrap=True)


def _room(pruned: "Pruned") -> str:
    freed, left = (size / 1024**2 for size in (pruned.freed_bytes, pruned.left_bytes))
    return f"{freed:.0f} MiB freed, {left:.0f} MiB"


def _show(isolation: str, found: "list[Finding]", refusal: str | None) -> None:
    table = Table("", "promise", "what happened instead", title=isolation)
    for finding in found:
        unkept = "[yellow]partial[/]" if finding.optional else "[red]broken[/]"
        mark = "[green]holds[/]" if finding.holds else unkept
        table.add_row(mark, escape(finding.name), escape(finding.problem or ""))
    out = Console()
    out.print(table)
    if refusal:
        out.print(f"[bold red]refused:[/] {escape(refusal)}", soft_wrap=True)
