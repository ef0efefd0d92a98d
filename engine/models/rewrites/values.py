"""Rewrites of values, operators and variables: a wrong constant, operator, name, index or bound."""

import ast
from random import Random

from engine.models.rewrites.spans import ParsedFunction, Splice, pick

_BINARY = ("+", "-", "*", "/", "//", "%", "**")
_COMPARE = ("<", "<=", ">", ">=", "==", "!=")
_MEMBER = {ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"}
_STRINGS = ("", " ", ",", "a", "0", "1", "-", "\\n", ".")
_STARTS = ("0", "1", "[]", "None", "''", "-1", "True", "False", "[0]", "{}", "set()", "2")
_COMPARE_TEXT = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


def int_constant(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another whole number: one off, two off, a usual one, or one that stands elsewhere."""
    numbers = [n for n in p.of(ast.Constant) if type(n.value) is int]
    node = pick(rng, numbers)
    if node is None or not isinstance(node.value, int):
        return None
    value = node.value
    near = [value + 1, abs(value - 1), value + 2, abs(value - 2), 0, 1, 2, 10 * value]
    others = [n.value for n in numbers if isinstance(n.value, int)]
    return p.swap(node, str(rng.choice(near[:2] * 3 + near + others)))


def negated_number(p: ParsedFunction, rng: Random) -> Splice | None:
    """A lost or an added minus sign."""
    minus = [n for n in p.of(ast.UnaryOp) if isinstance(n.op, ast.USub)]
    if minus and rng.random() < 0.6:
        node = rng.choice(minus)
        return p.swap(node, p.text(node.operand))
    plain = [
        n for n in p.slots if isinstance(n, ast.Constant | ast.Name | ast.Subscript | ast.Call)
    ]
    other = pick(rng, plain)
    return None if other is None else p.swap(other, f"-{p.text(other)}")


def flag_constant(p: ParsedFunction, rng: Random) -> Splice | None:
    """True for False, None for either."""
    flags = [n for n in p.of(ast.Constant) if n.value is None or isinstance(n.value, bool)]
    node = pick(rng, flags)
    if node is None:
        return None
    odd = "False" if node.value is True else "True"
    return p.swap(node, rng.choice([odd, odd, odd, "None", "False"]))


def string_constant(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another string: one from elsewhere, a usual one, other case, or a character less or more."""
    strings = [n for n in p.of(ast.Constant) if isinstance(n.value, str) and len(n.value) < 40]
    node = pick(rng, strings)
    if node is None:
        return None
    text = p.text(node)
    if text[0] not in "'\"" or text[-3:] in {"'''", '"""'}:
        return None
    quote, body = text[0], text[1:-1]
    usual = [quote + s + quote for s in (*_STRINGS, body[:-1], body[1:], body + " ", body.upper())]
    return p.swap(node, rng.choice([*usual, *(p.text(n) for n in strings)]))


def off_by_one(p: ParsedFunction, rng: Random) -> Splice | None:
    """One more or one less than meant, in an index, a bound, an argument or a result."""
    kinds = (ast.Name, ast.Call, ast.BinOp, ast.Subscript, ast.Attribute)
    node = pick(rng, [n for n in p.slots if isinstance(n, kinds)])
    return None if node is None else p.swap(node, p.text(node) + rng.choice([" + 1", " - 1"]))


def dropped_one(p: ParsedFunction, rng: Random) -> Splice | None:
    """The `+ 1` or `- 1` that is needed is missing, or has the other sign."""
    kinds = (ast.Add, ast.Sub)
    near = [
        n for n in p.of(ast.BinOp) if isinstance(n.op, kinds) and isinstance(n.right, ast.Constant)
    ]
    node = pick(rng, near)
    if node is None:
        return None
    left, right = p.text(node.left), p.text(node.right)
    sign = "-" if isinstance(node.op, ast.Add) else "+"
    return p.swap(node, rng.choice([left, left, f"{left} {sign} {right}"]))


def wrong_start(p: ParsedFunction, rng: Random) -> Splice | None:
    """A variable that starts from the wrong value."""
    kinds = (ast.Constant, ast.List, ast.Dict, ast.UnaryOp)
    starts = [n.value for n in p.of(ast.Assign) if isinstance(n.value, kinds)]
    node = pick(rng, starts)
    if node is None:
        return None
    return p.swap(node, rng.choice([*_STARTS, *p.names[:3]]))


def wrong_return(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another value is returned: a variable, a constant, a part of it, or it wrapped or negated."""
    values = [n.value for n in p.of(ast.Return) if n.value is not None]
    node = pick(rng, values)
    if node is None:
        return None
    text = p.text(node)
    usual = [
        "None",
        "True",
        "False",
        "0",
        "1",
        "[]",
        "''",
        "-1",
        f"[{text}]",
        f"not {text}",
        f"-{text}",
    ]
    parts = [p.text(n) for n in ast.walk(node) if isinstance(n, ast.expr) and n is not node]
    return p.swap(node, rng.choice([*usual, *p.names, *p.names, *parts, *map(p.text, values)]))


def index(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another index."""
    single = (ast.Slice, ast.Tuple)
    spots = [n for n in p.of(ast.Subscript) if not isinstance(n.slice, single)]
    node = pick(rng, spots)
    if node is None:
        return None
    text = p.text(node.slice)
    options = [
        "0",
        "1",
        "-1",
        f"{text} + 1",
        f"{text} - 1",
        *p.names,
        *(p.text(n.slice) for n in spots),
    ]
    return p.swap(node.slice, rng.choice(options))


def slice_bound(p: ParsedFunction, rng: Random) -> Splice | None:
    """A slice with a bound dropped, moved by one, added or a step changed."""
    node = pick(rng, p.of(ast.Slice))
    if node is None:
        return None
    low = p.text(node.lower) if node.lower else ""
    high = p.text(node.upper) if node.upper else ""
    step = ":" + p.text(node.step) if node.step else ""
    options = [f"{high}:{low}{step}", f"{low}:", f":{high}", f"{low}:{high}", f"{low}:{high}:-1"]
    options += [
        f"{b}:{high}{step}" for b in ("1", "0", *([f"{low} + 1", f"{low} - 1"] if low else []))
    ]
    options += [
        f"{low}:{b}{step}" for b in ("-1", *([f"{high} + 1", f"{high} - 1"] if high else []))
    ]
    return p.swap(node, rng.choice(options))


def range_bound(p: ParsedFunction, rng: Random) -> Splice | None:
    """A range that starts or stops elsewhere."""
    calls = [n for n in p.of(ast.Call) if isinstance(n.func, ast.Name) and n.func.id == "range"]
    node = pick(rng, [n for n in calls if n.args])
    if node is None:
        return None
    args = [p.text(a) for a in node.args]
    first, stop = (["0", args[0]] if len(args) == 1 else args[:2])[:2]
    rest = "".join(f", {a}" for a in args[2:])
    moved = [f"{first}, {stop}{b}{rest}" for b in (" + 1", " - 1")]
    started = [f"{s}, {stop}{rest}" for s in ("0", "1", "2", f"{first} + 1", *p.names[:3])]
    options = [
        *moved,
        *started,
        stop,
        f"{first}, {stop}",
        f"{stop} + 1",
        f"{stop} - 1",
        f"{stop}, {first}",
    ]
    return p.swap(node, f"range({rng.choice(options)})")


def binary_operator(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another arithmetic operator."""
    node = pick(rng, p.of(ast.BinOp))
    if node is None:
        return None
    return _between(p, node.left, node.right, rng.choice((*_BINARY, "+", "-", "*", "%", "//")))


def _between(p: ParsedFunction, left: ast.expr, right: ast.expr, operator: str) -> Splice | None:
    """Write another operator between two operands, brackets around them kept."""
    start, end = p.end(left), p.start(right)
    old = p.source[start:end].strip(" ()\n\\")
    if old == operator or old not in {*_BINARY, *_COMPARE, "|", "&", "^", "<<", ">>", "@"}:
        return None
    where = start + p.source[start:end].index(old)
    return Splice(where, where + len(old), operator)


def compare_operator(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another comparison; the boundary case and the opposite more often."""
    node = pick(rng, [n for n in p.of(ast.Compare) if type(n.ops[0]) in _COMPARE_TEXT])
    if node is None:
        return None
    old = _COMPARE_TEXT[type(node.ops[0])]
    near = [old[:1] if len(old) == 2 else old + "=", *_COMPARE] if old[0] in "<>" else [*_COMPARE]
    fitting = [op for op in near if op in _COMPARE]
    return _between(p, node.left, node.comparators[0], rng.choice(fitting))


def membership(p: ParsedFunction, rng: Random) -> Splice | None:
    """`in` for `not in`, `is` for `is not`, and back."""
    node = pick(rng, [n for n in p.of(ast.Compare) if type(n.ops[0]) in _MEMBER])
    if node is None:
        return None
    left, right = p.text(node.left), p.source[p.start(node.comparators[0]) : p.end(node)]
    return p.swap(node, f"{left} {_MEMBER[type(node.ops[0])]} {right}")


def boolean_operator(p: ParsedFunction, rng: Random) -> Splice | None:
    """`and` for `or` and back."""
    node = pick(rng, p.of(ast.BoolOp))
    if node is None:
        return None
    old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    k = rng.randrange(len(node.values) - 1)
    start, end = p.end(node.values[k]), p.start(node.values[k + 1])
    return Splice(start, end, p.source[start:end].replace(old, new, 1))


def augmented_operator(p: ParsedFunction, rng: Random) -> Splice | None:
    """`-=` for `+=` and the like, or a plain assignment."""
    node = pick(rng, p.of(ast.AugAssign))
    if node is None:
        return None
    options = ["+=", "-=", "*=", "//=", "=", "+=", "-=", "=", "= -"]
    return p.swap(node, f"{p.text(node.target)} {rng.choice(options)} {p.text(node.value)}")


def accumulate_for_assign(p: ParsedFunction, rng: Random) -> Splice | None:
    """`x += e` where `x = e` was meant, and `x = x + e` for other mixtures."""
    plain = [
        n for n in p.of(ast.Assign) if len(n.targets) == 1 and isinstance(n.targets[0], ast.Name)
    ]
    node = pick(rng, plain)
    if node is None:
        return None
    name, value = p.text(node.targets[0]), p.text(node.value)
    return p.swap(node, rng.choice([f"{name} += {value}", f"{name} = {name} + {value}"]))


def swapped_operands(p: ParsedFunction, rng: Random) -> Splice | None:
    """Operands the wrong way round, where that matters."""
    binary = [n for n in p.of(ast.BinOp) if not isinstance(n.op, ast.Add | ast.Mult)]
    pairs = [(n.left, n.right) for n in binary]
    pairs += [(n.left, n.comparators[0]) for n in p.of(ast.Compare) if len(n.ops) == 1]
    pair = pick(rng, pairs)
    if pair is None:
        return None
    left, right = pair
    middle = p.source[p.end(left) : p.start(right)]
    return Splice(p.start(left), p.end(right), p.text(right) + middle + p.text(left))


def wrong_variable(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another local variable is read."""
    read = [n for n in p.of(ast.Name) if isinstance(n.ctx, ast.Load) and n.id in p.names]
    node = pick(rng, read)
    return None if node is None else p.swap(node, rng.choice(p.names))


def wrong_target(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another local variable is assigned."""
    stored = [n for n in p.of(ast.Name) if isinstance(n.ctx, ast.Store)]
    node = pick(rng, stored)
    return None if node is None or not p.names else p.swap(node, rng.choice(p.names))


def wrong_attribute(p: ParsedFunction, rng: Random) -> Splice | None:
    """Another attribute of the same kind of object."""
    nodes = p.of(ast.Attribute)
    node = pick(rng, nodes)
    if node is None:
        return None
    return p.swap(node, f"{p.text(node.value)}.{rng.choice(nodes).attr}")


def swapped_pair(p: ParsedFunction, rng: Random) -> Splice | None:
    """Two members of a tuple, a target list or a conditional expression exchanged."""
    pairs = [(n.elts[0], n.elts[1]) for n in p.of(ast.Tuple) if len(n.elts) == 2]
    pair = pick(rng, pairs)
    if pair is None:
        return None
    first, second = pair
    middle = p.source[p.end(first) : p.start(second)]
    return Splice(p.start(first), p.end(second), p.text(second) + middle + p.text(first))


def swapped_branches(p: ParsedFunction, rng: Random) -> Splice | None:
    """A conditional expression whose results are exchanged, or one of them only."""
    node = pick(rng, p.of(ast.IfExp))
    if node is None:
        return None
    body, test, other = p.text(node.body), p.text(node.test), p.text(node.orelse)
    return p.swap(node, rng.choice([f"{other} if {test} else {body}", body, other]))


def other_expression(p: ParsedFunction, rng: Random) -> Splice | None:
    """An expression of several tokens replaced by another one of the function."""
    node = pick(rng, p.slots)
    return None if node is None else p.swap(node, p.text(rng.choice(p.slots)))
