"""Requirements that a repair does not need: checks of style and types, and tools of a release.

A type checker that runs once for every test takes hours in a box and says nothing about behaviour.
Documentation and packaging tools are most of what a `dev` group downloads.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sandbox.recipes.declared import text_of

MARKED_TESTS = {"pytest-mypy-testing": "mypy_testing"}
"""Plugins whose tests are no Python to be run: without the plugin their mark leaves them out."""

CHECKS = frozenset(
    {"pytest-mypy", "pytest-flake8", "pytest-pylint", "pytest-ruff", "pytest-black", "pytest-isort",
     "pytest-checkdocs", "pytest-enabler", *MARKED_TESTS}
)  # fmt: skip
"""pytest plugins that add tests of style or types."""

TOOLS = {
    "sphinx": "sphinx", "furo": "furo", "twine": "twine", "tox": "tox", "nox": "nox",
    "pre-commit": "pre_commit", "black": "black", "ruff": "ruff", "flake8": "flake8",
    "isort": "isort", "pylint": "pylint", "mypy": "mypy", "mkdocs": "mkdocs", "build": "build",
    "mkdocs-material": "material", "sphinx-rtd-theme": "sphinx_rtd_theme", "pyright": "pyright",
    "sphinx-autodoc-typehints": "sphinx_autodoc_typehints", "myst-parser": "myst_parser",
    "bump2version": "bumpversion", "bumpversion": "bumpversion", "cibuildwheel": "cibuildwheel",
    "notebook": "notebook", "jupyter": "jupyter", "jupyterlab": "jupyterlab", "ipdb": "ipdb",
    "pdbpp": "pdb", "towncrier": "towncrier", "bandit": "bandit", "codespell": "codespell_lib",
}  # fmt: skip
"""Tools of writing and releasing, and the module by which a test would use one."""

SOURCES = 3000
NOT_CODE = frozenset({"doc", "docs", ".git", "node_modules", ".tox", ".venv"})


def needed(requirements: Sequence[str], checkout: Path) -> tuple[str, ...]:
    """The requirements without checks, and without tools that no source names."""
    by_name = {text: canonicalize_name(Requirement(text).name) for text in requirements}
    tools = {TOOLS[name] for name in by_name.values() if name in TOOLS}
    used = _named(checkout, tools) if tools else set()
    return tuple(
        text
        for text, name in by_name.items()
        if name not in CHECKS and (name not in TOOLS or TOOLS[name] in used)
    )


def left_out(requirements: Sequence[str]) -> tuple[str, ...]:
    """The pytest options that leave out tests of plugins which are not installed."""
    names = {canonicalize_name(Requirement(text).name) for text in requirements}
    marks = [mark for plugin, mark in MARKED_TESTS.items() if plugin in names]
    return ("-m", " and ".join(f"not {mark}" for mark in marks)) if marks else ()


def _named(checkout: Path, modules: set[str]) -> set[str]:
    """Those of the modules that some source file speaks of: an import, or a command it starts."""
    word = re.compile(rf"\b({'|'.join(map(re.escape, sorted(modules)))})\b")
    said = re.compile(rf"^\s*(?:import|from)\s.*|[\"'](?:{word.pattern})[\"']", re.MULTILINE)
    found: set[str] = set()
    for path in sources_of(checkout):
        for line in said.finditer(text_of(path)):
            found.update(word.findall(line[0]))
    return found


def sources_of(checkout: Path) -> Iterator[Path]:
    """The first few thousand Python files that may be code or tests."""
    left = SOURCES
    for parent, directories, names in os.walk(checkout):
        directories[:] = sorted(d for d in directories if d not in NOT_CODE)
        for name in names:
            if name.endswith(".py") and name not in {"setup.py", "noxfile.py", "tasks.py"}:
                yield Path(parent, name)
                left -= 1
                if left == 0:
                    return
