"""Whose a container is and until when: so `reap` can clear up after a process that was killed."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

LABEL = "evoscale"
SLACK_S = 600.0
COMMANDS_A_BOX = 10


def labels(now: float, wall_clock_s: float) -> dict[str, str]:
    """The labels of a box opened now (seconds since the epoch) whose commands take that long."""
    deadline = now + COMMANDS_A_BOX * wall_clock_s + SLACK_S
    return {LABEL: "1", f"{LABEL}.owner": owner(), f"{LABEL}.deadline": str(int(deadline))}


def owner() -> str:
    """This process: machine, boot, process id and start time, so no other is taken for it."""
    return f"{socket.gethostname()}/{_boot()}/{os.getpid()}/{_started(os.getpid())}"


def stale(found: Mapping[str, str], now: float) -> bool:
    """Whether a labelled container has outlived its deadline or its owner."""
    deadline = found.get(f"{LABEL}.deadline", "0")
    if not deadline.isdecimal() or now > int(deadline):
        return True
    return is_gone(found.get(f"{LABEL}.owner", ""))


def is_gone(whose: str) -> bool:
    """Whether an owner was a process of this machine and runs no more."""
    machine, _, process = whose.rpartition("/")[0].rpartition("/")
    if machine != f"{socket.gethostname()}/{_boot()}" or not process.isdecimal():
        return False  # another machine's, of the same engine: only its deadline counts
    return whose.rpartition("/")[2] != _started(int(process))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _started(process: int) -> str:
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "gone"
    return status.rpartition(")")[2].split()[19]
