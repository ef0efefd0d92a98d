"""What `tox` and `nox` files hint at: what the tests need, and which runner they start.

Both are programs of the repository in all but name; nothing of them is run, and what only running
them would tell is not known.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.recipes.declared import ini_of, strings, table, text_of, toml_of

UNREADABLE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)
RUNNERS = re.compile(r"\b(pytest|py\.test|manage\.py\s+test|django-admin\s+test|unittest|trial)\b")
KINDS = {"pytest": "pytest", "py.test": "pytest", "unittest": "unittest", "trial": "unittest"}
TESTS = re.compile(r"(?:^|[-_])(?:unit)?tests?(?:$|[-_])|^(?:unit|py\d*|pytest|ci)$", re.IGNORECASE)
NO_REQUIREMENT = re.compile(r"[{}$/]|^\s*[-.]|^[\w,!-]+:\s|\.(?:txt|in|toml|cfg|whl)\s*$")
"""Substitutions, options, paths, factors of tox."""


@dataclass(frozen=True, slots=True)
class Hints:
    """`runner` is `pytest`, `unittest`, `django` or empty; `file` is where that was found."""

    requirements: tuple[str, ...] = ()
    runner: str = ""
    file: str = ""


def read_hints(checkout: Path) -> Hints:
    """The requirements of all of them, and the runner of the first that names one."""
    requirements: list[str] = []
    runner = file = ""
    for name, deps, commands in _sources(checkout):
        requirements += [line for line in deps if not NO_REQUIREMENT.search(line)]
        if not runner:
            runner = _kind(commands)
            file = name if runner else ""
    return Hints(tuple(requirements), runner, file)


def _sources(checkout: Path) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """File by file: its name, what it installs for tests, and the commands it runs."""
    ini = ini_of(checkout / "tox.ini")
    sections = [s for s in ini.sections() if s == "testenv" or TESTS.search(s.partition(":")[2])]
    for section in sections:
        # `deps` of the plain section are read with the other settings of this file.
        deps = ini.get(section, "deps", fallback="") if section != "testenv" else ""
        yield "tox.ini", tuple(deps.splitlines()), ini.get(section, "commands", fallback="")
    yield _tox_table("tox.toml", toml_of(checkout / "tox.toml"))
    project = table(toml_of(checkout / "pyproject.toml"), "tool", "tox")
    yield _tox_table("pyproject.toml", project)
    legacy = project.get("legacy_tox_ini")
    if isinstance(legacy, str):
        yield "pyproject.toml", (), legacy
    yield _nox(text_of(checkout / "noxfile.py"))


def _tox_table(name: str, data: Mapping[str, object]) -> tuple[str, tuple[str, ...], str]:
    base = table(data, "env_run_base")
    commands = base.get("commands")
    rows = commands if isinstance(commands, list) else []
    return name, strings(base.get("deps")), "\n".join(" ".join(strings(row)) for row in rows)


def _nox(text: str) -> tuple[str, tuple[str, ...], str]:
    """The literals that its sessions of tests hand to `session.install` and `session.run`."""
    deps: list[str] = []
    commands: list[str] = []
    try:
        tree = ast.parse(text)
    except UNREADABLE:
        return "noxfile.py", (), ""
    sessions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and TESTS.search(n.name)]
    for node in (inner for session in sessions for inner in ast.walk(session)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            words = [
                a.value
                for a in node.args
                if isinstance(a, ast.Constant) and isinstance(a.value, str)
            ]
            if node.func.attr == "install":
                deps += words
            elif node.func.attr == "run":
                commands.append(" ".join(words))
    return "noxfile.py", tuple(deps), "\n".join(commands)


def _kind(commands: str) -> str:
    found = RUNNERS.search(commands)
    return KINDS.get(found[1], "django") if found else ""
