"""Which edits can matter: those of statements that failing tests ran.

What a failing test never ran is hardly why it fails. So much is known from one traced run of the
code as it is, and it spares a search the candidates that could not have helped.
"""

import ast
import warnings
from collections.abc import Collection, Iterator
from itertools import pairwise

from engine.line_format import LineEdit, split_lines

_BLOCKS = ("orelse", "finalbody")


def whole_statements(source: str, lines: Collection[int]) -> frozenset[int] | None:
    """Lines that ran (1-based), widened to whole statements; None when the source does not parse.

    A tracer reports a statement's first line only.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the text is not ours: invalid escapes and the like
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    whole = set(lines)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            extent = _extent(node)
            if any(line in lines for line in extent):
                whole.update(extent, _between(node))
    return frozenset(whole)


def _extent(node: ast.stmt) -> range:
    """The lines of a statement, its decorators included and the body of a compound one left out."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    body: list[ast.stmt] = getattr(node, "body", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    last = body[0].lineno - 1 if body else (node.end_lineno or node.lineno)
    return range(first, max(last, node.lineno) + 1)


def _between(node: ast.stmt) -> Iterator[int]:
    """The lines between a compound statement's blocks, `else:` and the like, which run unseen."""
    handlers: list[ast.ExceptHandler] = getattr(node, "handlers", [])
    first = (
        handlers[-1].body if handlers else getattr(node, "body", [])
    )  # handlers run on their own
    blocks: list[list[ast.stmt]] = [first, *(getattr(node, name, []) for name in _BLOCKS)]
    for before, after in pairwise(block for block in blocks if block):
        yield from range((before[-1].end_lineno or 0) + 1, after[0].lineno)


def reaches(edit: LineEdit, source: str, reached: Collection[int] | None) -> bool:
    """Whether an edit touches a line of `reached` (0-based), which is None where it is unknown.

    What is put in after a line is reached where that line is, or the next one.
    """
    if reached is None or any(line in reached for line in range(edit.start, edit.end + 1)):
        return True
    lines = split_lines(source)
    only_adds = edit.end < len(lines) and edit.lines[:1] == (lines[edit.end],)
    following = (k for k in range(edit.end + 1, len(lines)) if lines[k].strip())
    return edit.start == edit.end and only_adds and next(following, -1) in reached
