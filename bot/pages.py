"""The run pages: the queue, and one job's stages, candidates and evidence. No script needed.

A job's page is reachable only by its unguessable address, the list only where the operator says so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.status import HTTP_404_NOT_FOUND

from bot.render.reproduction import readable
from engine.contract import Failed, NoPatch, Patched, Stage
from engine.store import JobState, JobStore, StoredCandidate, StoredJob

REFRESH_S = 3
SHOWN_JOBS = 100
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage of a job as the page shows it: done, now, or to come."""

    name: str
    when: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a diff and what kind it is."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class IterationView:
    """The candidates of one iteration."""

    number: int
    candidates: Sequence[StoredCandidate]


def make_router(store: JobStore, *, list_jobs: bool) -> APIRouter:
    """Build the routes of the run pages."""
    router = APIRouter(default_response_class=HTMLResponse)
    pages = _environment()

    @router.get("/")
    def home() -> Response:
        """Send to the list, where there is one."""
        if list_jobs:
            return RedirectResponse("/jobs", headers=HEADERS)
        return _page(pages.get_template("home.html").render(refresh=0))

    @router.get("/jobs")
    def jobs() -> Response:
        """List the newest jobs."""
        if not list_jobs:
            return _missing(pages)
        found = store.recent(SHOWN_JOBS)
        running = any(job.state is not JobState.DONE for job in found)
        template = pages.get_template("jobs.html")
        return _page(template.render(jobs=found, refresh=REFRESH_S if running else 0))

    @router.get("/jobs/{job_id}")
    def job(job_id: str) -> Response:
        """Show one job."""
        stored = store.get(job_id) if _JOB_ID.fullmatch(job_id) else None
        if stored is None:
            return _missing(pages)
        return _page(_job_page(pages, stored, store.candidates(job_id)))

    return router


def _environment() -> Environment:
    made = Environment(loader=PackageLoader("bot"), autoescape=select_autoescape(default=True))
    made.filters["moment"] = moment
    made.filters["diff"] = diff_lines
    made.filters["verdict"] = verdict
    made.filters["stage"] = stage_of
    made.filters["tone"] = tone
    made.filters["readable"] = readable
    return made


def _job_page(pages: Environment, stored: StoredJob, tried: Sequence[StoredCandidate]) -> str:
    iterations = [
        IterationView(n + 1, list(g)) for n, g in groupby(tried, key=lambda each: each.iteration)
    ]
    done = stored.state is JobState.DONE
    patched = stored.outcome if isinstance(stored.outcome, Patched) else None
    tests = patched.evidence.tests if patched else ()
    return pages.get_template("job.html").render(
        stored=stored,
        job=stored.job,
        stages=stages_of(stored),
        iterations=iterations,
        patched=patched,
        telling=[test for test in tests if not test.before == test.after == "PASSED"],
        kept=[test for test in tests if test.before == test.after == "PASSED"],
        reason="" if isinstance(stored.outcome, Patched | None) else stored.outcome.reason,
        refresh=0 if done else REFRESH_S,
    )


def _page(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def _missing(pages: Environment) -> Response:
    return _page(pages.get_template("missing.html").render(refresh=0), HTTP_404_NOT_FOUND)


def moment(seconds: float) -> str:
    """A time for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def stage_of(stored: StoredJob) -> Stage:
    """The stage that a job is in."""
    by_state = {JobState.FINISHED: Stage.PUBLISH, JobState.DONE: Stage.DONE}
    if stored.state in by_state:
        return by_state[stored.state]
    if stored.progress is not None:
        return stored.progress.stage
    return Stage.QUEUED if stored.state is JobState.QUEUED else Stage.SNAPSHOT


def stages_of(stored: StoredJob) -> Sequence[StageView]:
    """Every stage and whether it is over."""
    order = list(Stage)
    now = order.index(stage_of(stored))
    words = [
        "done" if place < now else "now" if place == now else "" for place in range(len(order))
    ]
    words = ["done"] * len(order) if stored.state is JobState.DONE else words
    return [
        StageView(name.replace("_", " "), when) for name, when in zip(order, words, strict=True)
    ]


def verdict(stored: StoredJob) -> str:
    """How a job stands, in a word or two."""
    if stored.state is not JobState.DONE:
        return "stopping" if stored.stop_requested else stage_of(stored).value.replace("_", " ")
    match stored.outcome:
        case Patched(evidence=evidence):
            return "resolved" if evidence.resolved else "patch, unproven"
        case NoPatch():
            return "no patch"
        case Failed():
            return "could not find out"
    return "ended"


def tone(stored: StoredJob) -> str:
    """The class that colours how a job stands: only what is proven is green."""
    if stored.state is not JobState.DONE:
        return "running"
    if isinstance(stored.outcome, Patched) and stored.outcome.evidence.resolved:
        return "good"
    return "bad" if isinstance(stored.outcome, Failed) else ""


def diff_lines(patch: str) -> Sequence[Line]:
    """A patch line by line, each with its kind."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return [
        Line("file" if line.startswith(("+++", "---", "diff ")) else kinds.get(line[:1], ""), line)
        for line in patch.splitlines()
    ]
