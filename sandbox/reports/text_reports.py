"""Reports that are text: TAP as `tape` and its like print it. Hostile input."""

import re

from sandbox.contract import TestStatus
from sandbox.reports.outcomes import Ledger

POINT = re.compile(r"^(not )?ok\b(?: (\d{1,9}))?(?: -)?(?: (.{0,2000}))?$")
DIRECTIVE = re.compile(r"\s#\s*(skip|todo)", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d{1,9})")
COMMENT = re.compile(r"^# (.{1,1500})$")
COUNTS = re.compile(r"# (?:tests|pass|fail|ok|duration|time|suites|cancelled|skipped|todo)\b")


def read_tap(report: bytes, ledger: Ledger) -> None:
    """Record TAP's test points at the outermost level; ids are the comment above and the point.

    Raises:
        ValueError: there is no plan, or it announces another number of points than there are.
    """
    heading, points, planned = "", 0, None
    seen: dict[str, int] = {}
    for line in report.decode("utf-8", "replace").splitlines():
        point, plan, comment = POINT.match(line), PLAN.match(line), COMMENT.match(line)
        if point:
            points += 1
            base = " > ".join(filter(None, (heading, _named(point[3], points))))
            seen[base] = seen.get(base, 0) + 1
            name = base if seen[base] == 1 else f"{base} #{seen[base]}"
            ledger.add(name, _tap_status(point), "")
        elif plan:
            planned = int(plan[1])
        elif comment and not COUNTS.match(line):
            heading = comment[1].removeprefix("Subtest: ")
    if planned is None:
        raise ValueError("the TAP output has no plan")
    if planned != points:
        raise ValueError(f"the TAP plan says {planned} test points, there are {points}")


def _named(text: str | None, number: int) -> str:
    name = DIRECTIVE.split(text or "")[0].strip()
    name = re.sub(r"\s*(?:#\s*)?\(?(?:time=)?\d+(?:\.\d+)?m?s\)?$", "", name)
    return name or f"point {number}"


def _tap_status(point: re.Match[str]) -> TestStatus:
    directive = DIRECTIVE.search(point[3] or "")
    if directive:
        return TestStatus.SKIPPED
    return TestStatus.FAILED if point[1] else TestStatus.PASSED
