"""HumanEvalFix (octopack, MIT): 164 Python functions, each with one bug and two sets of tests."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

from engine.errors import BadInputError


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

    def module(self, function: str) -> str:
        """The module's text with another text in the function's place."""
        return f"{self.before}{function}\n{self.after}"


def read_tasks(data: Path, *, sample: int | None, seed: int) -> list[FixTask]:
    """The benchmark's tasks, or a random sample of them in the file's order.

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
    if sample is None or sample >= len(tasks):
        return tasks
    return [tasks[k] for k in sorted(Random(seed).sample(range(len(tasks)), sample))]


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
