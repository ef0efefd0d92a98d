"""The line in which deliveries wait for the thread that sends them."""

import threading
from collections import deque

from bot.fakehub.model import Delivery


class Outbox:
    """A queue that can be held, turned round and waited for."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._changed = threading.Condition()
        self._held = False
        self._in_flight = 0
        self._closed = False

    def put(self, delivery: Delivery) -> None:
        """Add a delivery to the end of the line."""
        with self._changed:
            self._waiting.append(delivery)
            self._changed.notify_all()

    def take(self) -> Delivery | None:
        """Wait for the next delivery, and answer it with `done`; None means that the line ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._waiting and not self._held))
            if self._closed:
                return None
            self._in_flight += 1
            return self._waiting.popleft()

    def done(self) -> None:
        """Say that the delivery taken last has been sent, or given up."""
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def hold(self) -> None:
        """Keep deliveries back, for a test that wants them late or out of order."""
        with self._changed:
            self._held = True

    def release(self, *, reverse: bool = False) -> None:
        """Let go of what was held, last first if so wished: GitHub promises no order."""
        with self._changed:
            if reverse:
                self._waiting.reverse()
            self._held = False
            self._changed.notify_all()

    def drop(self) -> list[Delivery]:
        """Take out everything that waits, as when GitHub never gets round to sending it."""
        with self._changed:
            dropped = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return dropped

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing but held deliveries is on its way; False when time ran out first."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._in_flight and (self._held or not self._waiting), timeout_s
            )

    def close(self) -> None:
        """End the line; whoever waits in `take` gets None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
