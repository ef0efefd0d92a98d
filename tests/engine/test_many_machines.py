"""Workers on different machines, each with another back end: one verdict, whoever gave it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.evaluate import Bench, Verdict, try_patch
from engine.testspec import Baseline, learn
from sandbox.backends import BACKENDS
from sandbox.contract import Patch, Sandbox
from sandbox.errors import SandboxUnavailableError
from sandbox.images import prepare
from sandbox.settings import SandboxSettings
from tests.engine import projects
from tests.engine.test_evaluate import FIX, ISSUE, LIES

SETTINGS = SandboxSettings(base_image="toolchain")
ELSEWHERE = Patch(FIX.replace("receipts.py", "no_such_file.py"))
CANDIDATES = (FIX, LIES, ELSEWHERE)
WORKERS = 2


def machines() -> dict[str, Sandbox]:
    """Two back ends of this machine, as two machines would have them."""
    found: dict[str, Sandbox] = {}
    for kind, opened in BACKENDS.items():
        try:
            found[kind] = opened(SETTINGS)
        except SandboxUnavailableError:
            continue
        if len(found) == WORKERS:
            break
    if len(found) < WORKERS:
        pytest.skip(f"only {', '.join(found) or 'no back end'} works here: nothing to compare")
    return found


def told(verdict: Verdict) -> dict[str, object]:
    """What a verdict says, without times and texts that name a place or a duration."""
    return verdict.model_dump(exclude={"duration_s", "feedback"})


@pytest.mark.docker
def test_candidates_get_the_same_verdict_whichever_worker_takes_them(tmp_path: Path) -> None:
    checkout = projects.receipts(tmp_path / "repo")
    found = machines()
    image = {
        prepare(sandbox, checkout, test_command=None, settings=SETTINGS).image
        for sandbox in found.values()
    }
    assert len(image) == 1
    first = next(iter(found.values()))
    environment = prepare(first, checkout, test_command=None, settings=SETTINGS)
    baseline = learn(first, environment, ISSUE, SETTINGS.limits())
    assert isinstance(baseline, Baseline)
    verdicts: dict[tuple[str, Patch], dict[str, object]] = {}

    def work(kind: str) -> None:
        bench = Bench(found[kind], baseline, SETTINGS.limits())
        for patch in CANDIDATES:
            verdicts[kind, patch] = told(try_patch(bench, patch))

    threads = [threading.Thread(target=work, args=(kind,)) for kind in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for patch in CANDIDATES:
        said = [verdicts[kind, patch] for kind in found]
        assert all(one == said[0] for one in said), said
    assert verdicts[next(iter(found)), FIX]["suite_ran"]


@pytest.mark.parametrize(
    "name",
    [
        "EVOSCALE_BOT_PRIVATE_KEY",
        "EVOSCALE_BOT_WEBHOOK_SECRET_FILE",
        "EVOSCALE_ENGINE_MODEL_API_KEY",
    ],
)
def test_a_worker_that_holds_the_engine_refuses_to_hold_a_secret(name: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), name: "secret-of-ours"}  # noqa: TID251
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
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # noqa: TID251
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout.strip()) == (0, "")
