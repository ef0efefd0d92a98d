"""Errands: who may do one, whose answer counts, and what happens where something breaks."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from engine.asking import Asking, Patience, Queue
from engine.candidate import Candidate
from engine.contract import Failed, NoPatch, Patched
from engine.errors import TestsUnavailableError
from engine.evaluate import UNTESTED, to_row
from engine.leases import Clock
from engine.orders import Errand, Orders
from engine.pipeline import repair
from engine.testspec import Baseline
from engine.workshop import (
    ANSWER,
    BASELINE,
    SHELF,
    UNEXPECTED,
    Prepared,
    Trouble,
    Workshop,
    order_name,
)
from sandbox.contract import Limits, Patch, Sandbox
from sandbox.errors import ImageBuildError
from tests.engine import projects
from tests.engine.test_pipeline import Bench0, Made, made

__all__ = ["made"]

FIRST = (0, 0)
PREPARE = order_name(Errand.PREPARE, FIRST)


class Broken:
    """A sandbox with a fault that nobody has foreseen; images are those of a real one."""

    def __init__(self, real: Sandbox) -> None:
        self.isolation = real.isolation
        self.has_image, self.build = real.has_image, real.build

    def open(self, image: str, limits: Limits) -> NoReturn:
        raise KeyError(image, limits)


def workshop(bench: Bench0, sandbox: object | None = None) -> Workshop:
    return Workshop(
        sandbox=sandbox or bench.sandbox,
        settings=bench.settings,
        store=bench.store,
        orders=Orders(bench.database),
        snapshot_dir=bench.folder / "snapshots",
        on_progress=bench.progress.append,
        owner="tester",
    )


def nobody(*_: object) -> None:
    """What is handed out is lost."""


def test_an_unforeseen_failure_of_an_errand_is_told_to_the_search_at_once(made: Made) -> None:
    bench = made()
    orders = Orders(bench.database)
    orders.place(bench.job.job_id, PREPARE)
    workshop(bench, Broken(bench.sandbox)).do(Errand.PREPARE, bench.job.job_id, FIRST)
    answer = ANSWER.validate_json(orders.answered(bench.job.job_id, PREPARE) or "")
    assert answer == Trouble(reason=UNEXPECTED, retryable=True)


def test_a_search_whose_tester_breaks_fails_and_gives_no_verdict(made: Made) -> None:
    bench = made()

    def broken(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        workshop(bench, Broken(bench.sandbox)).do(errand, job_id, (iteration, sample))

    with pytest.raises(TestsUnavailableError) as told:
        repair(bench.request, bench.engine([[projects.FIX]], hand_out=broken))
    assert told.value.retryable


def test_a_candidate_that_breaks_its_tester_is_left_aside_and_the_search_goes_on(
    made: Made,
) -> None:
    bench = made()

    def broken_once(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        odd = (errand, iteration, sample) == (Errand.EVALUATE, 0, 0)
        shop = workshop(bench, Broken(bench.sandbox) if odd else None)
        shop.do(errand, job_id, (iteration, sample))

    script = [[projects.HARMLESS, projects.FIX]]
    outcome = repair(bench.request, bench.engine(script, hand_out=broken_once))
    assert isinstance(outcome, Patched)
    assert UNTESTED in {row.note for row in bench.store.candidates(bench.job.job_id)}


def test_candidates_that_could_not_be_tested_are_not_counted_as_failures_alone(made: Made) -> None:
    bench = made()

    def broken(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        shop = workshop(bench, Broken(bench.sandbox) if errand is Errand.EVALUATE else None)
        shop.do(errand, job_id, (iteration, sample))

    outcome = repair(bench.request, bench.engine([[projects.FIX]], hand_out=broken))
    assert isinstance(outcome, NoPatch)
    assert "could not be tested for an unexpected error" in outcome.reason


def test_a_lease_is_given_back_where_nothing_can_be_written_down(made: Made) -> None:
    bench = made()
    orders = Orders(bench.database)
    orders.place(bench.job.job_id, PREPARE)

    class Interrupted(BaseException):
        pass

    def interrupt(_: object) -> NoReturn:
        raise Interrupted

    shop = replace(workshop(bench), on_progress=interrupt)
    with pytest.raises(Interrupted):
        shop.do(Errand.PREPARE, bench.job.job_id, FIRST)
    assert not orders.held(bench.job.job_id, PREPARE)


def test_an_errand_that_nobody_waits_for_is_not_done(made: Made) -> None:
    bench = made()
    workshop(bench, Broken(bench.sandbox)).do(Errand.PREPARE, bench.job.job_id, FIRST)
    assert Orders(bench.database).answered(bench.job.job_id, PREPARE) is None


@pytest.mark.parametrize("ended", ["stopped", "finished"])
def test_an_errand_of_a_job_that_is_over_is_not_done(made: Made, ended: str) -> None:
    bench = made()
    orders = Orders(bench.database)
    orders.place(bench.job.job_id, PREPARE)
    if ended == "stopped":
        bench.store.request_stop(bench.job.job_id, by="someone")
    else:
        bench.store.finish(bench.job.job_id, NoPatch(reason="over"))
    workshop(bench).do(Errand.PREPARE, bench.job.job_id, FIRST)
    assert orders.answered(bench.job.job_id, PREPARE) is None
    assert bench.store.checkpointed(bench.job.job_id, BASELINE) is None


def test_the_answer_of_a_worker_that_lost_its_lease_does_not_count(made: Made) -> None:
    bench = made()
    orders, job_id = Orders(bench.database), bench.job.job_id
    orders.place(job_id, PREPARE)
    assert orders.lease(job_id, PREPARE, "late", -1.0)
    assert orders.lease(job_id, PREPARE, "present", 60.0)
    trouble = Trouble(reason="late", retryable=True).model_dump_json()
    assert not orders.answer(job_id, PREPARE, "late", trouble)
    orders.release(job_id, PREPARE, "late")
    assert orders.held(job_id, PREPARE)
    assert orders.answer(job_id, PREPARE, "present", Prepared().model_dump_json())
    assert isinstance(ANSWER.validate_json(orders.answered(job_id, PREPARE) or ""), Prepared)


def test_trouble_that_an_earlier_start_did_not_wait_for_costs_the_next_nothing(made: Made) -> None:
    bench = made()
    orders, job_id = Orders(bench.database), bench.job.job_id
    orders.place(job_id, PREPARE)
    assert orders.lease(job_id, PREPARE, "late", 60.0)
    orders.answer(job_id, PREPARE, "late", Trouble(reason="", retryable=True).model_dump_json())
    assert isinstance(repair(bench.request, bench.engine([[projects.FIX]], attempt=1)), Patched)


def test_where_nobody_works_the_job_fails_for_now_and_says_what_to_start(made: Made) -> None:
    bench = made()
    engine = bench.engine([[projects.FIX]], hand_out=nobody, patience=Patience(unheld_s=0.0))
    with pytest.raises(TestsUnavailableError, match="evoscale worker sandbox") as told:
        repair(bench.request, engine)
    assert told.value.retryable


def test_waiting_for_the_base_runs_is_not_counted_as_search(made: Made) -> None:
    bench, clock, seen = made(), Clock(), []

    def look(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        bench.test_now(errand, job_id, iteration, sample)
        seen.append((errand, clock.spent_s()))

    repair(bench.request, bench.engine([[projects.FIX]], hand_out=look, clock=clock))
    assert seen[0] == (Errand.PREPARE, 0.0)
    assert clock.spent_s() > 0


def test_another_jobs_errand_is_a_sign_of_life(made: Made) -> None:
    bench = made()
    orders, job_id = Orders(bench.database), bench.job.job_id
    assert not orders.busy()
    orders.place(job_id, "another")
    assert orders.lease(job_id, "another", "someone", 60.0)
    assert orders.busy()
    orders.release(job_id, "another", "someone")
    bench.store.add_candidate(job_id, to_row(Candidate(0, 0, "", Patch("p"), "k")))
    assert not orders.busy()
    assert bench.store.lease_candidate(job_id, 0, 0, "someone", 60.0)
    assert orders.busy()


class Ticking:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_waiting_behind_other_jobs_costs_a_search_none_of_its_minutes(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, clock, ticking = made(), Clock(), Ticking()
    monkeypatch.setattr("engine.asking.time", ticking)
    monkeypatch.setattr("engine.leases.time", ticking)
    orders, job_id = Orders(bench.database), bench.job.job_id
    engine = bench.engine([[projects.FIX]])
    given = (nobody, engine.stopped, clock, engine.patience)
    asking = Asking(job_id, bench.store, orders, *given, most_left_out_s=100.0)

    def counted(seconds: float, asking: Asking = asking) -> float:
        clock = asking.clock
        queue, before, since = Queue(asking), clock.spent_s(), ticking.now
        while ticking.now - since < seconds:
            queue.wait()
        return clock.spent_s() - before

    clock.begin()
    assert counted(60.0) == pytest.approx(60.0, abs=0.1), "nobody works at all"
    bench.store.add(bench.job.model_copy(update={"job_id": "another"}), "another")
    orders.place("another", "check-0-0")
    assert orders.lease("another", "check-0-0", "someone", 600.0)
    assert counted(60.0) < 1.0, "somebody works at another job"
    bench.store.add_candidate(job_id, to_row(Candidate(0, 0, "", Patch("p"), "k")))
    assert bench.store.lease_candidate(job_id, 0, 0, "someone", 600.0)
    assert counted(60.0) == pytest.approx(60.0, abs=0.1), "somebody works at this one too"
    bench.store.tested(job_id, 0, 0, None, "")
    assert counted(60.0) == pytest.approx(20.0, abs=2.0), "it has waited long enough"
    again = replace(asking, clock=Clock(clock.spent_s(), clock.waited_s))
    again.clock.begin()
    assert counted(60.0, again) == pytest.approx(60.0, abs=0.1), "in all its starts together"
    assert again.clock.spent_s() == pytest.approx(clock.spent_s()), "time has passed for both"


def test_a_stop_ends_the_wait_for_a_last_look_that_nobody_has_begun(made: Made) -> None:
    bench = made()
    stopped: list[bool] = []

    def no_check(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        if errand is Errand.CHECK:
            stopped.append(True)
            return
        bench.test_now(errand, job_id, iteration, sample)

    changed: dict[str, object] = {
        "hand_out": no_check,
        "stopped": lambda: bool(stopped),
        "patience": Patience(stopped_s=0.0),
    }
    outcome = repair(bench.request, bench.engine([[projects.FIX]], **changed))
    assert isinstance(outcome, NoPatch)
    nobody_looked = "the search was stopped on request. A patch was found that nobody had looked at"
    assert outcome.reason.startswith(nobody_looked)


CHECK_SH = """\
printf '1..2\\n'
test -s greeting.txt && echo 'ok 1 - there' || echo 'not ok 1 - there'
grep -q hello greeting.txt && echo 'ok 2 - greets' && exit
echo 'not ok 2 - greets'
exit 1
"""
GREETS = Patch("--- a/greeting.txt\n+++ b/greeting.txt\n@@ -1 +1 @@\n-bye\n+hello\n")


@pytest.fixture
def plain(made: Made, tmp_path: Path) -> Bench0:
    """A job of a language that no recipe is for, with its base runs and one candidate."""
    repo = tmp_path / "plain"
    repo.mkdir()
    (repo / "check.sh").write_text(CHECK_SH)
    (repo / "greeting.txt").write_text("bye\n")
    bench = made(repo, body="It does not greet.", config="test_command: sh check.sh\nreport: tap\n")
    Orders(bench.database).place(bench.job.job_id, PREPARE)
    workshop(bench).do(Errand.PREPARE, bench.job.job_id, FIRST)
    bench.store.add_candidate(bench.job.job_id, to_row(Candidate(0, 0, "", GREETS, "k")))
    return bench


def lose_image(bench: Bench0) -> str:
    """The job's image is not on this machine any more; its name."""
    known = bench.store.checkpointed(bench.job.job_id, BASELINE) or ""
    assert known, Orders(bench.database).answered(bench.job.job_id, PREPARE)
    image = Baseline.model_validate_json(known).image
    (stored,) = (each.name for each in bench.sandbox.images() if image in each.name)
    assert bench.sandbox.discard(stored)
    return image


