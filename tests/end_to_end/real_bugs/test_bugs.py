"""The list of real bugs says all that a harness needs, and shows each bug by an example."""

import ast
import re
import tomllib
from typing import Any

import pytest

from bot.demo.cases import CASES
from engine.line_format import MAX_ISSUE_CHARS, MAX_LINES
from engine.reproduction import find_examples

BUGS: list[dict[str, Any]] = tomllib.loads(CASES.read_text(encoding="utf-8"))["bug"]
FIELDS = {
    "name": str,
    "project": str,
    "version": str,
    "sdist": str,
    "sha256": str,
    "fixed_version": str,
    "fixed_sdist": str,
    "fixed_sha256": str,
    "licence": str,
    "reference": str,
    "path": str,
    "function": str,
    "function_lines": int,
    "change": str,
    "before": str,
    "after": str,
    "dependencies": list,
    "test_requirements": list,
    "pytest_arguments": list,
    "title": str,
    "body": str,
    "check": str,
}
LICENCES = {"MIT", "BSD-3-Clause"}
each_bug = pytest.mark.parametrize("bug", BUGS, ids=[bug["name"] for bug in BUGS])


def test_no_bug_is_listed_twice() -> None:
    assert len({bug["name"] for bug in BUGS}) == len(BUGS) >= 25
    assert len({(bug["project"], bug["path"], bug["function"]) for bug in BUGS}) == len(BUGS)


@each_bug
def test_an_entry_is_complete(bug: dict[str, Any]) -> None:
    assert {field: type(value) for field, value in bug.items() if field != "demo"} == FIELDS
    assert bug["licence"] in LICENCES
    for field in ("sha256", "fixed_sha256"):
        assert re.fullmatch("[0-9a-f]{64}", bug[field])
    assert bug["sdist"] != bug["fixed_sdist"]
    ast.parse(bug["check"])


@each_bug
def test_the_fix_is_one_line_that_the_embedded_model_could_write(bug: dict[str, Any]) -> None:
    assert bug["before"] != bug["after"]
    assert "\n" not in bug["before"] + bug["after"]
    assert bug["function_lines"] <= MAX_LINES
    assert len(bug["title"]) <= MAX_ISSUE_CHARS


@each_bug
def test_the_issue_shows_the_bug_and_not_the_fix(bug: dict[str, Any]) -> None:
    assert find_examples(f"{bug['title']}\n\n{bug['body']}")
    assert bug["after"].strip() not in bug["body"]
