"""Rewrites of logic: calls, conditions, operands, statements that are missing, extra or moved."""

import ast
from itertools import pairwise
from random import Random

from engine.models.rewrites.spans import ParsedFunction, Splice, pick

_SIBLINGS = (
    ("min", "max", "sum"), ("sum", "len", "max"), ("any", "all"), ("reversed", "sorted", "list"),
    ("int", "float", "str", "round", "abs"), ("ord", "chr"), ("list", "tuple", "set"),
    ("range", "len"),
        ("enumerate", "zip", "range"), ("isinstance", "issubclass"), ("floor", "ceil", "round"),
    ("append", "extend", "remove", "add", "insert"), ("upper", "lower", "swapcase", "title"),
    ("keys", "values", "items"), ("startswith", "endswith"), ("strip", "lstrip", "rstrip", "split"),
    ("find", "index", "rfind", "count"), ("isupper", "islower", "isalpha", "isdigit"),
    ("add", "discard", "remove", "update"), ("pop", "popleft", "get"), ("split", "rsplit", "join"),
    ("get", "pop", "setdefault"), ("union", "intersection", "difference"),
    ("sqrt", "abs", "log", "exp"),
    ("sin", "cos", "tan"), ("ones", "zeros", "empty"), ("replace", "strip"), ("bin", "hex", "str"),
)  # fmt: skip
_WRAPPERS = (
    "len",
    "abs",
    "sorted",
    "list",
    "int",
    "str",
    "set",
    "sum",
    "max",
    "min",
    "round",
    "reversed",
)
_METHODS = (
    ".lower()",
    ".upper()",
    ".strip()",
    "[::-1]",
    "[1:]",
    "[:-1]",
    "[0]",
    ".copy()",
    ".split()",
)
_SIMPLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return, ast.Raise, ast.Break, ast.Continue)


def wrong_call(p: ParsedFunction, rng: Random) -> Splice | None:
    """A sibling of the function or method that was meant."""
    node = pick(rng, p.of(ast.Call))
    if node is None or not isinstance(node.func, ast.Name | ast.Attribute):
        return None
    func = node.func
    name = func.id if isinstance(func, ast.Name) else func.attr
    others = [s for group in _SIBLINGS if name in group for s in group if s != name]
    chosen = pick(rng, others)
    if chosen is None:
        return None
    return p.swap(func, chosen if isinstance(func, ast.Name) else f"{p.text(func.value)}.{chosen}")


def swapped_arguments(p: ParsedFunction, rng: Random) -> Splice | None:
    """Two neighbouring arguments exchanged."""
    node = pick(rng, [n for n in p.of(ast.Call) if len(n.args) >= 2])
    if node is None:
        return None
    k = rng.randrange(len(node.args) - 1)
    first, second = node.args[k], node.args[k + 1]
    middle = p.source[p.end(first) : p.start(second)]
    return Splice(p.start(first), p.end(second), p.text(second) + middle + p.text(first))


def dropped_argument(p: ParsedFunction, rng: Random) -> Splice | None:
    """An argument, positional or by keyword, is missing."""
    node = pick(rng, [n for n in p.of(ast.Call) if len(n.args) + len(n.keywords) >= 2])
    if node is None:
        return None
    parts = [p.text(a) for a in node.args]
    parts += [(f"{k.arg}=" if k.arg else "**") + p.text(k.value) for k in node.keywords]
    parts.pop(rng.randrange(len(parts)))
    return p.swap(node, f"{p.text(node.func)}({', '.join(parts)})")


def extra_argument(p: ParsedFunction, rng: Random) -> Splice | None:
    """An argument too many."""
    node = pick(rng, [n for n in p.of(ast.Call) if n.args and not n.keywords])
    extra = pick(rng, (*p.names, "1", "0", "None", "True", "-1"))
    if node is None or extra is None:
        return None
    return Splice(p.end(node.args[-1]), p.end(node.args[-1]), f", {extra}")


def dropped_call(p: ParsedFunction, rng: Random) -> Splice | None:
    """A call around a value, such as abs, len or sorted, is missing."""
    node = pick(rng, [n for n in p.of(ast.Call) if len(n.args) >= 1])
    return None if node is None else p.swap(node, p.text(node.args[0]))


def dropped_method(p: ParsedFunction, rng: Random) -> Splice | None:
    """A method call, an index or an attribute after a value is missing."""
    calls = [n for n in p.of(ast.Call) if isinstance(n.func, ast.Attribute)]
    bases = [(n, n.func.value) for n in calls if isinstance(n.func, ast.Attribute)]
    node = pick(rng, bases + [(s, s.value) for s in p.of(ast.Subscript)])
    return None if node is None else p.swap(node[0], p.text(node[1]))


