"""Keeping a lease while the work that it covers goes on, and counting the seconds of that work."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def kept(renew: Callable[[], bool], seconds: float) -> Iterator[threading.Event]:
    """Renew a lease of so many seconds until the block ends; the event is set when it was lost."""
    lost, done = threading.Event(), threading.Event()

    def beat() -> None:
        while not done.wait(seconds / 3):
            if not renew():
                lost.set()
                return

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()


class Clock:
    """The seconds that count against a budget: those of earlier starts, and since this began.

    `waited_s` are those of all starts that were not counted.
    """

    def __init__(self, earlier_s: float = 0.0, waited_s: float = 0.0) -> None:
        self._earlier_s = earlier_s
        self._began: float | None = None
        self._waited_before_s = waited_s
        self.waited_s = waited_s

    def begin(self) -> None:
        """Count from now on; what came before was waiting for others."""
        self._began = time.monotonic()

    def leave_out(self, seconds: float, most_s: float) -> None:
        """Do not count so much of what has passed: nothing was done in it.

        At most `most_s` are left out in all starts of a job together.
        """
        if self._began is not None:
            self.waited_s = max(self.waited_s, min(self.waited_s + seconds, most_s))

    def spent_s(self) -> float:
        """What has been counted so far."""
        if self._began is None:
            return self._earlier_s
        left_out_s = self.waited_s - self._waited_before_s
        return self._earlier_s + time.monotonic() - self._began - left_out_s
