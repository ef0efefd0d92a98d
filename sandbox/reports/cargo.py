"""What `cargo test` prints, held against itself: announced, told and summed up. Hostile input.

The code under test writes to the same stream as libtest and cargo. So each program has to announce
its tests, tell of as many and sum up the same; and cargo has to count as many programs that failed.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.contract import TestStatus
from sandbox.reports.outcomes import DETAIL_CHARS, Ledger

PROGRAM = re.compile(r"^\s*(?:Running (?:unittests |tests/)?(\S+)|(Doc-tests) (\S+))")
ANNOUNCED = re.compile(r"^running (\d{1,9}) tests?$")
RESULT = re.compile(r"^test (.{1,1500}?) \.\.\. (ok|FAILED|ignored.{0,500})$")
SUMMARY = re.compile(
    r"^test result: (ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored; "
    r"(\d{1,9}) measured; \d{1,9} filtered out(?:; finished in .{1,30})?$"
)
PANIC = re.compile(r"^---- (.{1,1500}) stdout ----$")
PRINTED = frozenset({"failures:", "successes:"})
"""What begins the part in which a program tells what its tests printed."""
FAILED_PROGRAMS = re.compile(r"^error: (\d{1,9}) targets? failed:$")
STATUSES = {"ok": TestStatus.PASSED, "FAILED": TestStatus.FAILED}
CONTRADICTS = "the report contradicts itself"


@dataclass(slots=True)
class Part:
    """The lines from one announcement on, or of a program that announces nothing."""

    target: str
    announced: int | None
    told: list[tuple[str, TestStatus]] = field(default_factory=list)
    interrupted: int = 0
    summary: re.Match[str] | None = None
    printed: bool = False

    @property
    def failed(self) -> bool:
        """Whether its program must have ended badly."""
        return self.summary is None or self.summary[1] == "FAILED"

    @property
    def ended(self) -> bool:
        """Whether it was summed up, or never was libtest's."""
        return self.announced is None or self.summary is not None


def read_cargo(report: bytes, ledger: Ledger) -> None:
    """Record what `cargo test --no-fail-fast` prints; ids are `target::module::test`.

    A program that ended before it summed up is an error under its target's name, and none of its
    tests is told.

    Raises:
        ValueError: cargo printed no line about a test target, so nothing was built; or what is
            announced, told, summed up and counted cannot all be true.
    """
    lines = report.decode("utf-8", "replace").splitlines()
    parts = _parts(lines)
    if not parts:
        raise ValueError("cargo built no test")
    for part in parts:
        _check(part)
    _check_count(parts, lines)
    broken = {part.target for part in parts if not part.ended}
    for target in sorted(broken):
        ledger.add(target, TestStatus.ERROR, "its program ended before its tests did")
    details = _panics(lines)
    for part in parts:
        for name, status in () if part.target in broken else part.told:
            test = f"{part.target}::{name}"
            ledger.add(test, status, details.get(test, ""))


def _parts(lines: Sequence[str]) -> list[Part]:
    parts: list[Part] = []
    for line in lines:
        program, announced = PROGRAM.match(line), ANNOUNCED.match(line)
        if program:
            parts.append(Part(_target(program), None))
        elif parts and announced and not _goes_on(parts[-1]):
            parts = parts if parts[-1].announced is None else [*parts, Part(parts[-1].target, None)]
            parts[-1].announced = int(announced[1])
        elif parts:
            _take(parts[-1], line)
    return parts


def _goes_on(part: Part) -> bool:
    """Whether it may still print what its tests printed, which may be an announcement."""
    return part.printed and part.summary is None


def _take(part: Part, line: str) -> None:
    summary, result = SUMMARY.match(line), RESULT.match(line)
    if summary:
        if part.summary is not None and not part.printed:
            raise ValueError(f"{CONTRADICTS}: {part.target} is summed up twice")
        part.summary = summary
    elif part.printed:
        return
    elif line in PRINTED:
        part.printed = True
    elif result:
        if part.announced is None or part.summary is not None:
            raise ValueError(f"{CONTRADICTS}: {part.target} tells of a test out of its place")
        name = result[1].removesuffix(" - should panic")
        part.told.append((name, STATUSES.get(result[2], TestStatus.SKIPPED)))
    elif "test " in line and " ..." in line:
        part.interrupted += 1  # something else was printed into it: how it ended is not told


def _check(part: Part) -> None:
    """Hold the tests of a part against its announcement and its sum."""
    if part.summary is None:
        return
    if part.announced is None:
        raise ValueError(f"{CONTRADICTS}: {part.target} sums up tests that it did not announce")
    passed, failed, ignored, measured = (int(part.summary[at]) for at in range(2, 6))
    if passed + failed + ignored + measured != part.announced:
        raise ValueError(f"{CONTRADICTS}: {part.target} sums up more or fewer than it announced")
    if (part.summary[1] == "FAILED") != (failed > 0):
        raise ValueError(f"{CONTRADICTS}: {part.target} sums up {failed} failures and another end")
    most = Counter({
        TestStatus.PASSED: passed, TestStatus.FAILED: failed, TestStatus.SKIPPED: ignored,
    })  # fmt: skip
    if _told(part) - most:
        # Tests of compilers (trybuild) print lines like libtest's, about files.
        part.told = [(name, status) for name, status in part.told if "/" not in name]
    if _told(part) - most or part.announced - len(part.told) > part.interrupted:
        raise ValueError(f"{CONTRADICTS}: {part.target} tells of others than it sums up")


def _told(part: Part) -> Counter[TestStatus]:
    return Counter(status for _, status in part.told)


def _check_count(parts: Sequence[Part], lines: Sequence[str]) -> None:
    """Hold cargo's own count of programs that ended badly against theirs."""
    counted = [int(found[1]) for found in map(FAILED_PROGRAMS.match, lines) if found]
    if not counted:
        return
    # Parts of one program follow each other; documentation's may have two.
    bad = sum(part.failed and part.announced is not None for part in parts)
    unknown = sum(part.announced is None for part in parts)
    docs = sum(part.target.startswith("doc ") and part.failed for part in parts)
    if not bad - max(0, docs - 1) <= counted[-1] <= bad + unknown:
        raise ValueError(
            f"{CONTRADICTS}: {bad} programs say that they failed, cargo counts {counted[-1]}"
        )


def _target(running: re.Match[str]) -> str:
    return f"doc {running[3]}" if running[2] else running[1]


def _panics(lines: Sequence[str]) -> dict[str, str]:
    """What failed tests printed, by id."""
    details: dict[str, str] = {}
    target = name = ""
    for line in lines:
        running, panic = PROGRAM.match(line), PANIC.match(line)
        if running:
            target, name = _target(running), ""
        elif panic:
            name = f"{target}::{panic[1]}"
        elif line.startswith("failures:"):
            name = ""
        elif name and len(details.get(name, "")) < DETAIL_CHARS:
            details[name] = f"{details.get(name, '')}{line}\n"
    return details
