"""HumanEvalFix (octopack, MIT): 164 Python functions, each with one bug and two sets of tests."""

import ast
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInputError
from engine.training.search import PARALLEL_TASKS, Check, Region, SearchTask
from engine.training.verdicts import lines_of_last_call, run_programs
from sandbox import images
from sandbox.contract import Sandbox


@dataclass(frozen=True, slots=True)
class FixTask:
    """One function to repair; `before` and `after` are what stands around it in its module.

    `visible_test` is empty where the benchmark gives none; `hidden_test` is the verdict.
    """

    task_id: str
    bug_type: str
    before: str
    function: str
    after: str
    visible_test: str
    hidden_test: str


def read_tasks(data: Path) -> list[FixTask]:
    """The benchmark's tasks.

    Raises:
        BadInputError: the file is missing or its rows are not HumanEvalFix's.
    """
    try:
        rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines() if line]
        tasks = [_task(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, SyntaxError) as error:
        msg = (
            f"{data} does not hold HumanEvalFix rows ({type(error).__name__}: {error}); "
            "give the Python file of humanevalpack in JSON lines"
        )
        raise BadInputError(msg) from error
    if not tasks:
        msg = f"{data} is empty; give the Python file of humanevalpack in JSON lines"
        raise BadInputError(msg)
    return tasks


def _task(row: dict[str, str]) -> FixTask:
    """One row as a task: the buggy module cut at its entry point."""
    text = row["declaration"] + row["buggy_solution"]
    node = _entry(ast.parse(text), row["entry_point"])
    lines = text.split("\n")
    start, end = node.lineno - 1, node.end_lineno or node.lineno
    return FixTask(
        task_id=row["task_id"],
        bug_type=row["bug_type"],
        before="".join(f"{line}\n" for line in lines[:start]),
        function="\n".join(lines[start:end]),
        after="\n".join(lines[end:]).strip("\n"),
        visible_test=row["example_test"].strip(),
        hidden_test=row["test"],
    )


def _entry(module: ast.Module, name: str) -> ast.FunctionDef:
    """The function under test; the last of its name.

    Raises:
        ValueError: there is none.
    """
    found = [n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == name]
    if not found:
        msg = f"no function {name}"
        raise ValueError(msg)
    return found[-1]


def search_tasks(
    tasks: Sequence[tuple[int, FixTask]], sandbox: Sandbox
) -> tuple[list[SearchTask], Check]:
    """The tasks as the search takes them, and their tests, which run in boxes of `sandbox`.

    Raises:
        SandboxUnavailableError: no box can be opened.
    """
    tests = _Tests({task.task_id: task for _, task in tasks}, sandbox, images.bare(sandbox))
    with ThreadPoolExecutor(PARALLEL_TASKS) as pool:
        regions = list(pool.map(tests.region, (task for _, task in tasks)))
    found = [
        SearchTask(
            number=number,
            task_id=task.task_id,
            group=task.bug_type,
            regions=(region,),
            visible=bool(task.visible_test),
        )
        for (number, task), region in zip(tasks, regions, strict=True)
    ]
    return found, tests


@dataclass(frozen=True, slots=True)
class _Tests:
    """The tasks' two tests; a program passes when it runs one to its end."""

    tasks: Mapping[str, FixTask]
    sandbox: Sandbox
    image: str

    def region(self, task: FixTask) -> Region:
        """A task's function, with what its visible test ran of it before it failed."""
        region = Region(task.before, task.function, f"\n{task.after}")
        if not task.visible_test:
            return region
        first = task.before.count("\n") + 1
        ran = lines_of_last_call(
            f"{region.program(task.function)}\n{task.visible_test}\n",
            (first, first + task.function.count("\n")),
            sandbox=self.sandbox,
            image=self.image,
        )
        return region.knowing(ran)

    def __call__(
        self, asked: Sequence[tuple[str, Sequence[str]]], *, hidden: bool
    ) -> list[list[bool]]:
        """Run every task's programs in a box of their own, two boxes at a time."""

        def run(order: tuple[str, Sequence[str]]) -> list[bool]:
            task = self.tasks[order[0]]
            test = task.hidden_test if hidden else task.visible_test
            whole = [f"{program}\n{test}\n" for program in order[1]]
            return run_programs(whole, sandbox=self.sandbox, image=self.image)

        with ThreadPoolExecutor(PARALLEL_TASKS) as pool:
            return list(pool.map(run, asked))
