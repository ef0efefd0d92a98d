"""Kinds of bugs that nothing is trained on and no pool draws: they measure transfer.

Both are common slips that no other kind makes, not even by chance.
"""

import ast
from itertools import pairwise
from random import Random

from engine.models.rewrites.spans import ParsedFunction, Splice, pick


def swapped_bodies(p: ParsedFunction, rng: Random) -> Splice | None:
    """What belongs under `if` stands under `else`, and the other way round."""
    plain = [n for n in p.of(ast.If) if n.orelse and not isinstance(n.orelse[0], ast.If)]
    node = pick(rng, plain)
    if node is None:
        return None
    first, second = node.body, node.orelse
    middle = p.source[p.end(first[-1]) : p.start(second[0])]
    bodies = [p.source[p.start(body[0]) : p.end(body[-1])] for body in (second, first)]
    return Splice(p.start(first[0]), p.end(second[-1]), middle.join(bodies))


def reset_in_loop(p: ParsedFunction, rng: Random) -> Splice | None:
    """A variable that a loop builds up is given its first value in every round, not once before."""
    pairs = [
        (before, loop)
        for block in p.blocks
        for before, loop in pairwise(block)
        if isinstance(before, ast.Assign) and isinstance(loop, ast.For | ast.While)
        if before.lineno == before.end_lineno and _built_up(before, loop)
    ]
    pair = pick(rng, pairs)
    if pair is None:
        return None
    before, loop = pair
    first = loop.body[0]
    head = p.source[p.start(loop) : p.start(first)]
    indent = "\n" + " " * first.col_offset
    return Splice(p.start(before), p.start(first), f"{head}{p.text(before)}{indent}")


def _built_up(before: ast.Assign, loop: ast.For | ast.While) -> bool:
    """Whether the loop changes what the assignment starts."""
    names = {target.id for target in before.targets if isinstance(target, ast.Name)}
    for node in ast.walk(loop):
        match node:
            case ast.AugAssign(target=ast.Name(id=name)):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
                pass
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
                pass
            case _:
                continue
        if name in names:
            return True
    return False
