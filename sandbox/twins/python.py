"""Tests of Python turned around by their syntax tree.

Two ways of turning one around: `end` raises wherever the test would come to its end, so
nothing that forces a pass can tell it from the original by its outcome; `values` compares what the
code gives with an object that equals nothing, so code that answers "equal" to everything shows.
"""

import ast
from collections.abc import Callable, Iterator, Sequence

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
EQUALITIES = frozenset({"assertEqual", "assertEquals"})
TWO = 2
END = "the end of this test was reached, where it was made to fail"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Turn = Callable[[Function], bool]
"""Turns a function around in place; false where that cannot be relied on."""


def twins(source: str, names: Sequence[str]) -> tuple[str, ...]:
    """The twins of a file in which one test is turned around; none where none can be relied on.

    `names` leads to the function: classes from the outside in, then its own name. Never raises.
    """
    made = (_turned(source, names, turn) for turn in (_at_the_end, _by_values))
    return tuple(text for text in made if text is not None)


def _turned(source: str, names: Sequence[str], turn: Turn) -> str | None:
    try:
        tree = ast.parse(source)
        function = _find(tree, names)
        if function is None or _may_fail(function) or not turn(function):
            return None
        return ast.unparse(ast.fix_missing_locations(tree))
    except UNREADABLE:
        return None


def _find(tree: ast.Module, names: Sequence[str]) -> Function | None:
    body: Sequence[ast.stmt] = tree.body
    *classes, name = names
    for each in classes:
        found = [n for n in body if isinstance(n, ast.ClassDef) and n.name == each]
        if not found:
            return None
        body = found[-1].body
    functions = [n for n in body if isinstance(n, Function) and n.name == name]
    return functions[-1] if functions else None


def _may_fail(function: Function) -> bool:
    """Whether a failure of the test counts as a pass, or it gives way in another sense."""
    marks = " ".join(ast.unparse(d) for d in function.decorator_list)
    gives_way = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in _own_nodes(function))
    return gives_way or "xfail" in marks or "expectedFailure" in marks


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Everything in a function but what functions inside it hold."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _raise() -> ast.Raise:
    statement = ast.parse(f"raise AssertionError({END!r})").body[0]
    assert isinstance(statement, ast.Raise)  # noqa: S101  # it was written one line above
    return statement


def _at_the_end(function: Function) -> bool:
    """Raise at the end and instead of every return; false where something could catch that."""
    for node in _own_nodes(function):
        guards = isinstance(node, ast.Try | ast.TryStar | ast.With | ast.AsyncWith)
        if guards and any(isinstance(inner, ast.Return) for inner in ast.walk(node)):
            return False
    for node in (function, *_own_nodes(function)):
        for block in ("body", "orelse"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                statements[:] = [_raise() if isinstance(s, ast.Return) else s for s in statements]
    function.body.append(_raise())
    return True


def _by_values(function: Function) -> bool:
    """Compare with nothing in the first statement that is a comparison and nothing else."""
    for statement in function.body:
        if any(isinstance(inner, ast.Return) for inner in ast.walk(statement)):
            return False
        if _compares(statement):
            return True
    return False


def _compares(statement: ast.stmt) -> bool:
    nothing = ast.parse("object()", mode="eval").body
    if isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare):
        compare = statement.test
        if [type(op) for op in compare.ops] != [ast.Eq]:
            return False
        if isinstance(compare.left, ast.Constant):
            compare.left = nothing
        else:
            compare.comparators = [nothing]
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr not in EQUALITIES or len(call.args) < TWO:
        return False
    call.args[0 if isinstance(call.args[0], ast.Constant) else 1] = nothing
    return True
