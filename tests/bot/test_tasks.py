"""The composition of the bot worker: leases, pauses, crashes, the thread that looks."""

import threading
from types import ModuleType

import pytest

from bot.dispatch import Dispatcher
from bot.fakehub import faults
from bot.inbox import DeliveryState
from bot.publish import Publisher
from engine.contract import Failed, NoPatch
from engine.queue import PUBLISH, REPAIR, SNAPSHOT
from engine.store import JobState
from tests.bot.stage import Stage
from tests.factories import make_delivery, make_patched


def start(stage: Stage) -> tuple[int, str]:
    """An issue whose job exists and has done nothing yet."""
    number = stage.open_issue()
    stage.label(number)
    stage.driver.wait_until_delivered()
    stage.desk.dispatch()
    stage.woken.clear()
    return number, stage.latest(number).job.job_id


def crash(*_: object) -> object:
    raise RuntimeError("a fault of ours")


def test_a_wake_up_too_many_changes_nothing(stage: Stage) -> None:
    number, job_id = start(stage)
    for task in (PUBLISH, SNAPSHOT, SNAPSHOT, REPAIR, PUBLISH, SNAPSHOT, PUBLISH):
        stage.step(task, job_id)
    assert stage.latest(number).state is JobState.DONE
    assert len(stage.driver.pulls(stage.repository)) == 1
    for task in (SNAPSHOT, PUBLISH):
        stage.step(task, "unknown")


def test_a_step_that_somebody_holds_is_left_to_them(stage: Stage) -> None:
    number, job_id = start(stage)
    stage.desk.store.lease(job_id, "another bot", 60)
    stage.desk.snapshot(job_id)
    assert stage.latest(number).state is JobState.QUEUED


def test_a_lease_is_given_back_after_the_step(stage: Stage) -> None:
    _, job_id = start(stage)
    stage.desk.snapshot(job_id)
    assert stage.desk.store.lease(job_id, "engine", 60)


def test_a_job_stopped_before_its_snapshot_ends_there(stage: Stage) -> None:
    number, job_id = start(stage)
    stage.desk.store.request_stop(job_id, "zoe")
    stage.woken.append((SNAPSHOT, job_id))
    stage.settle()
    assert isinstance(stage.latest(number).outcome, NoPatch)
    assert "Stopped before the search began." in stage.status(number)
    assert "Stopped by `zoe`." in stage.status(number)


def test_a_fault_of_ours_in_the_snapshot_ends_with_a_comment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, job_id = start(stage)
    with monkeypatch.context() as patch:
        patch.setattr("bot.snapshot.take", crash)
        stage.desk.snapshot(job_id)
    stage.settle()
    assert isinstance(stage.latest(number).outcome, Failed)
    assert job_id in stage.status(number)
    assert "wrong in the bot itself" in stage.status(number)


def test_a_fault_of_ours_in_publishing_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, job_id = start(stage)
    stage.desk.snapshot(job_id)
    stage.desk.store.finish(job_id, make_patched())
    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "publish", crash)
        stage.desk.publish(job_id)
    assert stage.latest(number).state is JobState.FINISHED
    stage.forget_waiting()
    stage.desk.publish(job_id)
    assert stage.latest(number).state is JobState.DONE


def test_github_being_down_puts_the_snapshot_off(stage: Stage) -> None:
    number, job_id = start(stage)
    stage.restart()
    stage.driver.add_fault(faults.status(r"/repos/[^/]+/calc", 503, method="GET", count=20))
    stage.desk.snapshot(job_id)
    assert stage.latest(number).state is JobState.QUEUED
    stage.driver.clear_faults()
    stage.forget_waiting()
    stage.desk.snapshot(job_id)
    assert stage.latest(number).state is JobState.READY


