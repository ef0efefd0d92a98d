"""Keeping a lease while the work that it covers goes on."""

import threading
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
