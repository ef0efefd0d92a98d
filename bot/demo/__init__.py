"""`evoscale demo`: somebody labels an issue on a GitHub of this machine's own, and gets a patch."""

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from bot.demo import cases
from bot.demo.cases import CaseUnavailableError, Project
from bot.demo.stack import Stack, running
from bot.fakehub.driver import FakehubDriver
from bot.render.markdown import number
from engine.contract import Evidence, Patched, Stage
from engine.store import JobState, JobStore, StoredJob, connect
from sandbox.backends import open_sandbox
from sandbox.errors import SandboxError
from sandbox.settings import SandboxSettings

SandboxKind = Literal["auto", "docker", "runc", "bubblewrap"]

OWNER = "octo"
PERSON = "ada"
LABEL = "evoscale"
LIMIT_S = 540.0
POLL_S = 0.25
MAX_TESTS_SHOWN = 8
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a person can say to `evoscale demo`."""

    keep: bool = False
    offline: bool = False
    sandbox: SandboxKind = "auto"
    case: str = ""
    as_json: bool = False


@dataclass(slots=True)
class Watch:
    """Seconds spent per stage, in the order in which the stages were seen."""

    began: float = field(default_factory=time.monotonic)
    seen: dict[str, float] = field(default_factory=dict)
    last: str = ""
    last_at: float = field(default_factory=time.monotonic)

    def stage(self, name: str) -> None:
        """Note that `name` is what goes on now."""
        now = time.monotonic()
        if self.last:
            self.seen[self.last] = self.seen.get(self.last, 0.0) + now - self.last_at
        self.last, self.last_at = name, now

    @property
    def total_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began


def list_cases(out: Console) -> None:
    """Print the real bugs that `--case` takes."""
    table = Table("case", "release", "licence", "report")
    for case in cases.load():
        release = f"{case.project} {case.version}"
        table.add_row(case.name, release, case.licence, escape(case.title))
    out.print(table)


def run(options: DemoOptions, out: Console) -> int:
    """Play the whole story; 0 when it ended with a pull request whose tests pass, else 1."""
    folder = Path(mkdtemp(prefix="evoscale-demo-"))
    watch = Watch()
    try:
        with _interruptible():
            return _play(options, folder, watch, out)
    except KeyboardInterrupt:
        out.print("\n[yellow]stopped; nothing is left running[/]")
        return 130
    finally:
        _sweep(options.sandbox)
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(kind: SandboxKind) -> None:
    """Remove the boxes of a worker that had to be ended the hard way."""
    with suppress(SandboxError):
        open_sandbox(kind, SandboxSettings(kind=kind)).reap()


def _play(options: DemoOptions, folder: Path, watch: Watch, out: Console) -> int:
    watch.stage("fetch project")
    project = _project(options, folder, out)
    watch.stage("start")
    out.print("[dim]starting fakehub, web process, two workers and scheduler …[/]")
    with running(folder, options.sandbox, {}) as stack:
        driver = FakehubDriver(stack.hub.base_url, stack.hub.admin_token)
        number = _act_as_a_person(driver, project, out)
        url = f"{stack.hub.base_url}/{OWNER}/{project.name}/issues/{number}"
        out.print(f"[bold]issue[/]         {url}")
        job = _follow(stack, watch, out)
        solved = _report(job, driver, project, watch, out)
        if options.as_json:
            sys.stdout.write(_summary(job, project, watch) + "\n")
        if options.keep:
            _stay(stack, out)
        driver.close()
    return 0 if solved else 1


def _project(options: DemoOptions, folder: Path, out: Console) -> Project:
    project = None
    if not options.offline:
        try:
            project = cases.project_of(cases.find(options.case), folder)
        except CaseUnavailableError as error:
            if options.case:
                raise
            out.print(f"[yellow]no real project: {escape(str(error))}[/]")
    if project is None:
        project = cases.small_project()
        out.print("[yellow bold]falling back to a small project of our own[/]")
    out.print(f"[bold]project[/]       {escape(project.origin)}")
    out.print(f"[bold]report[/]        {escape(project.title)}")
    return project


def _act_as_a_person(driver: FakehubDriver, project: Project, out: Console) -> int:
    """Push the project, install the app, open the issue, set the label: as on GitHub."""
    driver.create_user(OWNER)
    driver.create_user(PERSON)
    repository = f"{OWNER}/{project.name}"
    driver.create_repository(OWNER, project.name, project.root)
    driver.set_role(repository, PERSON, "write")
    driver.install(OWNER, [project.name])
    number = driver.open_issue(repository, project.title, project.body, as_user=PERSON)
    driver.add_label(repository, number, LABEL, as_user=PERSON)
    out.print(f"[dim]@{PERSON} opened issue #{number} and set the label {LABEL}[/]")
    return number


def _follow(stack: Stack, watch: Watch, out: Console) -> StoredJob | None:
    """Show the job's stages until it is published; None when the time ran out."""
    store = JobStore(connect(stack.database_url))
    job: StoredJob | None = None
    watch.stage(Stage.QUEUED)
    with Live(console=out, refresh_per_second=8, transient=True) as live:
        while watch.total_s < LIMIT_S:
            stack.check()
            recent = store.recent(1)
            job = recent[0] if recent else None
            stage = _stage_of(job)
            if stage != watch.last:
                watch.stage(stage)
            live.update(_status_line(job, watch))
            if job is not None and job.state is JobState.DONE:
                return job
            time.sleep(POLL_S)
    return job


