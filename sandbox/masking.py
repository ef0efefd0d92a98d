"""Pure: tests whose names hold something that differs from run to run are counted, not named.

A random number, an address or the time of day in a name makes another name of it in each run. Such
tests are known by their shape, the name without what may differ, and all tests of one shape are
one: it passed only if each of them did, and their number is part of its id, so that one more or
one fewer is another test.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from sandbox.contract import TestReport, TestStatus
from sandbox.reports import shorten

WORST_FIRST = (
    TestStatus.ERROR, TestStatus.FAILED, TestStatus.SKIPPED, TestStatus.XFAIL, TestStatus.PASSED,
)  # fmt: skip
"""A skip comes before what passes: no skipped test may hide among others."""
MOST_SHAPES = 1000
ORDINAL = re.compile(r" (?:#\d+|\(\d+ tests?\))$")
"""What a report's reader, or this module, says behind a name that is there several times."""
DIFFERS = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|0x[0-9a-f]+"
    r"|(?<![a-z])(?:mon|tue|wed|thu|fri|sat|sun)(?![a-z])"
    r"|(?<![a-z])(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?![a-z])"
    r"|\b(?=[a-f]*\d)[0-9a-f]{8,}\b"
    r"|(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
    r"|\d+",
    re.IGNORECASE,
)
"""UUIDs, addresses, the words of a date, hashes, numbers."""


def shape(test: str) -> str:
    """A test's id without what may differ from run to run; a shape's shape is itself."""
    name = ORDINAL.sub("", test)
    while (shorter := DIFFERS.sub("#", name)) != name:  # one may have stood in another's way
        name = shorter
    return name


def shapes_to_mask(reports: Sequence[TestReport], today: date) -> tuple[str, ...]:
    """The shapes by which tests have to be known, out of runs of the same code; sorted.

    A shape is taken if some of its names are not in all runs, or hold today's date, and if every
    run has as many tests of that shape, with the same result. Where that is not so nothing can be
    said of them: they stay as they are, and count as flickering. So does everything where there are
    more shapes than `MOST_SHAPES`.
    """
    if not reports:
        return ()
    names = [frozenset(report.statuses) for report in reports]
    everywhere = frozenset.intersection(*names)
    day = _written(today)
    restless = {
        shape(test)
        for test in frozenset.union(*names)
        if test not in everywhere or day.search(test)
    }
    merged = [masked(report, restless).statuses for report in reports]
    agreed = {
        shape(test)
        for test, status in merged[0].items()
        if all(other.get(test) == status for other in merged[1:])
    }
    found = sorted(restless & agreed)
    return tuple(found) if len(found) <= MOST_SHAPES else ()


def _written(day: date) -> re.Pattern[str]:
    """A day as test names have it: `2026-11-21`, `Nov 21 2026`, `21 Nov 2026`."""
    month = day.strftime("%b")
    ways = (
        rf"{day:%Y-%m-%d}",
        rf"{month} 0?{day.day},? {day.year}",
        rf"0?{day.day} {month} {day.year}",
    )
    return re.compile("|".join(rf"(?<!\d){way}(?!\d)" for way in ways), re.IGNORECASE)


def is_masked(test: str, shapes: Iterable[str]) -> bool:
    """Whether an id stands for all tests of one of these shapes, so that no runner knows it."""
    return ORDINAL.sub("", test) in shapes


def masked(report: TestReport, shapes: Iterable[str]) -> TestReport:
    """A report in which all tests of one of these shapes are one.

    Its id is the shape and how many they are; its status is the worst of theirs; its details are
    those of the first that has that status.
    """
    wanted = frozenset(shapes)
    if not wanted:
        return report
    groups: dict[str, list[str]] = {}
    for test in report.statuses:
        known = shape(test)
        groups.setdefault(known if known in wanted else test, []).append(test)
    statuses: dict[str, TestStatus] = {}
    details: dict[str, str] = {}
    for name, tests in groups.items():
        group = name in wanted
        test = f"{name} ({_counted(tests)})" if group else name
        worst = _worst(report.statuses, tests)
        statuses[test] = report.statuses[worst]
        if worst in report.details:
            detail = report.details[worst]
            details[test] = shorten(f"{worst}\n{detail}") if group else detail
    return replace(report, statuses=statuses, details=details)


def _counted(tests: Sequence[str]) -> str:
    return "1 test" if len(tests) == 1 else f"{len(tests)} tests"


def _worst(statuses: Mapping[str, TestStatus], tests: Sequence[str]) -> str:
    return min(tests, key=lambda test: WORST_FIRST.index(statuses[test]))
