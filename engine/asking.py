"""How a search asks whoever holds boxes, and waits: for answers, and for candidates' tests.

What is lost on the way, message or tester, is handed out again. While somebody works at other jobs
and nobody at this one, its clock stands still: the minutes of a job are not spent in a queue, until
it has waited for as long as it may search.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from engine.errors import BaseRunsOutdatedError, EnvironmentLostError, TestsUnavailableError
from engine.leases import Clock
from engine.orders import Errand, Orders
from engine.store import CandidateState, JobStore, StoredCandidate
from engine.workshop import (
    ANSWER,
    REBUILD,
    Checked,
    Outdated,
    Prepared,
    Setback,
    Trouble,
    Unbuilt,
    order_name,
)

POLL_S = 0.05
LOOK_S = 0.5
"""Between two looks at who works for whom."""
NOBODY = {
    Errand.PREPARE: "Nobody ran the tests at the base commit: start `evoscale worker sandbox`",
    Errand.CHECK: "Nobody checked the winner once more: start `evoscale worker sandbox`",
}

Slot = tuple[int, int]
Said = Prepared | Checked | Trouble | Outdated | Unbuilt
HandOut = Callable[[Errand, str, int, int], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a search waits, in seconds.

    `again_s`: until what waits is handed out again. `unheld_s`: while nobody works at anything;
    behind other jobs' errands it waits as long as they take. `stopped_s`: after a stop, for
    somebody to begin to look at what it has found.
    """

    again_s: float = 5.0
    unheld_s: float = 600.0
    stopped_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Asking:
    """What one job asks for. `stopped()` says that its work is not wanted any more.

    `most_left_out_s`: so much waiting behind other jobs is not counted, in all its starts, of which
    this is number `attempt`.
    """

    job_id: str
    store: JobStore
    orders: Orders
    hand_out: HandOut
    stopped: Callable[[], bool]
    clock: Clock
    patience: Patience
    most_left_out_s: float
    attempt: int = 0

    def ask(self, errand: Errand, slot: Slot) -> Prepared | Checked | None:
        """Have an errand done and wait for its answer; None when the search is stopped before.

        Raises:
            TestsUnavailableError: whoever did it failed, or nobody does; the next start asks again.
            EnvironmentLostError: what it needs cannot be built any more.
            BaseRunsOutdatedError: the tests at the base commit have to run again first.
        """
        name, queue = order_name(errand, slot), Queue(self)
        handed_out, seen, stopped = -self.patience.again_s, time.monotonic(), None
        while (found := self._heard(name)) is None:
            now = time.monotonic()
            if now - handed_out > self.patience.again_s:
                handed_out = now
                self.orders.place(self.job_id, name)
                self.hand_out(errand, self.job_id, *slot)
                seen = now if self.orders.busy() else seen
                continue
            if stopped is None and self.stopped():
                stopped = now
            if stopped is not None and self._given_up(errand, name, now - stopped):
                return None
            if now - seen > self.patience.unheld_s:
                raise TestsUnavailableError(NOBODY[errand], retryable=True)
            queue.wait()
        return self._result(name, found)

    def _heard(self, name: str) -> Said | None:
        """What was answered to this start of the search; what was said to an earlier is forgotten.

        A result counts whoever asked for it. Testers may fail long after the start that they were
        busy for, when the next one has begun.
        """
        found = self.orders.answered(self.job_id, name)
        answer = None if found is None else ANSWER.validate_json(found)
        if not isinstance(answer, Setback) or answer.attempt == self.attempt:
            return answer
        if answer.attempt < self.attempt:
            self.orders.forget(self.job_id, name)
        return None

    def _result(self, name: str, answer: Said) -> Prepared | Checked:
        if isinstance(answer, Prepared | Checked):
            return answer
        self.orders.forget(self.job_id, name)
        if isinstance(answer, Unbuilt):
            raise EnvironmentLostError(answer.reason, answer.log, answer.tried)
        if isinstance(answer, Outdated):
            raise BaseRunsOutdatedError
        raise TestsUnavailableError(answer.reason, retryable=answer.retryable)

    def tested(
        self, slots: Collection[Slot], over: Callable[[], bool]
    ) -> Mapping[Slot, StoredCandidate]:
        """Wait until these candidates are tested, or the search is over; as far as they came.

        Raises:
            EnvironmentLostError: what they need cannot be built any more; the next start tries.
            BaseRunsOutdatedError: the tests at the base commit have to run again first.
        """
        handed_out, queue = time.monotonic(), Queue(self)
        while True:
            stored = self.store.candidates(self.job_id)
            rows = {(r.iteration, r.sample): r for r in stored if (r.iteration, r.sample) in slots}
            waiting = [slot for slot, r in rows.items() if r.state is CandidateState.SAMPLED]
            if not waiting or over():
                return rows
            lost = self._heard(REBUILD)
            if lost is not None:
                self._result(REBUILD, lost)
            if time.monotonic() - handed_out > self.patience.again_s:
                handed_out = time.monotonic()
                for slot in waiting:
                    self.hand_out(Errand.EVALUATE, self.job_id, *slot)
            queue.wait()

    def prepares(self) -> bool:
        """Whether somebody is at the tests at the base commit."""
        return self.orders.held(self.job_id, order_name(Errand.PREPARE, (0, 0)))

    def _given_up(self, errand: Errand, name: str, stopped_s: float) -> bool:
        """Whether a stop ends the waiting: a look at a winner that has begun is waited for."""
        late = stopped_s > self.patience.stopped_s
        held = self.orders.held(self.job_id, name)
        return errand is Errand.PREPARE or (late and not held)


class Queue:
    """One wait of a job, during which it may stand behind others'."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._looked = self._since = time.monotonic()
        self._behind = False

    def wait(self) -> None:
        """Wait a moment, which does not count while this job stands behind others."""
        time.sleep(POLL_S)
        now = time.monotonic()
        if self._behind:
            self._asking.clock.leave_out(now - self._since, self._asking.most_left_out_s)
        self._since = now
        if now - self._looked > LOOK_S:
            self._looked = now
            orders, job_id = self._asking.orders, self._asking.job_id
            self._behind = orders.busy() and not orders.busy(job_id)