def _stage_of(job: StoredJob | None) -> str:
    if job is None or job.state is JobState.QUEUED:
        return Stage.QUEUED if job is None else Stage.SNAPSHOT
    if job.state in {JobState.FINISHED, JobState.DONE}:
        return Stage.PUBLISH
    return job.progress.stage if job.progress else Stage.ENVIRONMENT


def _status_line(job: StoredJob | None, watch: Watch) -> Text:
    line = Text(f"{watch.total_s:6.1f} s  ", style="dim")
    line.append(watch.last, style="bold cyan")
    progress = job.progress if job else None
    if progress and progress.iteration is not None:
        line.append(f"  iteration {progress.iteration + 1}")
    if progress and progress.candidates:
        line.append(f"  {progress.candidates} candidates")
    if progress and progress.note:
        line.append(f"  {progress.note}", style="dim")
    return line


def _report(
    job: StoredJob | None, driver: FakehubDriver, project: Project, watch: Watch, out: Console
) -> bool:
    watch.stage("done")
    if job is None or job.outcome is None:
        out.print(f"[red]no outcome within {LIMIT_S:.0f} s[/]")
        return False
    if not isinstance(job.outcome, Patched):
        out.print(f"[red]{job.outcome.status}[/]: {escape(job.outcome.reason)}")
        return False
    out.print(f"[bold green]pull request[/]  {job.url}")
    out.print(Syntax(job.outcome.patch, "diff", theme="ansi_dark", background_color="default"))
    out.print(_evidence_table(job.outcome.evidence))
    out.print(_figures(job.outcome.evidence))
    out.print(_seconds(watch))
    pulls = driver.pulls(f"{OWNER}/{project.name}")
    return len(pulls) == 1 and job.outcome.evidence.no_regression


def _summary(job: StoredJob | None, project: Project, watch: Watch) -> str:
    """The story as one JSON object."""
    outcome = job.outcome if job else None
    return json.dumps(
        {
            "project": project.origin,
            "status": outcome.status if outcome else "no outcome",
            "url": job.url if job else None,
            "patch": outcome.patch if isinstance(outcome, Patched) else "",
            "seconds": {**watch.seen, "total": watch.total_s},
        }
    )


def _evidence_table(evidence: Evidence) -> Table:
    table = Table("test", "before", "after", title="evidence", title_justify="left")
    changed = [test for test in evidence.tests if test.before != test.after]
    for test in changed[:MAX_TESTS_SHOWN]:
        table.add_row(escape(test.test_id), f"[red]{test.before}[/]", f"[green]{test.after}[/]")
    hidden = len(changed) - MAX_TESTS_SHOWN
    if hidden > 0:
        table.add_row(f"… and {hidden} more", "", "")
    kept = evidence.pass_to_pass
    table.add_row(f"{kept.of} tests that passed before", "PASSED", f"{kept.passed} PASSED")
    return table


def _figures(evidence: Evidence) -> Text:
    word = "resolved" if evidence.resolved else "no regression, not proven to fix"
    text = (
        f"{word}: {evidence.candidates} candidates ({evidence.distinct} distinct) over "
        f"{number(evidence.iterations, 'iteration')}, chosen by: {evidence.decided_by}; "
        f"sandbox {evidence.isolation}, model {evidence.model}, seed {evidence.seed}"
    )
    return Text(text)


def _seconds(watch: Watch) -> Table:
    table = Table("stage", "seconds", title="time", title_justify="left")
    for name, seconds in watch.seen.items():
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("total", f"{watch.total_s:.1f}", style="bold")
    return table


def _stay(stack: Stack, out: Console) -> None:
    out.print(f"\nbrowse the hub at {stack.hub.base_url} and the runs at {stack.web_url}/jobs")
    out.print("[dim]Ctrl-C ends everything[/]")
    while True:
        stack.check()
        time.sleep(1)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: by unwinding, so that all is cleaned up.

    SIGINT too, which a shell without job control has its background commands ignore.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = {n: signal.signal(n, interrupt) for n in ENDING}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
