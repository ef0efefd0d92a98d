"""Two machines that test take their candidates from one queue: both get some, nothing else changes."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.contract import Patched
from engine.evaluate import Verdict
from engine.queue import REPAIR
from tests.engine import projects
from tests.engine.test_many_machines import Site, back_ends, told

QUEUE = "queue"
SCRIPT = [
    [projects.HARMLESS, projects.ALSO_HARMLESS, projects.BREAKS, projects.TAMPERS, "no edit"],
    [projects.FIX],
]
HOLDERS = sa.text("SELECT lease_owner, state FROM candidates WHERE lease_owner IS NOT NULL")
NAMED = ("unshare", "--uts", "--", "sh", "-c", 'echo "$0" >/proc/sys/kernel/hostname && exec "$@"')
"""Starts a program on a machine of this name, as far as the program can tell."""

Verdicts = dict[tuple[int, int], dict[str, object]]


@contextmanager
def searching(site: Site) -> Iterator[None]:
    """A worker that searches, with a model that follows the script."""
    script = site.folder / "script.json"
    script.write_text(json.dumps(SCRIPT))
    told_to = {
        "EVOSCALE_ENGINE_MODEL": "scripted",
        "EVOSCALE_ENGINE_MODEL_NAME": str(script),
        "EVOSCALE_ENGINE_GREEDY_FIRST": "false",
    }
    with site.worker("gpu", QUEUE, "gpu", **told_to):
        yield


def sandbox_worker(site: Site, kind: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker that tests one candidate at a time, on a machine that is called as its back end."""
    more = {"EVOSCALE_SANDBOX_KIND": kind, "EVOSCALE_SANDBOX_BASE_IMAGE": "toolchain"}
    named = (*NAMED, kind)
    return site.worker("sandbox", QUEUE, kind, threads=1, prefix=named, **more)


def verdicts(site: Site) -> Verdicts:
    """What each candidate's tests said."""
    rows = site.store.candidates(site.job.job_id)
    tested = [row for row in rows if row.report is not None]
    return {(r.iteration, r.sample): told(Verdict.model_validate_json(r.report)) for r in tested}


def ended(site: Site) -> Patched:
    outcome = site.until(site.finished)
    assert isinstance(outcome, Patched), outcome
    assert outcome.evidence.resolved
    return outcome


def machines(site: Site, *states: str) -> set[str]:
    """The names of the machines that hold or held candidates in these states."""
    with site.database.connect() as connection:
        rows = connection.execute(HOLDERS).all()
    return {owner.partition(":")[0] for owner, state in rows if not states or state in states}


def alone(site: Site) -> tuple[Verdicts, str]:
    """The verdicts and the patch of a search whose candidates one machine tests."""
    with searching(site), sandbox_worker(site, "bubblewrap"):
        site.tell(QUEUE, REPAIR, site.job.job_id)
        patch = ended(site).patch
    return verdicts(site), patch


@pytest.fixture
def new_site(
    tmp_path: Path, postgresql: Callable[[], str], redis_url: str
) -> Iterator[Callable[[str], Site]]:
    """Makes sites with a database each; what is left in the queue of one is not of the next."""
    made: list[Site] = []

    def make(name: str) -> Site:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Site(folder, postgresql(), redis_url))
        return made[-1]

    yield make
    for site in made:
        site.database.dispose()


@pytest.mark.docker
@pytest.mark.timeout(900)  # two searches, each with limits of its own
def test_two_machines_share_a_queue_and_every_candidate_is_judged_as_by_one(
    new_site: Callable[[str], Site],
) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can start a worker on a machine of another name")
    kinds = set(back_ends())
    expected = alone(new_site("alone"))
    site = new_site("both")
    with ExitStack() as running:
        running.enter_context(searching(site))
        workers = {kind: running.enter_context(sandbox_worker(site, kind)) for kind in kinds}
        site.tell(QUEUE, REPAIR, site.job.job_id)
        first = min(site.until(lambda: machines(site) or None))
        workers[first].send_signal(signal.SIGSTOP)  # in the middle of a candidate, or after one
        try:
            site.until(lambda: (machines(site, "tested") - {first}) or None)
        finally:
            workers[first].send_signal(signal.SIGCONT)
        patch = ended(site).patch
    assert machines(site, "tested") == kinds
    assert (verdicts(site), patch) == expected
    assert len(expected[0]) == 5  # all but the completion without an edit
