import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sandbox.contract import Box, Limits, Sandbox
from sandbox.errors import SandboxUnavailableError
from sandbox.pool import PooledSandbox, emptied
from tests.sandbox.conftest import opened

ROUNDS = 2000
MANY_CORES = 64


class Counting:
    """A real sandbox that counts what is opened, or lets nothing be opened any more."""

    def __init__(self, inner: Sandbox) -> None:
        self.inner = inner
        self.isolation = inner.isolation
        self.opened = 0
        self.closed = 0
        self.failing: Exception | None = None
        self.before_closing: Callable[[], object] = lambda: None

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        if self.failing is not None:
            raise self.failing
        with self.inner.open(image, limits) as box:
            self.opened += 1
            yield box
            self.before_closing()
        self.closed += 1

    def reap(self) -> int:
        return 0


@pytest.fixture
def inner() -> Counting:
    return Counting(opened("bubblewrap"))


@pytest.fixture
def image(inner: Counting) -> str:
    from sandbox import images

    return images.bare(inner.inner)


def until(happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(ROUNDS):
        if happened():
            return
        pause.wait(0.01)
    pytest.fail("it did not happen")


def test_a_box_that_waits_is_given_once_and_never_again(inner: Counting, image: str) -> None:
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()) as first:
        until(lambda: pool.waiting() == 1)
        first.exec(["touch", "/tmp/left"])
    with pool.open(image, Limits()) as second:
        assert inner.opened == 2
        assert second is not first
        assert second.exec(["ls", "/tmp/left"]).exit_code != 0
        second.exec(["touch", "/tmp/left"])
    until(lambda: pool.waiting() == 1 and inner.closed == 2)
    with pool.open(image, Limits()) as third:
        assert third.exec(["ls", "/tmp/left"]).exit_code != 0
    pool.empty()


def test_no_box_is_started_ahead_where_every_core_has_one(inner: Counting, image: str) -> None:
    pool = PooledSandbox(inner, 2, 1)
    with pool.open(image, Limits()):
        assert (pool.waiting(), pool._starting) == (0, 0)
    until(lambda: pool.waiting() == 1)
    assert pool.empty() == 1
    assert inner.closed == inner.opened


@pytest.mark.parametrize("unhurried", [True, False])
def test_where_candidates_leave_time_the_next_box_is_started_after_the_verdict(
    inner: Counting, image: str, monkeypatch: pytest.MonkeyPatch, unhurried: bool
) -> None:
    monkeypatch.setattr("sandbox.pool.UNHURRIED_S", 0.0 if unhurried else 3600.0)
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()):
        until(lambda: pool.waiting() == 1)
    until(lambda: inner.closed == 1)
    with pool.open(image, Limits()):
        assert pool.starting() + pool.waiting() == (0 if unhurried else 1)
    until(lambda: pool.waiting() == 1)
    assert inner.opened == 3
    pool.empty()


def test_a_box_that_died_while_it_waited_is_not_given(inner: Counting, image: str) -> None:
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()):
        until(lambda: pool.waiting() == 1)
    (ready,) = pool._ready
    ready.box._walls._jail.destroy()  # type: ignore[attr-defined]  # from outside, as an operator would
    with pool.open(image, Limits()) as box:
        assert box.exec(["true"]).exit_code == 0
    pool.empty()


def test_boxes_of_another_search_are_closed(inner: Counting, image: str) -> None:
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()):
        until(lambda: pool.waiting() == 1)
    with pool.open(image, Limits(wall_clock_s=7.0)):
        until(lambda: inner.closed == 2)
    pool.empty()


def test_a_box_that_waited_too_long_is_closed(
    inner: Counting, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()):
        until(lambda: pool.waiting() == 1)
    assert pool.reap() == 0
    monkeypatch.setattr("sandbox.pool.IDLE_S", -1.0)
    assert pool.reap() == 1
    assert pool.waiting() == 0


def test_a_back_end_that_fails_is_told_to_whoever_asks(inner: Counting, image: str) -> None:
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()):
        until(lambda: pool.waiting() == 1)
        inner.failing = SandboxUnavailableError(inner.isolation, "gone")
    with pool.open(image, Limits()) as box:
        assert box.exec(["true"]).exit_code == 0
    with pytest.raises(SandboxUnavailableError, match="gone"), pool.open(image, Limits()):
        pass


def test_a_machine_without_descriptors_does_not_end_the_pool(inner: Counting, image: str) -> None:
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()):
        until(lambda: pool.waiting() == 1)
        assert pool.empty() == 1
        inner.failing = OSError(errno.EMFILE, "Too many open files")
        pool._fill((image, Limits()))
        until(lambda: pool.starting() == 0)
        inner.failing = None
        pool._fill((image, Limits()))
        until(lambda: pool.waiting() == 1)
    assert pool.empty() == 1
    assert inner.closed == inner.opened


def test_a_box_that_is_being_started_is_closed_as_well(inner: Counting, image: str) -> None:
    with emptied(PooledSandbox(inner, 1, MANY_CORES)) as pool, pool.open(image, Limits()):
        pass
    assert inner.closed == inner.opened == 2


def test_a_verdict_does_not_wait_for_its_box_to_be_thrown_away(inner: Counting, image: str) -> None:
    may_end = threading.Event()
    inner.before_closing = lambda: may_end.wait(30)
    with emptied(PooledSandbox(inner, 1, 1)) as pool:
        with pool.open(image, Limits()):
            pass
        assert inner.closed == 0
        may_end.set()
    assert inner.closed == inner.opened == 2, "one was started ahead once its core was free"


def test_what_is_raised_in_a_box_reaches_the_caller_and_closes_it(
    inner: Counting, image: str
) -> None:
    pool = PooledSandbox(inner, 1, MANY_CORES)
    with pool.open(image, Limits()):
        until(lambda: pool.waiting() == 1)
    with pytest.raises(ValueError, match="mine"), pool.open(image, Limits()):
        raise ValueError("mine")
    pool.empty()
