"""`evoscale bench environments`: what its page says of shares, and of reasons what can be done."""

import pytest

from bot.cli.environments import Row, _why, as_markdown
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


def test_the_page_gives_the_share_of_each_language_beside_that_of_both() -> None:
    green = {"python": (True, True), "javascript": (True, False), "go": (False,)}
    rows = [
        Row(language=language, name=str(number), version="1", green=each)
        for language, found in green.items()
        for number, each in enumerate(found)
    ]
    page = as_markdown(rows, len(rows), "bench", "bubblewrap", 1.0)
    together = "python and javascript together 3 of 4 (75%)"
    assert (
        f"Green: {together}, python alone 2 of 2 (100%), javascript alone 1 of 2 (50%).\n" in page
    )
    assert "together" not in as_markdown(rows[:2], len(rows), "bench", "bubblewrap", 1.0)