def added_call(p: ParsedFunction, rng: Random) -> Splice | None:
    """A call around a value that must not be there."""
    node = pick(rng, p.slots)
    return None if node is None else p.swap(node, f"{rng.choice(_WRAPPERS)}({p.text(node)})")


def added_method(p: ParsedFunction, rng: Random) -> Splice | None:
    """A method call or an index after a value that must not be there."""
    node = pick(rng, [n for n in p.slots if isinstance(n, ast.Name | ast.Call | ast.Subscript)])
    return None if node is None else p.swap(node, p.text(node) + rng.choice(_METHODS))


def dropped_operand(p: ParsedFunction, rng: Random) -> Splice | None:
    """One side of an arithmetic or boolean expression is missing."""
    options: list[tuple[ast.expr, ast.expr]] = []
    for node in p.nodes:
        if isinstance(node, ast.BinOp):
            options += [(node, node.left), (node, node.right)]
        elif isinstance(node, ast.BoolOp) and len(node.values) == 2:
            options += [(node, value) for value in node.values] * 2
    chosen = pick(rng, options)
    return None if chosen is None else p.swap(chosen[0], p.text(chosen[1]))


def dropped_clause(p: ParsedFunction, rng: Random) -> Splice | None:
    """One of three or more conditions, or members of a literal, is missing."""
    groups = [n.values for n in p.of(ast.BoolOp) if len(n.values) > 2]
    groups += [
        n.elts for n in p.nodes if isinstance(n, ast.List | ast.Tuple | ast.Set) and len(n.elts) > 2
    ]
    group = pick(rng, groups)
    if group is None:
        return None
    k = rng.randrange(1, len(group))
    return Splice(p.end(group[k - 1]), p.end(group[k]), "")


def added_operand(p: ParsedFunction, rng: Random) -> Splice | None:
    """An arithmetic operand too many."""
    kinds = (ast.Name, ast.Call, ast.BinOp, ast.Subscript)
    node = pick(rng, [n for n in p.slots if isinstance(n, kinds)])
    if node is None:
        return None
    operand = rng.choice([*p.names, "1", "2", "10"])
    return p.swap(node, f"{p.text(node)} {rng.choice('+-*+-%')} {operand}")


def _condition(p: ParsedFunction, rng: Random) -> str:
    """Some condition over the function's own variables."""
    name = rng.choice(p.names or ("x",))
    other = rng.choice([*p.names, "0", "1", "None", "2"])
    made = f"{name} {rng.choice(('<', '>', '==', '!=', '<=', '>='))} {other}"
    return rng.choice([name, f"not {name}", made, made, *(p.text(t) for t in p.tests)])


def added_condition(p: ParsedFunction, rng: Random) -> Splice | None:
    """A condition too many, joined to one that is right."""
    node = pick(rng, p.tests)
    if node is None:
        return None
    return p.swap(node, f"{p.text(node)} {rng.choice(('and', 'or'))} {_condition(p, rng)}")


