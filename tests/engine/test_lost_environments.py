"""An environment that is lost between a job's base runs and its candidates."""

import os
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from engine.asking import Patience
from engine.candidate import Candidate
from engine.contract import Failed, NoPatch, Patched
from engine.errors import BaseRunsOutdatedError
from engine.evaluate import to_row
from engine.orders import Errand, Orders
from engine.pipeline import repair
from engine.testspec import Baseline
from engine.workshop import ANOTHER, ANSWER, BASELINE, REBUILD, Trouble, Unbuilt
from sandbox.contract import Patch
from sandbox.errors import ImageBuildError
from tests.engine import projects
from tests.engine.test_errands import FIRST, PREPARE, Broken, workshop
from tests.engine.test_pipeline import Bench0, Made, made

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
    if "without its dependencies" in str(bench.progress):
        pytest.skip("no package index answers here")
    there = known(bench).image
    bench.store.add_candidate(job_id, to_row(Candidate(0, 0, "", Patch("x"), "k")))
    elsewhere = Broken(bench.sandbox)  # a tester without images of its own, and without an index
    built: set[str] = set()
    elsewhere.has_image = built.__contains__
    elsewhere.build = lambda image, *_: built.add(image)
    elsewhere.open = lambda _, limits: bench.sandbox.open(there, limits)
    elsewhere.python = lambda _: None
    take_the_index_away(monkeypatch)
    with pytest.raises(ImageBuildError, match="no package index answers"):
        workshop(bench, elsewhere).do(Errand.EVALUATE, job_id, FIRST)
    assert there not in built
    told = ANSWER.validate_json(orders.answered(job_id, REBUILD) or "")
    assert isinstance(told, Unbuilt)
    assert ANOTHER in told.reason
    assert "language: python" in told.tried


@pytest.mark.network
def test_base_runs_that_lacked_packages_are_made_anew_where_a_tester_has_them(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = projects.receipts(tmp_path / "own", projects.TESTS)
    (repo / "requirements.txt").write_text("six>=0.9,!=0.9.1\n")  # in no image that is kept
    bench = made(repo)
    elsewhere = Broken(bench.sandbox)  # a tester without images of its own, and with an index
    built: set[str] = set()
    elsewhere.has_image = built.__contains__
    elsewhere.build = lambda image, *_: built.add(image)
    elsewhere.python = lambda _: None

    def hand_out(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        if errand is Errand.PREPARE:
            with monkeypatch.context() as without_index:
                take_the_index_away(without_index)
                bench.test_now(errand, job_id, iteration, sample)
            there = known(bench)
            assert not there.complete
            elsewhere.open = lambda _, limits: bench.sandbox.open(there.image, limits)
            return
        with suppress(BaseRunsOutdatedError):
            workshop(bench, elsewhere).do(errand, job_id, (iteration, sample))

    outcome = repair(bench.request, bench.engine([[projects.FIX]], hand_out=hand_out))
    if isinstance(outcome, NoPatch | Patched):
        pytest.skip("no package index answers here")
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert "can be had by now" in outcome.reason
    assert not bench.store.candidates(bench.job.job_id)
    assert bench.store.checkpointed(bench.job.job_id, BASELINE) is None
    take_the_index_away(monkeypatch)
    assert isinstance(repair(bench.request, bench.engine([[projects.FIX]])), Patched)
    assert not known(bench).complete, "one machine alone goes on without"


def take_the_index_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def known(bench: Bench0) -> Baseline:
    found = bench.store.checkpointed(bench.job.job_id, BASELINE) or ""
    return Baseline.model_validate_json(found)


class Late:
    """A tester that is busy for one start of a search, and fails when the next one has begun."""

    def __init__(self, bench: Bench0, errand: Errand, error: Exception) -> None:
        self._bench, self._errand, self._error = bench, errand, error
        self._begun, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work)

    def begin(self) -> None:
        """Let the errand begin in the first start, and the second start begin after that."""
        store, job_id = self._bench.store, self._bench.job.job_id
        assert store.lease(job_id, "first", 60.0)
        self._thread.start()
        assert self._begun.wait(60.0)
        store.release(job_id, "first")
        assert store.lease(job_id, "second", 60.0)

    def fail(self) -> None:
        self._go.set()
        self._thread.join()

    def _work(self) -> None:
        broken = Broken(self._bench.sandbox)
        broken.has_image = lambda _: False
        broken.build = broken.open = self._wait
        shop = replace(workshop(self._bench, broken), owner="late", lease_s=0.5)
        with suppress(ImageBuildError):
            shop.do(self._errand, self._bench.job.job_id, FIRST)

    def _wait(self, *_: object) -> NoReturn:
        self._begun.set()
        assert self._go.wait(60.0)
        raise self._error


@pytest.mark.parametrize(
    ("errand", "error", "told"),
    [
        (Errand.PREPARE, KeyError("a fault of ours"), Trouble),
        (Errand.EVALUATE, ImageBuildError("sh", "no space"), Unbuilt),
    ],
)
def test_a_tester_that_fails_when_the_next_start_has_begun_costs_it_nothing(
    made: Made, errand: Errand, error: Exception, told: type[Trouble | Unbuilt]
) -> None:
    bench = made()
    job_id, orders = bench.job.job_id, Orders(bench.database)
    orders.place(job_id, PREPARE)
    if errand is Errand.EVALUATE:
        workshop(bench).do(Errand.PREPARE, job_id, FIRST)
        bench.store.add_candidate(job_id, to_row(Candidate(0, 0, "", Patch("x"), "k")))
    late, failed = Late(bench, errand, error), []
    late.begin()

    def hand_out(asked: Errand, job_id: str, iteration: int, sample: int) -> None:
        if not failed:
            late.fail()
            failed.append(orders.answered(job_id, PREPARE if asked is Errand.PREPARE else REBUILD))
            return
        bench.test_now(asked, job_id, iteration, sample)

    changed: dict[str, object] = {"hand_out": hand_out, "patience": Patience(again_s=0.0)}
    outcome = repair(bench.request, bench.engine([[projects.FIX]], attempt=2, **changed))
    assert isinstance(outcome, Patched)
    assert isinstance(ANSWER.validate_json(failed[0] or ""), told)


def test_what_is_begun_anew_is_the_present_starts_own(made: Made) -> None:
    bench = made()
    job_id = bench.job.job_id
    bench.store.checkpoint(job_id, BASELINE, "{}")
    assert bench.store.lease(job_id, "present", 60.0)
    bench.store.begin_anew(job_id, 0)
    assert bench.store.checkpointed(job_id, BASELINE) == "{}"
    bench.store.begin_anew(job_id, 1)
    assert bench.store.checkpointed(job_id, BASELINE) is None