def test_a_delivery_waits_while_github_is_down_and_its_installation_pauses(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.driver.wait_until_delivered()
    stage.driver.add_fault(
        faults.secondary_limit(r"/repos/[^/]+/calc", "120", method="GET", count=1)
    )
    stage.desk.dispatch()
    other = stage.open_issue()
    stage.label(other)
    stage.driver.wait_until_delivered()
    stage.desk.dispatch()
    stage.desk.dispatch()
    assert stage.desk.store.latest(stage.repository_id, other) is None
    stage.forget_waiting()
    stage.run_out_leases()
    stage.settle()
    assert len(stage.driver.pulls(stage.repository)) == 2


def test_a_delivery_that_crashes_us_is_given_up_after_five_times(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dispatcher, "handle", crash)
    delivery = make_delivery()
    stage.desk.inbox.accept(delivery)
    for _ in range(7):
        stage.desk.dispatch()
        stage.run_out_leases()
    state = stage.desk.inbox.state_of(delivery.delivery_id)
    assert state == (DeliveryState.FAILED, "it failed 5 times; see the log")


def test_a_delivery_of_an_app_that_was_uninstalled_is_given_up(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.driver.wait_until_delivered()
    stage.driver.uninstall(stage.installation_id)
    stage.restart()
    stage.desk.dispatch()
    assert DeliveryState.FAILED in stage.inbox_states()


def test_progress_is_written_at_most_once_in_ten_seconds(stage: Stage) -> None:
    from engine.contract import Progress
    from engine.contract import Stage as Step

    number, job_id = start(stage)
    stage.desk.snapshot(job_id)
    for candidates in (3, 5):
        stage.desk.store.report(Progress(job_id=job_id, stage=Step.SEARCH, candidates=candidates))
        stage.desk.progress(job_id)
    assert "3 candidates so far" in stage.status(number)


def test_one_failing_sweep_does_not_stop_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _ = start(stage)
    stage.driver.add_fault(faults.status(r"/app/hook/deliveries", 500, count=20))
    stage.desk.reconcile()
    monkeypatch.setattr(stage.desk._sweeps, "tidy", crash, raising=False)
    stage.desk._sweep(crash)
    assert stage.latest(number).state is JobState.QUEUED


class DeskDouble:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        def call(*arguments: str) -> None:
            self.calls.append(" ".join((name, *arguments)))

        return call


def test_a_ticker_works_at_once_and_again_until_it_is_told_to_stop(tasks: ModuleType) -> None:
    stop = threading.Event()
    times: list[int] = []

    def work() -> None:
        times.append(1)
        if len(times) == 3:
            stop.set()

    tasks.Ticker(work, 0.001, stop).run()
    assert len(times) == 3


def test_a_ticker_survives_a_failure(tasks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AFTER_FAILURE_S", 0.001)
    stop = threading.Event()
    times: list[int] = []

    def work() -> object:
        times.append(1)
        if len(times) == 2:
            stop.set()
        return crash()

    tasks.Ticker(work, 0.001, stop).run()
    assert len(times) == 2


def test_the_worker_looks_as_soon_as_it_is_ready(
    tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, looked = DeskDouble(), threading.Event()
    woken: list[str] = []
    real = desk.__getattr__

    def calls_of(name: str) -> object:
        if {"dispatch", "wake_open_jobs"} <= {*desk.calls, name}:
            looked.set()
        return real(name)

    monkeypatch.setattr(DeskDouble, "__getattr__", lambda _self, name: calls_of(name))
    monkeypatch.setattr(tasks, "_desks", [desk])
    monkeypatch.setattr(tasks, "_stop", threading.Event())
    monkeypatch.setattr(tasks.logs, "set_up", lambda _style: None)
    monkeypatch.setattr(tasks.queue, "wake", lambda _app, task, *_: woken.append(task))
    tasks.start_looking()
    assert looked.wait(20)
    tasks.stop_looking()
    assert woken == ["bot.reconcile"]


def test_celery_s_tasks_are_as_thin_as_their_names(
    tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = DeskDouble()
    monkeypatch.setattr(tasks, "_desks", [desk])
    tasks.dispatch()
    tasks.take_snapshot("1")
    tasks.progress("2")
    tasks.publish("3")
    tasks.reconcile()
    assert desk.calls == ["dispatch", "snapshot 1", "progress 2", "publish 3", "reconcile"]
    names = {name for name in tasks.app.tasks if name.startswith("bot.")}
    assert names == {"bot.dispatch", "bot.snapshot", "bot.progress", "bot.publish", "bot.reconcile"}


def test_the_desk_of_a_process_is_made_once(tasks: ModuleType) -> None:
    assert tasks.desk() is tasks.desk()
    assert tasks.desk().store.open_jobs() == []