def negated_condition(p: ParsedFunction, rng: Random) -> Splice | None:
    """A `not` too many, or one that is missing."""
    negations = [n for n in p.of(ast.UnaryOp) if isinstance(n.op, ast.Not)]
    if negations and rng.random() < 0.7:
        node = rng.choice(negations)
        return p.swap(node, p.text(node.operand))
    test = pick(rng, p.tests)
    if test is None:
        return None
    simple = isinstance(test, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
    return p.swap(test, f"not {p.text(test)}" if simple else f"not ({p.text(test)})")


def other_condition(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another condition altogether, a constant one now and then."""
    node = pick(rng, p.tests)
    return (
        None
        if node is None
        else p.swap(node, rng.choice(["True", _condition(p, rng), _condition(p, rng)]))
    )


def filter_of_comprehension(p: ParsedFunction, rng: Random) -> Splice | None:
    """A comprehension's filter is missing, or it has one that it must not have."""
    node = pick(rng, p.of(ast.comprehension))
    if node is None:
        return None
    if node.ifs:
        return Splice(p.end(node.iter), p.end(node.ifs[-1]), "")
    return Splice(p.end(node.iter), p.end(node.iter), f" if {_condition(p, rng)}")


def dropped_statement(p: ParsedFunction, rng: Random) -> Splice | None:
    """A statement is missing."""
    block = pick(rng, [b for b in p.blocks if len(b) >= 2])
    if block is None:
        return None
    statement = rng.choice(block)
    short = statement.lineno == statement.end_lineno and isinstance(statement, _SIMPLE)
    return p.lines(statement) if short else None


def dropped_guard(p: ParsedFunction, rng: Random) -> Splice | None:
    """A guard such as `if not x: return None` is missing."""
    ends = (ast.Return, ast.Raise, ast.Continue, ast.Break)
    short = [n for n in p.of(ast.If) if len(n.body) == 1 and not n.orelse]
    guards = [n for n in short if isinstance(n.body[0], ends) and not _is_elif(p, n)]
    node = pick(rng, guards)
    if node is None or (node.end_lineno or 0) - node.lineno > 2:
        return None
    return p.lines(node)


def _is_elif(p: ParsedFunction, node: ast.If) -> bool:
    """Whether an if is written as `elif`."""
    return p.source.startswith("elif", p.start(node))


def added_statement(p: ParsedFunction, rng: Random) -> Splice | None:
    """A statement too many, on a line of its own."""
    block = pick(rng, [b for b in p.blocks if isinstance(b[0], ast.stmt)])
    if block is None or not p.names:
        return None
    after = rng.choice(block)
    name, other = rng.choice(p.names), rng.choice([*p.names, "0", "1"])
    made = [
        f"{name} = {other}",
        f"{name} += 1",
        f"{name} -= 1",
        f"{name} += {other}",
        f"{name} = -{name}",
    ]
    made += [
        f"{name} = {rng.choice(_WRAPPERS)}({name})",
        f"return {other}",
        f"{name} = {name}{rng.choice(_METHODS)}",
    ]
    line = "\n" + " " * after.col_offset + rng.choice(made)
    return Splice(p.end(after), p.end(after), line)


def repeated_statement(p: ParsedFunction, rng: Random) -> Splice | None:
    """A statement stands a second time."""
    short = [s for b in p.blocks for s in b if isinstance(s, ast.AugAssign | ast.Expr | ast.Assign)]
    node = pick(rng, [s for s in short if isinstance(s, ast.stmt) and s.lineno == s.end_lineno])
    if node is None:
        return None
    return Splice(p.end(node), p.end(node), "\n" + " " * node.col_offset + p.text(node))


def moved_statement(p: ParsedFunction, rng: Random) -> Splice | None:
    """Two neighbouring one-line statements in the wrong order."""
    pairs = [
        (a, b)
        for block in p.blocks
        for a, b in pairwise(block)
        if a.lineno == a.end_lineno and b.lineno == b.end_lineno
    ]
    pair = pick(rng, pairs)
    if pair is None:
        return None
    first, second = pair
    middle = p.source[p.end(first) : p.start(second)]
    return Splice(p.start(first), p.end(second), p.text(second) + middle + p.text(first))


def wrong_indentation(p: ParsedFunction, rng: Random) -> Splice | None:
    """A statement after a block slipped into it, or a block's last statement out of it."""
    compound = (ast.For, ast.While, ast.If, ast.With)
    moved: list[tuple[ast.stmt, int]] = []
    for block in p.blocks:
        for before, after in pairwise(block):
            if isinstance(before, compound) and isinstance(after, _SIMPLE):
                moved.append((after, 4))
        if isinstance(block[-1], _SIMPLE) and len(block) >= 2 and block[-1].col_offset >= 8:
            moved.append((block[-1], -4))
    chosen = pick(rng, [(s, by) for s, by in moved if s.lineno == s.end_lineno])
    if chosen is None:
        return None
    statement, by = chosen
    start = p.start(statement)
    return Splice(start - statement.col_offset, start, " " * (statement.col_offset + by))


def loop_exit(p: ParsedFunction, rng: Random) -> Splice | None:
    """`break` for `continue` and the like."""
    node = pick(rng, [n for n in p.nodes if isinstance(n, ast.Break | ast.Continue | ast.Pass)])
    return (
        None if node is None else p.swap(node, rng.choice(["break", "continue", "pass", "return"]))
    )


def wrong_keyword(p: ParsedFunction, rng: Random) -> Splice | None:
    """`if` for `elif`, `while` for `if` and back."""
    node = pick(rng, [n for n in p.nodes if isinstance(n, ast.If | ast.While)])
    if node is None:
        return None
    start = p.start(node)
    old = p.source[start:].split(" ", 1)[0].split("(", 1)[0]
    new = {"if": "while", "elif": "if", "while": "if"}.get(old)
    return None if new is None else Splice(start, start + len(old), new)
