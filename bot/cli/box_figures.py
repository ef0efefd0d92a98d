"""`evoscale bench sandbox`: one candidate through every kind of box, interleaved, in one run."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from statistics import median

from pydantic import BaseModel

from bot.cli import box_traces, box_ways
from bot.cli.box_ways import BARE, HARNESS, TESTS, Ways
from bot.cli.swebench_way import VERSION

BUSY = (
    "**It was busier than it has cores: these are no figures of an idle machine, and neither the "
    "goal of 60 ms from the pool nor that of 230 ms fresh is shown by them.**"
)
GOALS_MS = {"pool": 60.0, "fresh": 230.0}
"""What a box may add to the bare command, by how its way's name ends."""
TURNS = 3
"""How often fresh boxes and the pool take turns at full load."""
IN_A_ROW = ("docker", "runc", "bubblewrap")
"""Each as many times; gVisor's leave what these do and would take most of the bench's time."""


class Figures(BaseModel):
    """What was measured; milliseconds are medians, sizes are MiB, rates are candidates a second."""

    rounds: int
    cores: int
    load_before: float
    load_after: float
    seconds: float
    isolation: dict[str, str]
    milliseconds: dict[str, float]
    spread: dict[str, tuple[float, float]]
    missing: dict[str, str]
    harness_end_ms: float | None
    idle_mib: dict[str, float]
    busy: str
    busy_per_second: dict[str, float]
    in_a_row: int
    left_behind: dict[str, dict[str, int]]


