"""`evoscale bench sandbox`: a way that cannot be measured is told and costs no other."""

import subprocess
import sys

import pytest

from bot.cli.box_figures import Figures, as_markdown, interleaved
from bot.cli.box_ways import BARE, Ways
from bot.cli.swebench_way import Harness
from sandbox.errors import SandboxUnavailableError


def quick() -> float:
    return 0.1


def figures(ways: Ways, rounds: int) -> Figures:
    times = interleaved(ways, rounds, lambda _: None)
    return Figures(
        rounds=rounds,
        cores=2,
        load_before=0.1,
        load_after=0.2,
        seconds=60.0,
        isolation={},
        milliseconds={name: 1000 * spent[0] for name, spent in times.items()},
        spread=dict.fromkeys(times, (100.0, 100.0)),
        missing=ways.missing,
        harness_end_ms=None,
        idle_mib={"runc": 9.5},
        busy="runc",
        busy_per_second={"fresh": 3.0},
        in_a_row=2,
        left_behind={"runc": {"mounts": 0}, "bubblewrap": {"mounts": 0}},
    )


def test_a_way_that_fails_says_why_and_the_others_are_on_the_page() -> None:
    def broken() -> float:
        raise SandboxUnavailableError("docker/runc", "the engine went away\nfor good")

    page = as_markdown(figures(Ways({BARE: quick, "docker": broken, "runc": quick}), 2), "bench")
    assert "- docker: not measured: the engine went away for good" in page
    assert "| runc | 100 | 0 | 100 to 100 |" in page
    assert "| left after 2 candidates in a row | runc | bubblewrap |" in page
    assert "| mounts | 0 | 0 |" in page


def test_the_page_says_which_goals_are_reached() -> None:
    ways = Ways({BARE: quick, "docker, pool": quick, "docker, fresh": lambda: 0.4})
    page = as_markdown(figures(ways, 1), "bench")
    assert "The goal of 60 ms: reached by docker, pool (0);\nmissed by none." in page
    assert "The goal of 230 ms: reached by none;\nmissed by docker, fresh (by 70)." in page
    busy = figures(ways, 1).model_copy(update={"load_before": 9.0})
    assert "The goal of 60 ms: " not in as_markdown(busy, "bench")


def test_a_way_that_fails_later_keeps_the_rounds_it_had() -> None:
    rounds = iter([0.3, 0.1, 0.1])

    def brief() -> float:
        for spent in rounds:
            return spent
        raise OSError("no more")

    found = figures(Ways({BARE: quick, "runc": brief}), 5)
    assert found.milliseconds["runc"] == 100
    assert "- runc: ended before all rounds were done: no more" in as_markdown(found, "bench")


def test_without_the_bare_command_the_page_claims_no_difference() -> None:
    def broken() -> float:
        raise OSError("no box")

    page = as_markdown(figures(Ways({BARE: broken, "runc": quick}), 1), "bench")
    assert "| runc | 100 |  | 100 to 100 |" in page


def test_a_harness_that_has_ended_is_no_verdict() -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        pytest.raises(SandboxUnavailableError, match="its process ended"),
    ):
        Harness(process).run()
