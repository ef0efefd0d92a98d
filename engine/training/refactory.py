"""Refactory (LGPL-3): wrong programs of students for five tasks, with input and output cases.

Programs come with duplicates dropped. Half of a program's cases are visible, one that it fails
among them; all of them are the verdict.
"""

import ast
import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from engine.errors import BadInputError
from engine.line_format import MAX_LINES
from engine.training.outcomes import Boxes, Calls, lines_run, run_calls
from engine.training.search import Check, Region, SearchTask

MAX_REGIONS = 3
ONE_LINE = "one line from the reference"
FURTHER = "further"
_PRINTED = "; prints "


@dataclass(frozen=True, slots=True)
class Case:
    """A call and the text of the value that it should have."""

    call: str
    expected: str


@dataclass(frozen=True, slots=True)
class WrongProgram:
    """A wrong program; `cases` in an order drawn by its name."""

    instance_id: str
    task: str
    description: str
    preamble: str
    source: str
    reference: str
    cases: tuple[Case, ...]


def read_programs(data: Path) -> list[WrongProgram]:
    """The benchmark's programs.

    Raises:
        BadInputError: the file is missing or its rows are not Refactory's.
    """
    try:
        rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines() if line]
        programs = [_program(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
        msg = (
            f"{data} does not hold Refactory's rows ({type(error).__name__}: {error}); give JSON "
            "lines with instance_id, buggy_source, cases and reference_source"
        )
        raise BadInputError(msg) from error
    if not programs:
        msg = f"{data} is empty; give Refactory's programs in JSON lines"
        raise BadInputError(msg)
    return programs


def _program(row: dict[str, object]) -> WrongProgram:
    name, source = str(row["instance_id"]), str(row["buggy_source"])
    given = row["cases"]
    if not isinstance(given, list) or not given:
        msg = f"{name} has no cases"
        raise ValueError(msg)
    cases = [Case(str(case["call"]), str(case["expected"])) for case in given]
    ast.parse(source)
    Random(name).shuffle(cases)
    return WrongProgram(
        instance_id=name,
        task=name.partition("__")[2].partition("-")[0] or name,
        description=" ".join(str(row.get("description", "")).split()),
        preamble=str(row.get("preamble", "")),
        source=source.expandtabs(8),
        reference=str(row["reference_source"]),
        cases=tuple(cases),
    )


def search_tasks(
    programs: Sequence[tuple[int, WrongProgram]], boxes: Boxes, *, told: bool = False
) -> tuple[list[SearchTask], Check]:
    """The programs as the search takes them, each run once to know a case that it fails.

    Those that fail none are left out: what is wrong with them cannot be seen by running them. With
    `told` the model is shown a case that fails.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    orders = [_calls(program, program.cases, [program.source]) for _, program in programs]
    tasks: list[SearchTask] = []
    shared: dict[str, _Cases] = {}
    for (number, program), (heard,) in zip(programs, run_calls(orders, boxes), strict=True):
        right = _right(program.cases, heard)
        failing = [case for case, passed in zip(program.cases, right, strict=True) if not passed]
        if not failing:
            continue
        cases = [failing[0], *(case for case in program.cases if case is not failing[0])]
        visible = tuple(cases[: (len(cases) + 1) // 2])
        seen = tuple(case for case in visible if case in failing)
        split = _Cases(program, visible, tuple(cases), seen)
        shared[program.instance_id] = split
        tasks.append(_task(number, split, told=told))
    return _knowing(tasks, shared, boxes), _Verdicts(shared, boxes)


def _knowing(
    tasks: Sequence[SearchTask], shared: Mapping[str, "_Cases"], boxes: Boxes
) -> list[SearchTask]:
    """The same tasks, with what their failing visible cases ran."""
    splits = [shared[task.task_id] for task in tasks]
    orders = [_calls(s.program, s.failing, [s.program.source]) for s in splits]
    ran = zip(tasks, lines_run(orders, boxes), strict=True)
    return [
        replace(task, regions=tuple(region.knowing(lines) for region in task.regions))
        for task, lines in ran
    ]


@dataclass(frozen=True, slots=True)
class _Cases:
    """A program's cases; the visible ones, the first half, begin with one that it fails.

    `failing` are those of the visible ones that it fails.
    """

    program: WrongProgram
    visible: tuple[Case, ...]
    all: tuple[Case, ...]
    failing: tuple[Case, ...]


def _task(number: int, split: _Cases, *, told: bool) -> SearchTask:
    """One program's search."""
    program, shown = split.program, split.visible[0]
    return SearchTask(
        number=number,
        task_id=program.instance_id,
        group=program.task,
        regions=regions_of(program.source, [case.call for case in split.failing]),
        issue=f"{shown.call} should give {shown.expected}" if told else "",
        subset=ONE_LINE if is_near(program.source, program.reference) else FURTHER,
    )


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """Runs programs on their cases."""

    shared: Mapping[str, _Cases]
    boxes: Boxes

    def __call__(
        self, asked: Sequence[tuple[str, Sequence[str]]], *, hidden: bool
    ) -> list[list[bool]]:
        splits = [self.shared[name] for name, _ in asked]
        cases = [split.all if hidden else split.visible for split in splits]
        orders = [
            _calls(split.program, wanted, programs)
            for split, wanted, (_, programs) in zip(splits, cases, asked, strict=True)
        ]
        found = zip(cases, run_calls(orders, self.boxes), strict=True)
        return [[all(_right(wanted, heard)) for heard in answers] for wanted, answers in found]


def _calls(program: WrongProgram, cases: Sequence[Case], sources: Sequence[str]) -> Calls:
    """The cases' calls; in a lambda, since only the value counts, not what becomes of a list."""
    calls = tuple(f"(lambda: {case.call})()" for case in cases)
    return Calls("", program.preamble, calls, tuple(sources))


def _right(cases: Sequence[Case], heard: Sequence[str]) -> list[bool]:
    """Which cases came out right, whatever was printed on the way."""
    values = [said.partition(_PRINTED)[0] for said in heard]
    values += [""] * (len(cases) - len(values))
    return [case.expected == value for case, value in zip(cases, values, strict=True)]


def regions_of(source: str, failing: Sequence[str]) -> tuple[Region, ...]:
    """The functions of a program: those that failing calls name most often first, then by length.

    One of more than `MAX_LINES` lines comes as windows, as in the engine.
    """
    lines = source.split("\n")
    called = Counter(call.partition("(")[0].strip() for call in failing)
    nodes = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    spans = [(called[n.name], n.lineno - 1, n.end_lineno or n.lineno) for n in nodes]
    spans.sort(key=lambda span: (-span[0], span[1] - span[2], span[1]))
    regions = [
        _region(lines, first, min(first + MAX_LINES, end))
        for _, start, end in spans
        for first in range(start, end, MAX_LINES)
    ]
    return tuple(regions[:MAX_REGIONS])


def _region(lines: Sequence[str], start: int, end: int) -> Region:
    before = "".join(f"{line}\n" for line in lines[:start])
    return Region(before, "\n".join(lines[start:end]), "\n" + "\n".join(lines[end:]))


def is_near(source: str, reference: str) -> bool:
    """Whether one line apart makes a program its task's reference, names of variables aside."""
    one, two = (_normal(text) for text in (source, reference))
    changed = [
        max(b - a, d - c)
        for tag, a, b, c, d in difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    return sum(changed) == 1


def _normal(source: str) -> list[str]:
    """A program's lines without docstrings, its functions' variables renamed in order."""
    tree = ast.parse(source)
    for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
        if ast.get_docstring(function, clean=False) is not None and len(function.body) > 1:
            del function.body[0]
        _rename(function)
    return ast.unparse(tree).split("\n")


def _rename(function: ast.FunctionDef) -> None:
    names: dict[str, str] = {}
    nodes = list(ast.walk(function))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    for node in nodes:
        if isinstance(node, ast.arg):
            node.arg = names.setdefault(node.arg, f"v{len(names)}")
    for node in nodes:
        if isinstance(node, ast.Name) and (node.id in names or node.id in stored):
            node.id = names.setdefault(node.id, f"v{len(names)}")