def test_an_image_of_the_owners_own_command_alone_is_built_again_where_it_is_gone(
    plain: Bench0,
) -> None:
    image = lose_image(plain)
    workshop(plain).do(Errand.EVALUATE, plain.job.job_id, FIRST)
    assert plain.sandbox.has_image(image)
    (row,) = plain.store.candidates(plain.job.job_id)
    assert row.note == "fixes 1 of 1, breaks nothing"


def test_a_jobs_own_build_that_fails_is_work_at_that_job(plain: Bench0) -> None:
    lose_image(plain)
    orders, job_id = Orders(plain.database), plain.job.job_id
    held: list[bool] = []

    def fail(*_: object) -> NoReturn:
        held.append(orders.busy(job_id))
        raise ImageBuildError("copy", "it cannot be built")

    broken = Broken(plain.sandbox)
    broken.build = fail
    with pytest.raises(ImageBuildError, match="cannot be built"):
        workshop(plain, broken).do(Errand.EVALUATE, job_id, FIRST)
    assert held == [True]
    assert orders.busy(job_id), "who asks next sees that it was tried"


@pytest.mark.parametrize("lost_for", [Errand.EVALUATE, Errand.CHECK])
def test_a_search_whose_environment_is_lost_ends_with_the_builds_log_and_recipe(
    made: Made, lost_for: Errand
) -> None:
    bench = made()
    told: list[Errand] = []

    def fail(*_: object) -> NoReturn:
        said = "collecting\nerror: no space left on device\nended"
        raise ImageBuildError("sh", "exit code 1: ended", said)

    broken = Broken(bench.sandbox)
    broken.has_image, broken.build = (lambda _: False), fail

    def losing(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        told.append(errand)
        shop = workshop(bench, broken if errand is lost_for else None)
        with suppress(ImageBuildError):
            shop.do(errand, job_id, (iteration, sample))

    outcome = repair(bench.request, bench.engine([[projects.FIX]], hand_out=losing))
    assert isinstance(outcome, Failed), outcome
    assert "the test environment cannot be built at 'sh': exit code 1: ended" in outcome.reason
    assert "see what that machine lacks by now" in outcome.reason
    assert "error: no space left on device" in outcome.log
    assert "language: python" in outcome.recipe
    assert outcome.retryable
    assert told.count(lost_for) == 1, "it is not tried until the time is used up"
    if lost_for is Errand.CHECK:  # a candidate's lease would have to run out first
        assert isinstance(repair(bench.request, bench.engine([[projects.FIX]])), Patched)


def test_an_image_that_is_built_anew_is_run_anew(made: Made, tmp_path: Path) -> None:
    bench = made(projects.receipts(tmp_path / "own", projects.TESTS + "\n# built twice\n"))
    settings = bench.settings.model_copy(update={"cache_dir": tmp_path / "cache"})
    shelf = tmp_path / "cache" / SHELF

    def learnt(job_id: str) -> Baseline:
        job = bench.job.model_copy(update={"job_id": job_id})
        bench.store.add(job, job_id)
        bench.store.request(job_id, bench.request.model_copy(update={"job": job}))
        Orders(bench.database).place(job_id, PREPARE)
        replace(workshop(bench), settings=settings).do(Errand.PREPARE, job_id, FIRST)
        return Baseline.model_validate_json(bench.store.checkpointed(job_id, BASELINE) or "")

    image = learnt("first").image
    (entry,) = shelf.iterdir()
    entry.write_text(entry.read_text().replace('"flaky":[', '"flaky":["test_of_old"'))
    assert learnt("second").flaky == ("test_of_old",)
    (stored,) = (each.name for each in bench.sandbox.images() if image in each.name)
    assert bench.sandbox.discard(stored)
    assert learnt("third").flaky == ()
