"""A parsed function whose nodes know where they stand in its text: a rewrite touches one line."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import TypeVar

T = TypeVar("T")
Node = TypeVar("Node", bound=ast.AST)
Placed = ast.expr | ast.stmt

_SKIPPED_FIELDS = frozenset({"annotation", "returns", "decorator_list", "type_comment"})


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace the characters `start`..`end` (end excluded) of a source by `text`."""

    start: int
    end: int
    text: str


def make(source: str, splice: Splice) -> str:
    """The source with a splice made."""
    return source[: splice.start] + splice.text + source[splice.end :]


def pick(rng: Random, options: "list[T] | tuple[T, ...]") -> T | None:
    """One of the options; None when there is none."""
    return rng.choice(options) if options else None


class ParsedFunction:
    """A function's ASCII text with its tree; columns are characters because the text is ASCII."""

    def __init__(self, source: str) -> None:
        """Parse a dedented function.

        Raises:
            SyntaxError: the text is not Python.
            ValueError: the text is not ASCII.
        """
        if not source.isascii():
            msg = "a rewrite needs ASCII text, because syntax trees count columns in bytes"
            raise ValueError(msg)
        self.source = source
        self.tree = ast.parse(source)
        self._line_starts = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
        self.nodes = tuple(_walk(self.tree))

    def of(self, *types: type[Node]) -> list[Node]:
        """The nodes of these types, f-strings' insides and annotations left out."""
        return [node for node in self.nodes if isinstance(node, types)]

    def start(self, node: Placed) -> int:
        """Where a node's text begins."""
        return self._line_starts[node.lineno - 1] + node.col_offset

    def end(self, node: Placed) -> int:
        """Where a node's text ends."""
        line, column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._line_starts[line - 1] + column

    def text(self, node: Placed) -> str:
        """A node's text."""
        return self.source[self.start(node) : self.end(node)]

    def swap(self, node: Placed, text: str) -> Splice | None:
        """The splice that writes `text` in a node's place; None when that changes nothing."""
        start, end = self.start(node), self.end(node)
        return None if self.source[start:end] == text else Splice(start, end, text)

    def lines(self, statement: ast.stmt) -> Splice:
        """An empty splice over a statement's whole lines, the newline before them included."""
        return Splice(self._line_starts[statement.lineno - 1] - 1, self.end(statement), "")

    @cached_property
    def blocks(self) -> list[list[ast.stmt]]:
        """Every list of statements."""
        found = []
        for node in self.nodes:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list) and block:
                    found.append(block)
        return found

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Local variables and parameters, each once."""
        stored = [n.id for n in self.of(ast.Name) if isinstance(n.ctx, ast.Store)]
        return tuple(dict.fromkeys([a.arg for a in self.of(ast.arg)] + stored))

    @cached_property
    def slots(self) -> list[ast.expr]:
        """Expressions in places where another value could stand."""
        found: list[ast.expr | None] = []
        for node in self.nodes:
            match node:
                case ast.Return() | ast.Assign() | ast.AugAssign():
                    found.append(node.value)
                case ast.Call():
                    found.extend(node.args)
                case ast.Compare():
                    found.extend([node.left, *node.comparators])
                case ast.BinOp():
                    found.extend([node.left, node.right])
                case ast.Subscript() if not isinstance(node.slice, ast.Slice | ast.Tuple):
                    found.append(node.slice)
        return [
            n for n in found if n is not None and not isinstance(n, ast.Starred | ast.JoinedStr)
        ]

    @cached_property
    def tests(self) -> list[ast.expr]:
        """Conditions of if, while, conditional expressions and comprehensions."""
        found = [n.test for n in self.nodes if isinstance(n, ast.If | ast.While | ast.IfExp)]
        return found + [test for n in self.of(ast.comprehension) for test in n.ifs]


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Depth first; annotations and the insides of f-strings, whose columns are wrong, left out."""
    for name, value in ast.iter_fields(node):
        if name in _SKIPPED_FIELDS:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                if not isinstance(child, ast.JoinedStr):
                    yield from _walk(child)
