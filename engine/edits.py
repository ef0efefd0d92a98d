"""Completions → edits → unified diffs, and the normalised form that tells duplicates apart.

Two formats are read: search/replace blocks for chat models, line edits for the embedded one. An
edit that does not apply, parse or change anything is a value (`Unusable`), never an exception.
"""

import ast
import difflib
import hashlib
import re
import textwrap
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from engine import line_format
from engine.candidate import CodeContext, Span
from engine.reach import reaches
from sandbox.contract import Patch

MAX_COMPLETION_CHARS = 200_000
_BLOCK = re.compile(
    r"^#{0,4}[ \t]*`?(?P<path>[^\s`][^\n`]*?)`?[ \t]*\n(?:```[\w+-]*[ \t]*\n)?"
    r"<{5,9} SEARCH[ \t]*\n(?P<search>.*?)^={5,9}[ \t]*\n(?P<replace>.*?)^>{5,9} REPLACE",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Edited:
    """A usable edit: its diff against base_commit and its normalised form."""

    patch: Patch
    key: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A completion that is no patch, and why."""

    reason: str


def read_search_replace(completion: str, context: CodeContext) -> Edited | Unusable:
    """Read search/replace blocks and make them one diff.

    The text to search must stand in the file exactly once; trailing blanks may differ.
    """
    if len(completion) > MAX_COMPLETION_CHARS:
        return Unusable("the completion is too long")
    changed: dict[str, str] = {}
    blocks = list(_BLOCK.finditer(completion))
    if not blocks:
        return Unusable("no search/replace block")
    for block in blocks:
        path = block["path"].strip()
        before = changed.get(path, context.text(path))
        if before is None:
            return Unusable(f"{path[:200]} was not shown to the model")
        after = _replace_once(before, block["search"], block["replace"])
        if after is None:
            return Unusable(f"the text to replace is not in {path} exactly once")
        changed[path] = after
    return finish(changed, context)


def _replace_once(text: str, search: str, replace: str) -> str | None:
    if not search.strip():
        return None
    if text.count(search) == 1:
        return text.replace(search, replace)
    lines, wanted = text.splitlines(keepends=True), search.splitlines()
    stripped = [line.rstrip() for line in lines]
    target = [line.rstrip() for line in wanted]
    hits = [
        k for k in range(len(lines) - len(target) + 1) if stripped[k : k + len(target)] == target
    ]
    if len(hits) != 1:
        return None
    return "".join([*lines[: hits[0]], replace, *lines[hits[0] + len(target) :]])


def read_line_edit(completion: str, context: CodeContext, span: Span) -> Edited | Unusable:
    """Read a line edit of the function at `span` and make it a diff."""
    edit = line_format.parse(completion)
    if edit is None:
        return Unusable("no line edit")
    source = context.lines(span)
    body = textwrap.dedent(source)
    after = line_format.apply(edit, body)
    if after is None:
        return Unusable("the edit is out of range or changes nothing")
    if not reaches(edit, body, context.reached(span)):
        return Unusable("the failing example never runs the edited lines")
    indented = _indented(after, _indentation(source))
    text = context.text(span.path) or ""
    lines = text.splitlines(keepends=True)
    rebuilt = "".join([*lines[: span.start - 1], indented, *lines[span.end :]])
    return finish({span.path: rebuilt}, context)


def _indentation(source: str) -> str:
    first = next((line for line in source.splitlines() if line.strip()), "")
    return first[: len(first) - len(first.lstrip())]


def _indented(body: str, indentation: str) -> str:
    text = textwrap.indent(body, indentation) if indentation else body
    return text if text.endswith("\n") or not text else text + "\n"


def finish(changed: Mapping[str, str], context: CodeContext) -> Edited | Unusable:
    """Check the changed files and render them as one diff, files in order of path."""
    normalised: list[str] = []
    diffs: list[str] = []
    for path, after in sorted(changed.items()):
        before = context.text(path) or ""
        form = _normalised(path, after)
        if form is None:
            return Unusable(f"{path} would not parse")
        if after == before or form == _normalised(path, before):
            continue
        normalised.append(f"{path}\n{form}")
        diffs.append(unified_diff(path, before, after))
    if not diffs:
        return Unusable("the edit changes nothing")
    key = hashlib.sha256("\0".join(normalised).encode()).hexdigest()
    return Edited(Patch("".join(diffs)), key)


def _normalised(path: str, text: str) -> str | None:
    """The text itself, or for Python its syntax tree; None when it does not parse."""
    if not path.endswith(".py"):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the text is not ours: invalid escapes and the like
            return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def unified_diff(path: str, before: str, after: str) -> str:
    """A diff as `git diff` writes it, final newlines accounted for."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    diff = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    lines = [x if x.endswith("\n") else f"{x}\n\\ No newline at end of file\n" for x in diff]
    return f"diff --git a/{path} b/{path}\n" + "".join(lines)


def changed_lines(patch: str) -> int:
    """How many lines a diff adds or removes."""
    return sum(
        1
        for line in patch.splitlines()
        if line[:1] in {"+", "-"} and not line.startswith(("+++", "---"))
    )
