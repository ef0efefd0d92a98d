"""Rewrites that repairs need and injected bugs do not: what was forgotten rather than mistaken.

None is the inverse of a kind that the model was trained to take back, so their shares are small.
"""

import ast
from difflib import get_close_matches
from functools import cache
from random import Random

from engine.models.rewrites.spans import ParsedFunction, Splice, pick

_COMPARED = (" is not None", " is None", " > 0", " >= 0", " != 0", " == 0", " > 1")
_BOUNDED = ("max(0, {})", "max(1, {})", "min({}, {name})", "max({}, {name})", "{} or {name}")
_PLAIN = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)
_ITERATED = ("list({})", "sorted({})", "reversed({})", "{}.items()", "{}.values()", "set({})")
_CAUGHT = ("ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "OverflowError")
_RETURNED = ("", " None", " False", " True", " 0", " []", " ''", " {}")


def compared(p: ParsedFunction, rng: Random) -> Splice | None:
    """A value that is only asked for its truth is compared instead."""
    asked = p.tests + [v for n in p.of(ast.BoolOp) for v in n.values]
    asked += [n.operand for n in p.of(ast.UnaryOp) if isinstance(n.op, ast.Not)]
    node = pick(rng, [n for n in asked if isinstance(n, _PLAIN)])
    return None if node is None else p.swap(node, p.text(node) + rng.choice(_COMPARED))


def precondition(p: ParsedFunction, rng: Random) -> Splice | None:
    """A condition that must hold before another one is asked."""
    node, name = pick(rng, p.tests), pick(rng, p.names)
    if node is None or name is None:
        return None
    before = rng.choice([f"{name} and", f"{name} and", f"not {name} or", f"{name} is not None and"])
    text = p.text(node)
    either = isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
    return p.swap(node, f"{before} ({text})" if either else f"{before} {text}")


def named_argument(p: ParsedFunction, rng: Random) -> Splice | None:
    """A variable that was not passed on, by its own name."""
    node, name = pick(rng, p.of(ast.Call)), pick(rng, p.names)
    if node is None or name is None or name in {k.arg for k in node.keywords}:
        return None
    told = f"{name}={name}"
    parts = [*node.args, *(k.value for k in node.keywords)]
    if not parts:
        return Splice(p.end(node) - 1, p.end(node), f"{told})")
    last = max(p.end(part) for part in parts)
    return Splice(last, last, f", {told}")


def bounded(p: ParsedFunction, rng: Random) -> Splice | None:
    """A value that is kept above or below a limit, or has another one to fall back to."""
    node, name = pick(rng, p.slots), pick(rng, p.names)
    if node is None or name is None:
        return None
    return p.swap(node, rng.choice(_BOUNDED).format(p.text(node), name=name))


def other_receiver(p: ParsedFunction, rng: Random) -> Splice | None:
    """A method or an attribute of another object."""
    node, name = pick(rng, p.of(ast.Attribute)), pick(rng, p.names)
    return None if node is None or name is None else p.swap(node.value, name)


def own_type(p: ParsedFunction, rng: Random) -> Splice | None:
    """An object of the same class as this one, subclasses included."""
    named = [n.func for n in p.of(ast.Call) if isinstance(n.func, ast.Name)]
    node = pick(rng, [n for n in named if n.id[:1].isupper()])
    owner = {"self": "type(self)", "cls": "cls"}.get(p.names[0] if p.names else "")
    return None if node is None or owner is None else p.swap(node, owner)


def near_name(p: ParsedFunction, rng: Random) -> Splice | None:
    """A method of Python's own types whose name is spelt much like this one."""
    node = pick(rng, p.of(ast.Attribute))
    if node is None:
        return None
    name = pick(rng, _near(node.attr))
    return None if name is None else p.swap(node, f"{p.text(node.value)}.{name}")


@cache
def _near(name: str) -> tuple[str, ...]:
    """Names of methods that are spelt much like a name."""
    types = (str, bytes, list, dict, set, int, float)
    known = {n for kind in types for n in dir(kind) if not n.startswith("_")}
    return tuple(n for n in get_close_matches(name, sorted(known), n=4, cutoff=0.75) if n != name)


def early_return(p: ParsedFunction, rng: Random) -> Splice | None:
    """A special case that is answered before the rest."""
    block, name = pick(rng, p.blocks), pick(rng, p.names)
    if block is None or name is None:
        return None
    before = rng.choice(block)
    indent = " " * before.col_offset
    asked = rng.choice([f"not {name}", f"{name} is None", f"{name} == 0", f"{name} < 0"])
    answer = rng.choice([*_RETURNED, f" {rng.choice(p.names)}"])
    start = p.start(before)
    return Splice(start, start, f"if {asked}:\n{indent}    return{answer}\n{indent}")


def forgotten_return(p: ParsedFunction, rng: Random) -> Splice | None:
    """A value that is worked out and not given back."""
    node = pick(rng, [n for n in p.of(ast.Expr) if isinstance(n.value, ast.Call | ast.Name)])
    return None if node is None else Splice(p.start(node), p.start(node), "return ")


def iterated(p: ParsedFunction, rng: Random) -> Splice | None:
    """A loop over a copy, in an order, or over another view of the same thing."""
    loops = [n.iter for n in p.nodes if isinstance(n, ast.For | ast.comprehension)]
    node = pick(rng, loops)
    return None if node is None else p.swap(node, rng.choice(_ITERATED).format(p.text(node)))


def caught_too(p: ParsedFunction, rng: Random) -> Splice | None:
    """One more exception that is caught."""
    handlers = [n.type for n in p.of(ast.ExceptHandler) if isinstance(n.type, ast.Name | ast.Tuple)]
    node = pick(rng, handlers)
    if node is None:
        return None
    known = [p.text(n) for n in node.elts] if isinstance(node, ast.Tuple) else [p.text(node)]
    return p.swap(node, f"({', '.join([*known, rng.choice(_CAUGHT)])})")
