"""Workers on different machines, each with another back end: one verdict, whoever gave it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from engine import snapshot
from engine.candidate import Candidate
from engine.contract import Issue, Patched, RepairOutcome, RepairRequest, SnapshotRef
from engine.evaluate import Verdict, to_row
from engine.orders import Errand, Orders
from engine.queue import CHECK, EVALUATE, PREPARE, REPAIR, make_app, wake
from engine.store import JobStore, connect, migrate
from engine.workshop import ANSWER, BASELINE, Checked, order_name
from sandbox.backends import BACKENDS
from sandbox.contract import Patch
from sandbox.errors import SandboxUnavailableError
from sandbox.settings import SandboxSettings
from tests.engine import projects
from tests.engine.test_evaluate import FIX, LIES
from tests.factories import make_job

SETTINGS = SandboxSettings(base_image="toolchain")
ELSEWHERE = FIX.replace("receipts.py", "no_such_file.py")
CANDIDATES = (FIX, LIES, ELSEWHERE)
LIMIT_S = 240.0
POLL_S = 0.05
T = TypeVar("T")


class Site:
    """What all workers share: a database and snapshots, and with a broker the queues too."""

    def __init__(self, folder: Path, url: str = "", broker_url: str = "filesystem://") -> None:
        self.folder, self.broker_url = folder, broker_url
        self.url = url or f"sqlite:///{folder / 'jobs.sqlite3'}"
        self.database = connect(self.url)
        migrate(self.database)
        self.store, self.orders = JobStore(self.database), Orders(self.database)
        packed = snapshot.pack(projects.receipts(folder / "repo"), folder / "snapshots", "k")
        issue = Issue(number=1, title=projects.ISSUE_TITLE, body=projects.ISSUE_BODY)
        self.job = make_job(issue=issue)
        ref = SnapshotRef(base_commit="c", base_branch="main", key=packed.key, sha256=packed.sha256)
        self.store.add(self.job, "key")
        self.store.request(self.job.job_id, RepairRequest(job=self.job, snapshot=ref))

    def environment(self, queue: str, **more: str) -> dict[str, str]:
        own = os.environ  # noqa: TID251  # handed on to children
        kept = {k: v for k, v in own.items() if k in ("PATH", "TMPDIR") or k.startswith("PIP_")}
        return {
            **kept,
            "HOME": str(self.folder),
            "EVOSCALE_ENGINE_DATABASE_URL": self.url,
            "EVOSCALE_ENGINE_BROKER_URL": self.broker_url,
            "EVOSCALE_ENGINE_BROKER_DIR": str(self.folder / queue),
            "EVOSCALE_ENGINE_SNAPSHOT_DIR": str(self.folder / "snapshots"),
            **more,
        }

    def tell(self, queue: str, task: str, *ids: str | int) -> None:
        assert wake(make_app(self.broker_url, self.folder / queue), task, *ids)

    def finished(self) -> RepairOutcome | None:
        stored = self.store.get(self.job.job_id)
        return stored.outcome if stored else None

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    @contextmanager
    def worker(
        self,
        role: str,
        queue: str,
        log_name: str,
        *flags: str,
        threads: int = 2,
        prefix: Sequence[str] = (),
        **more: str,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A real worker process; one that is asked to end has to."""
        argv = [*prefix, sys.executable, *flags, "-m", "bot.cli", "worker", role]
        argv += ["--concurrency", str(threads)]
        with (self.folder / f"{log_name}.log").open("wb") as log:
            process = subprocess.Popen(
                argv, env=self.environment(queue, **more), cwd=self.folder, stderr=log, stdout=log
            )
        try:
            yield process
            assert process.poll() is None, self.log(log_name)[-3000:]
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()

    def until(self, look: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + LIMIT_S
        while (found := look()) is None:
            logs = [path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log")]
            assert time.monotonic() < deadline, logs
            time.sleep(POLL_S)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.database.dispose()


def back_ends() -> tuple[str, str]:
    """Docker and bubblewrap, as two machines would have them."""
    for kind in ("docker", "bubblewrap"):
        try:
            BACKENDS[kind](SETTINGS)
        except SandboxUnavailableError as error:
            pytest.skip(f"no {kind} here, so there is nothing to compare: {error}")
    return "docker", "bubblewrap"


def told(verdict: Verdict) -> dict[str, object]:
    """What a verdict says, without times and texts that name a place or a duration."""
    return verdict.model_dump(exclude={"duration_s", "feedback"})


@pytest.mark.docker
def test_two_workers_with_different_back_ends_give_every_candidate_the_same_verdict(
    site: Site,
) -> None:
    kinds, job_id = back_ends(), site.job.job_id
    for iteration in range(2):
        for sample, patch in enumerate(CANDIDATES):
            key = f"{iteration}-{sample}"
            candidate = Candidate(iteration, sample, "", Patch(patch), key)
            assert site.store.add_candidate(job_id, to_row(candidate))
    with ExitStack() as running:
        for kind in kinds:
            more = {"EVOSCALE_SANDBOX_KIND": kind, "EVOSCALE_SANDBOX_BASE_IMAGE": "toolchain"}
            running.enter_context(site.worker("sandbox", kind, kind, **more))
        site.orders.place(job_id, order_name(Errand.PREPARE, (0, 0)))
        site.tell(kinds[0], PREPARE, job_id, 0, 0)
        site.until(lambda: site.store.checkpointed(job_id, BASELINE))
        for iteration, kind in enumerate(kinds):
            for sample in range(len(CANDIDATES)):
                site.tell(kind, EVALUATE, job_id, iteration, sample)
            site.orders.place(job_id, order_name(Errand.CHECK, (iteration, 0)))
            site.tell(kind, CHECK, job_id, iteration, 0)
        for iteration in range(2):
            name = order_name(Errand.CHECK, (iteration, 0))
            site.until(lambda name=name: site.orders.answered(job_id, name))
        site.until(lambda: all(r.report for r in site.store.candidates(job_id)) or None)
    reports = {(r.iteration, r.sample): r.report for r in site.store.candidates(job_id)}
    for sample in range(len(CANDIDATES)):
        first, second = (Verdict.model_validate_json(reports[n, sample] or "") for n in range(2))
        assert told(first) == told(second)
    answers = [site.orders.answered(job_id, order_name(Errand.CHECK, (n, 0))) for n in range(2)]
    checked = [ANSWER.validate_json(answer or "") for answer in answers]
    assert all(isinstance(each, Checked) and each.trial for each in checked)
    docker, bubblewrap = (each.isolation for each in checked)
    assert (docker, bubblewrap.partition("/")[0]) == ("docker/runc", "bubblewrap")
    assert told(checked[0].verdict) == told(checked[1].verdict)
    assert Verdict.model_validate_json(reports[0, 0] or "").suite_ran


def test_the_worker_with_the_model_never_speaks_to_an_engine(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([[projects.FIX]]))
    told_to = {
        "EVOSCALE_ENGINE_MODEL": "scripted",
        "EVOSCALE_ENGINE_MODEL_NAME": str(script),
        "DOCKER_HOST": f"unix://{tmp_path / 'engine.sock'}",
    }
    with ExitStack() as running:
        engine = running.enter_context(socket.socket(socket.AF_UNIX))
        engine.bind(str(tmp_path / "engine.sock"))
        engine.listen()
        engine.setblocking(False)
        for role, more in (("gpu", told_to), ("sandbox", {"EVOSCALE_SANDBOX_KIND": "bubblewrap"})):
            running.enter_context(site.worker(role, "queue", role, "-X", "importtime", **more))
        site.tell("queue", REPAIR, site.job.job_id)
        stored = site.until(site.finished)
        with pytest.raises(BlockingIOError):
            engine.accept()
    assert isinstance(stored, Patched), stored
    assert stored.evidence.resolved
    assert stored.evidence.isolation.startswith("bubblewrap")
    imported = {line.rpartition("|")[2].strip() for line in site.log("gpu").splitlines()}
    assert "engine.pipeline" in imported
    assert not imported & {"docker", "sandbox.docker", "sandbox.bubblewrap", "sandbox.runc"}


def test_a_search_that_takes_its_workers_last_thread_is_tested_all_the_same(
    site: Site, tmp_path: Path
) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([[projects.FIX]]))
    told_to = {
        "EVOSCALE_ENGINE_MODEL": "scripted",
        "EVOSCALE_ENGINE_MODEL_NAME": str(script),
        "EVOSCALE_SANDBOX_KIND": "bubblewrap",
    }
    with site.worker("engine", "queue", "engine", threads=1, **told_to):
        site.tell("queue", REPAIR, site.job.job_id)
        stored = site.until(site.finished)
    assert isinstance(stored, Patched), stored


@pytest.mark.parametrize(
    "name",
    [
        "EVOSCALE_BOT_PRIVATE_KEY",
        "EVOSCALE_BOT_WEBHOOK_SECRET_FILE",
        "EVOSCALE_ENGINE_MODEL_API_KEY",
    ],
)
def test_a_worker_that_holds_the_engine_refuses_to_hold_a_secret(name: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), name: "secret-of-ours"}  # noqa: TID251  # the machine's PATH, and nothing else
    ran = subprocess.run(
        [sys.executable, "-m", "bot.cli", "worker", "sandbox"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 2
    assert name in ran.stderr
    assert "secret-of-ours" not in ran.stderr + ran.stdout


def test_a_worker_that_tests_loads_no_model(tmp_path: Path) -> None:
    program = (
        "import sys, engine.tasks; "
        "print(*sorted(set(sys.modules) & {'torch', 'transformers', 'vllm', 'onnxruntime'}))"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # noqa: TID251  # the machine's PATH, and nothing else
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout.strip()) == (0, "")