def measure(rounds: int, in_a_row: int, say: Callable[[str], None]) -> Figures:
    """Measure everything that this machine has; what fails is told in `missing`.

    Raises:
        SandboxUnavailableError: the machine has no kind of box at all.
    """
    load, began = os.getloadavg()[0], time.monotonic()
    with ExitStack() as stack:
        say("images, and the SWE-bench harness's environment")
        ways = box_ways.found(stack)
        times = interleaved(ways, rounds, say)
        harness_end_ms = _harness_end_ms(ways, times, say)
    return Figures(
        rounds=rounds,
        cores=_cores(),
        load_before=load,
        isolation={name: sandbox.isolation for name, (sandbox, _) in ways.sandboxes.items()},
        milliseconds={name: 1000 * median(spent) for name, spent in times.items()},
        spread={name: (1000 * min(s), 1000 * max(s)) for name, s in times.items()},
        harness_end_ms=harness_end_ms,
        busy=ways.best,
        busy_per_second=_busy_per_second(ways, rounds, say),
        idle_mib=_idle_mib(ways, say),
        in_a_row=in_a_row,
        left_behind=_left_behind(ways, in_a_row, say),
        missing=ways.missing,  # after all that adds to it
        load_after=os.getloadavg()[0],
        seconds=time.monotonic() - began,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def interleaved(ways: Ways, rounds: int, say: Callable[[str], None]) -> Mapping[str, list[float]]:
    """Seconds by way; one that fails is not tried again, and keeps what it had."""
    times: dict[str, list[float]] = {name: [] for name in ways.timed}
    for number in range(rounds + 1):  # the first round warms up and does not count
        say(f"round {number} of {rounds}")
        for name, way in ways.timed.items():
            if name in ways.missing:
                continue
            with ways.noting(name):
                ways.before.get(name, lambda: None)()
                spent = way()
                times[name] += [spent] if number else []
    return {name: spent for name, spent in times.items() if spent}


def _harness_end_ms(
    ways: Ways, times: Mapping[str, list[float]], say: Callable[[str], None]
) -> float | None:
    """What the harness's own way to end a container adds, once; it waits for most of that."""
    if ways.harness is None or HARNESS not in times or HARNESS in ways.missing:
        return None
    say("the harness's own end of a container")
    with ways.noting(f"{HARNESS}, its own end"):
        began = time.perf_counter()
        ways.harness.run(own_end=True)
        return 1000 * (time.perf_counter() - began - median(times[HARNESS]))
    return None


def _busy_per_second(ways: Ways, rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    say("throughput on busy cores")
    rates: dict[str, list[float]] = {"fresh": [], "pool": []}
    sandbox, spec = ways.sandboxes[ways.best]
    with ways.noting("throughput on busy cores"), ExitStack() as stack:
        kinds = {"fresh": sandbox, "pool": box_ways.pooled(sandbox, stack, _cores())}
        for _ in range(TURNS):
            for name, kind in kinds.items():
                rates[name].append(box_ways.per_second(kind, spec, rounds, _cores()))
    return {name: median(found) for name, found in rates.items() if found}


def _idle_mib(ways: Ways, say: Callable[[str], None]) -> dict[str, float]:
    say("memory of idle boxes")
    found: dict[str, float] = {}
    for name, (sandbox, spec) in ways.sandboxes.items():
        if name in IN_A_ROW:
            with ways.noting(f"memory, {name}"):
                found[name] = box_traces.idle_mib(sandbox, spec.image)
    return found


def _left_behind(ways: Ways, count: int, say: Callable[[str], None]) -> dict[str, dict[str, int]]:
    """What so many candidates, one after the other, leave on this machine."""
    found: dict[str, dict[str, int]] = {}
    for name, (sandbox, spec) in ways.sandboxes.items():
        if name not in IN_A_ROW:
            continue
        say(f"{count} candidates in a row: {name}")
        with ways.noting(f"in a row, {name}"):
            run, before = box_ways.once(sandbox, spec), box_traces.left(sandbox)
            for _ in range(count):
                run()
            after = box_traces.left(sandbox)
            found[name] = {what: number - before[what] for what, number in after.items()}
    return found


def as_markdown(figures: Figures, command: str) -> str:
    """The page `docs/results/sandbox.md`."""
    return "\n".join(
        [
            "# What a box costs",
            "",
            f"Written by `{command}` in {figures.seconds / 60:.0f} minutes: one candidate (a patch",
            f"of one line, {TESTS} tests, their report) through every kind of box, interleaved,",
            f"medians of {figures.rounds} rounds, {figures.cores} cores. The load of the machine",
            f"was {figures.load_before:.1f} before and {figures.load_after:.1f} after; compare",
            "within the table, not with others.",
            *([] if figures.load_before < figures.cores else [BUSY]),
            "",
            *_times_of(figures),
            "",
            *_goals(figures),
            *(f"- {_ended(name, figures)}: {why}" for name, why in figures.missing.items()),
            *([""] if figures.missing else []),
            *_explained(figures),
            "",
            f"| memory of one of {box_traces.WAITING} boxes that wait | MiB (PSS) |",
            "|---|---|",
            *(f"| {name} | {size:.1f} |" for name, size in figures.idle_mib.items()),
            "",
            f"| {figures.cores} workers on {figures.cores} cores, {figures.busy} | candidates a "
            "second |",
            "|---|---|",
            *(f"| {name} | {rate:.2f} |" for name, rate in figures.busy_per_second.items()),
            "",
            *_left_table(figures),
            "",
        ]
    )


def _ended(name: str, figures: Figures) -> str:
    measured = name in figures.milliseconds
    return f"{name}: ended before all rounds were done" if measured else f"{name}: not measured"


def _times_of(figures: Figures) -> Iterator[str]:
    yield "| way | ms | over the bare command, ms | least to most, ms |"
    yield "|---|---|---|---|"
    bare = figures.milliseconds.get(BARE)
    for name, spent in figures.milliseconds.items():
        low, high = figures.spread[name]
        over = "" if bare is None else f"{spent - bare:.0f}"
        yield f"| {name} | {spent:.0f} | {over} | {low:.0f} to {high:.0f} |"


def _goals(figures: Figures) -> Iterator[str]:
    """Which goals are reached, where the machine was idle enough to tell."""
    bare = figures.milliseconds.get(BARE)
    if bare is None or figures.load_before >= figures.cores:
        return
    for kind, goal in GOALS_MS.items():
        over = {
            name: spent - bare
            for name, spent in figures.milliseconds.items()
            if name.endswith(f", {kind}")
        }
        if over:
            reached = [f"{name} ({ms:.0f})" for name, ms in over.items() if ms <= goal]
            missed = [f"{name} (by {ms - goal:.0f})" for name, ms in over.items() if ms > goal]
            yield f"The goal of {goal:.0f} ms: reached by {', '.join(reached) or 'none'};"
            yield f"missed by {', '.join(missed) or 'none'}."
    yield ""


def _explained(figures: Figures) -> Iterator[str]:
    yield "In a search canaries run beside the tests; they have a line of their own. `docker run`"
    yield "has no limits and no report to read. The pool's box waits while the other ways are"
    yield "measured, as it does while a model writes; so the next one is started after the verdict."
    yield "Candidates that follow each other within half a second share the cores with its start."
    if HARNESS not in figures.milliseconds:
        return
    yield ""
    yield f"The harness's way is `run_instance` of PyPI's `swebench` {VERSION} itself: its"
    yield "container, its copies, its `git apply`, its script, its grading. Its process is started"
    yield "before, and the instance is given to it instead of loaded from a data set. In its favour"
    yield "its container is removed at once; with the harness's own end (`docker stop` with 15 s"
    if figures.harness_end_ms is not None:
        yield f"of grace) one candidate took {figures.harness_end_ms:.0f} ms more."
    else:
        yield "of grace) a candidate takes longer."
    yield "Its container has no limits, and has the network."


def _left_table(figures: Figures) -> Iterator[str]:
    kinds = list(figures.left_behind)
    yield f"| left after {figures.in_a_row} candidates in a row | {' | '.join(kinds)} |"
    yield "|---" * (len(kinds) + 1) + "|"
    names = [name for found in list(figures.left_behind.values())[:1] for name in found]
    for name in names:
        counts = " | ".join(str(found[name]) for found in figures.left_behind.values())
        yield f"| {name} | {counts} |"
