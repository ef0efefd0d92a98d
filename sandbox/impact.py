"""Which tests a patch affects: those that enter a function of it, or whose file imports its file.

For pytest one run notes the functions that each test enters. Function by function, not line by
line: measured on 20 random changes of Jinja2, that selects 38 of 902 tests at the median and misses
the failing one once; lines select 34 and miss it twice. For JavaScript's runners that can run some
files the imports are read. So it serves to reject quickly, and whoever is to be believed still
passes the whole suite.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.contract import Box, Limits, Sandbox, TestCommand, TestSpec
from sandbox.imports import Imports, reached
from sandbox.planted import text_of
from sandbox.reported_canaries import order_of
from sandbox.runner import command_line
from sandbox.unified_diff import FileChange, Hunk

REPORT = "/tmp/evoscale/impact.json"  # noqa: S108  # in the box
REPORT_BYTES = 16 * 1024**2
PLACE = "/tmp/evoscale/impact"  # noqa: S108  # the box's own
PLUGIN = "evoscale_impact"
BY_FILE = frozenset({"vitest", "jest", "mocha"})
"""Runners whose ids begin with a file, and that can be told to run some files."""
MOST_PAIRS = 500_000
"""Of tests and files that they reach; more is no help where all is written down for each job."""


class Impact(BaseModel):
    """What was noted: by path, each function's first and last line and its tests' numbers.

    Where files are all that is known, each is one function of any length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tests: tuple[str, ...]
    functions: Mapping[str, tuple[tuple[int, int, tuple[int, ...]], ...]]


def learn_impact(
    sandbox: Sandbox, suite: TestSpec, tests: Sequence[str], limits: Limits
) -> Impact | None:
    """What each of a suite's tests enters or imports; None where that cannot be known.

    Raises:
        SandboxUnavailableError: no box could be opened, or the box failed.
    """
    if suite.command.runner in BY_FILE:
        alone = runs_files_alone(suite.command)
        return _by_file(sandbox, suite, tests, limits) if alone else None
    return _by_function(sandbox, suite, limits) if suite.command.runner == "pytest" else None


def runs_files_alone(command: TestCommand) -> bool:
    """Whether files that are chosen are all that a recipe's command runs."""
    orders = (order_of(word) for word in command.argv)
    return any(order is not None and order.get("alone") is True for order in orders)


def _by_function(sandbox: Sandbox, suite: TestSpec, limits: Limits) -> Impact | None:
    """Run the suite once more with a plugin that notes."""
    with sandbox.open(suite.image, limits) as box:
        box.write_file(f"{PLACE}/{PLUGIN}.py", text_of("impact_plugin.py").encode())
        environment = (f"PYTEST_PLUGINS={PLUGIN}", f"PYTHONPATH={PLACE}")
        noted = _noted(box, ("env", *environment, *command_line(suite.command, ())))
    try:
        return None if noted is None else Impact.model_validate_json(noted)
    except ValidationError:
        return None


def _by_file(
    sandbox: Sandbox, suite: TestSpec, tests: Sequence[str], limits: Limits
) -> Impact | None:
    """Have the imports read where the repository lies."""
    with sandbox.open(suite.image, limits) as box:
        program = text_of("imports_of.py").encode()
        noted = _noted(box, ("python3", "-I", "-", REPORT), program)
    try:
        imports = None if noted is None else Imports.model_validate_json(noted)
    except ValidationError:
        return None
    return None if imports is None else impact_of(imports, tests)


def impact_of(imports: Imports, tests: Sequence[str]) -> Impact | None:
    """The impact of tests whose ids begin with their files; None where nothing can be chosen."""
    by_file: dict[str, list[int]] = {}
    for number, test in enumerate(tests):
        by_file.setdefault(_file_of(test), []).append(number)
    numbers: dict[str, list[int]] = {}
    graph, pairs = imports.graph(), 0
    for file, own in by_file.items():
        reaches = reached(graph, file)
        pairs += len(reaches) * len(own)
        if pairs > MOST_PAIRS:
            return None
        for path in reaches:
            numbers.setdefault(path, []).extend(own)
    functions = {path: ((0, sys.maxsize, tuple(by)),) for path, by in numbers.items()}
    return Impact(tests=tuple(tests), functions=functions) if functions else None


def _noted(box: Box, argv: Sequence[str], stdin: bytes = b"") -> bytes | None:
    """What a command writes into `REPORT`, if it comes to an end."""
    result = box.exec(argv, stdin=stdin)
    if result.exit_code is None or result.out_of_memory or result.box_ended:
        return None
    return box.read_file(REPORT, REPORT_BYTES)


def affected(impact: Impact, changes: Iterable[FileChange]) -> frozenset[str] | None:
    """The tests that enter what is changed, or import it; None where every test may be affected.

    That is so for what is changed outside of functions (imports, constants, data), for files that
    are new, moved or gone, and for files no function of which was seen. Tests whose file is named
    after a changed module count as affected.
    """
    found: set[str] = set()
    for change in changes:
        if change.old is None or change.old != change.new or change.old not in impact.functions:
            return None
        stem = PurePosixPath(change.old).stem
        found |= {t for t in impact.tests if stem in PurePosixPath(_file_of(t)).stem}
        for hunk in change.hunks:
            numbers = _entered_by(impact.functions[change.old], *_changed_lines(hunk))
            if numbers is None:
                return None
            found |= {impact.tests[n] for n in numbers if n < len(impact.tests)}
    return frozenset(found)


def _file_of(test: str) -> str:
    """The file that an id `file::test` or `file > test` begins with."""
    return test.partition("::")[0].partition(" > ")[0]


def _changed_lines(hunk: Hunk) -> tuple[int, int]:
    """The first and last line that a hunk changes; for lines put in, the one before them."""
    same = 0
    while same < min(len(hunk.old), len(hunk.new)) and hunk.old[same] == hunk.new[same]:
        same += 1
    after = 0
    most = min(len(hunk.old), len(hunk.new)) - same
    while after < most and hunk.old[-1 - after] == hunk.new[-1 - after]:
        after += 1
    first, last = hunk.start + same, hunk.start + len(hunk.old) - after - 1
    return (first, last) if last >= first else (last, last)


def _entered_by(
    functions: Iterable[tuple[int, int, tuple[int, ...]]], first: int, last: int
) -> frozenset[int] | None:
    """The tests of the smallest function around these lines; None where there is none."""
    around = [(end - start, by) for start, end, by in functions if start < first and last <= end]
    if not around:
        return None
    smallest = min(size for size, _ in around)
    return frozenset(number for size, by in around if size == smallest for number in by)
