"""Why a repository's tests cannot be judged, as a name and advice; pure.

Boxes have no network and no services, so a suite that needs a database or a display fails there in
its own words; these are looked for, because "exit code 1" helps nobody.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.contract import TestReport

MAX_TEXT = 200_000
COMMAND = "set `test_command` in .github/evoscale.yml to the part of the suite that runs without"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that tests need and boxes do not have."""

    name: str
    words: re.Pattern[str]
    advice: str


OBSTACLES = (
    Obstacle(
        "a display",
        re.compile(
            r"no display name|\$DISPLAY|couldn't connect to display|cannot open display"
            r"|could not connect to display|Missing X server|Can't open display"
            r"|qt\.qpa\.(?:xcb|plugin)",
            re.I,
        ),
        f"boxes have no screen; {COMMAND} one, or use an offscreen back end "
        "(`env QT_QPA_PLATFORM=offscreen ...`)",
    ),
    Obstacle(
        "a database or another service",
        re.compile(
            r"connection to server (?:at|on)|could not connect to server|OperationalError"
            r"|Can't connect to (?:local )?(?:MySQL|server)|ServerSelectionTimeoutError"
            r"|redis\.exceptions\.ConnectionError|Error 111 connecting|kafka\.errors|ECONNREFUSED"
            r"|Connection refused|ConnectionRefusedError|docker daemon",
            re.I,
        ),
        f"boxes have no services beside them; {COMMAND} one, for example against SQLite",
    ),
    Obstacle(
        "the network",
        re.compile(
            r"Name or service not known|Temporary failure in name resolution|getaddrinfo failed"
            r"|Network is unreachable|NameResolutionError|Max retries exceeded|ENOTFOUND|EAI_AGAIN"
            r"|ENETUNREACH|UnknownHostException|no such host|dial tcp",
            re.I,
        ),
        f"boxes have none, whatever runs in them; {COMMAND} it",
    ),
)


def obstacle(texts: Iterable[str]) -> Obstacle | None:
    """The first thing that these failure texts say is missing, or None."""
    text = "\n".join(texts)[:MAX_TEXT]
    return next((each for each in OBSTACLES if each.words.search(text)), None)


def unusable(report: TestReport, wall_clock_s: float) -> str | None:
    """Why nothing can be learnt from a run at base_commit, with what to do about it, or None."""
    found = obstacle((report.log_tail, *report.details.values()))
    because = f" They seem to need {found.name}: {found.advice}." if found else ""
    if report.timed_out:
        return (
            f"the tests ran out of time at the base commit, after {wall_clock_s:.0f} seconds; set "
            "`test_command` in .github/evoscale.yml to a faster part of the suite, or raise "
            f"EVOSCALE_SANDBOX_WALL_CLOCK_S.{because}"
        )
    if not report.ran:
        return (
            "the tests gave no report at the base commit, so nothing could be judged."
            f"{because} The log ends with:\n{report.log_tail[-1500:]}"
        )
    if not report.statuses:
        return (
            "no test was found in the repository; add one, or set `test_command` in "
            ".github/evoscale.yml to the command that runs them"
        )
    return None


def none_passes(report: TestReport) -> str:
    """Why a run in which no test passed says nothing about the issue, with what to do about it."""
    test, detail = next(iter(report.details.items()), ("", report.log_tail))
    said = f"{test} says:\n{detail[-1500:]}"
    found = obstacle((report.log_tail, *report.details.values()))
    count = f"none of the {len(report.statuses)} tests passes at the base commit"
    if found is not None:
        return f"{count}: they need {found.name}; {found.advice}. {said}"
    return f"{count}, which points to the environment and not to the issue; {said}"
