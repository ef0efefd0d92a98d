"""The house's own rules: sizes, docstrings, words, and that every path the docs name exists."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "engine", "sandbox")
NOT_OURS = ("bot/demo/small/", "engine/migrations/versions/")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
BANNED = ("fitness", "individual", "elite", "crossover", "population", "offspring", "tenant")
BANNED_MODULES = ("utils", "util", "helpers", "common", "core", "misc")
THEIRS = {".github/evoscale.yml"}
"""Files of the repositories that we serve, which docs name too."""
DOCS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def sources() -> list[Path]:
    found = [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]
    return [p for p in found if not str(p.relative_to(ROOT)).startswith(NOT_OURS)]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_short_and_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    assert path.name == "__main__.py" or ast.get_docstring(ast.parse(text)), "no module docstring"
    assert path.stem not in BANNED_MODULES


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_short(path):
    long = [
        f"{node.name}: {length(node)}"
        for node in functions(path)
        if length(node) > MAX_FUNCTION_LINES
    ]
    # A command of the command line is as long as its options.
    assert path.parent.name == "cli" or long == []


def test_the_median_function_and_file_are_small():
    lengths = [length(node) for path in sources() for node in functions(path)]
    assert median(lengths) <= 10
    assert median(len(path.read_text().splitlines()) for path in sources()) <= 150


def test_identifiers_use_the_fields_words():
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "name", None) or getattr(node, "id", None)
            parts = str(name or "").lower().split("_")
            assert not set(parts) & set(BANNED), f"{path}: {name}"


def test_each_package_keeps_its_errors_in_one_short_file():
    for package in PACKAGES:
        assert len((ROOT / package / "errors.py").read_text().splitlines()) <= 120


def documents() -> list[Path]:
    return [ROOT / name for name in DOCS] + sorted((ROOT / "docs").rglob("*.md"))


PATH = re.compile(r"`((?:bot|engine|sandbox|tests|docs|helm|\.github|\.ci)/[\w./-]*)`")


@pytest.mark.parametrize("document", documents(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_path_that_a_document_names_exists(document):
    named = set(PATH.findall(document.read_text(encoding="utf-8"))) - THEIRS
    missing = [path for path in sorted(named) if not (ROOT / path).exists()]
    assert missing == []


def test_links_between_documents_lead_somewhere():
    for document in documents():
        for target in re.findall(
            r"\]\((?!https?:|#)([^)#\s]+)", document.read_text(encoding="utf-8")
        ):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_version_is_the_changelogs():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text()


def test_nothing_tracked_is_large_but_the_model():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        limit = 40_000_000 if name.startswith("engine/models/embedded/") else 1_000_000
        assert not path.is_file() or path.stat().st_size < limit, name


def test_constraints_pin_every_dependency_without_addresses():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", pin) for pin in pins)
