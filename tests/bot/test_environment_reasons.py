"""Reasons in `evoscale bench environments` begin with what can be done, where that is known."""

import pytest

from bot.cli.environments import _why
from sandbox.contract import TestReport

DOTS = "." * 72 + " [ 87%]"


def silent(log: str, *, timed_out: bool = False) -> TestReport:
    return TestReport(applied=True, timed_out=timed_out, ran=False, log_tail=log)


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (
            silent(f"{DOTS}\n{DOTS}\n[the tests ran out of time]", timed_out=True),
            "give a command more time with --seconds: [the tests ran out of time]",
        ),
        (
            silent("Error: ENOENT: no such file or directory, symlink 'a' -> 'b'\n[no report]"),
            "take the sources from the repository, as archives of npm carry no symbolic links: "
            "Error: ENOENT: no such file or directory, symlink 'a' -> 'b' / [no report]",
        ),
        (
            silent("Error: no such module 'x'\n[no report]"),
            "Error: no such module 'x' / [no report]",
        ),
        (silent(DOTS), "the suite said nothing"),
    ],
)
def test_a_reason_begins_with_what_to_do(report: TestReport, why: str) -> None:
    assert _why(report, ()) == why
