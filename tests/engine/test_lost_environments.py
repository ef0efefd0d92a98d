"""An environment that is lost between a job's base runs and its candidates."""

import os
from pathlib import Path

import pytest

from engine.asking import Patience
from engine.candidate import Candidate
from engine.contract import Patched
from engine.evaluate import to_row
from engine.orders import Errand, Orders
from engine.pipeline import repair
from engine.testspec import Baseline
from engine.workshop import ANOTHER, ANSWER, BASELINE, REBUILD, Unbuilt
from sandbox.contract import Patch
from sandbox.errors import ImageBuildError
from tests.engine import projects
from tests.engine.test_errands import FIRST, PREPARE, Broken, workshop
from tests.engine.test_pipeline import Made, made

__all__ = ["made"]


@pytest.mark.network
def test_an_environment_without_the_packages_of_the_base_runs_is_none(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = projects.receipts(tmp_path / "own", projects.TESTS)
    (repo / "requirements.txt").write_text("six\n")
    bench = made(repo)
    job_id, orders = bench.job.job_id, Orders(bench.database)
    orders.place(job_id, PREPARE)
    workshop(bench).do(Errand.PREPARE, job_id, FIRST)
    known = bench.store.checkpointed(job_id, BASELINE) or ""
    if "without its dependencies" in str(bench.progress):
        pytest.skip("no package index answers here")
    there = Baseline.model_validate_json(known).image
    bench.store.add_candidate(job_id, to_row(Candidate(0, 0, "", Patch("x"), "k")))
    elsewhere = Broken(bench.sandbox)  # a tester without images of its own, and without an index
    built: set[str] = set()
    elsewhere.has_image = built.__contains__
    elsewhere.build = lambda image, *_: built.add(image)
    elsewhere.open = lambda _, limits: bench.sandbox.open(there, limits)
    elsewhere.python = lambda _: None
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(ImageBuildError, match="no package index answers"):
        workshop(bench, elsewhere).do(Errand.EVALUATE, job_id, FIRST)
    assert there not in built
    told = ANSWER.validate_json(orders.answered(job_id, REBUILD) or "")
    assert isinstance(told, Unbuilt)
    assert ANOTHER in told.reason
    assert "language: python" in told.tried


def test_what_an_earlier_starts_testers_said_too_late_costs_the_next_nothing(made: Made) -> None:
    bench = made()
    workshop(bench)._say_unbuilt(bench.job.job_id, ImageBuildError("sh", "no space"))
    lost: list[Errand] = []

    def first_is_lost(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        if errand is Errand.EVALUATE and not lost:
            lost.append(errand)
            return
        bench.test_now(errand, job_id, iteration, sample)

    engine = bench.engine([[projects.FIX]], hand_out=first_is_lost, patience=Patience(again_s=0.0))
    assert isinstance(repair(bench.request, engine), Patched)
    assert lost
