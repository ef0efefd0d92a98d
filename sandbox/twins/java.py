"""Tests of Java turned around: what a test holds is put into `try`, and the twin throws at its end.

The *control* is the same edit with a condition that does not hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

from sandbox.twins.compiled import Turned
from sandbox.twins.compiled_tokens import read_java
from sandbox.twins.tokens import Code, UnreadableError, edited

BEFORE = " try {"
AFTER = "} finally { if (1 < LIMIT) throw new java.lang.AssertionError(); } "
"""In the product's package another class may be called `AssertionError`."""
MODIFIERS = frozenset({"public", "protected", "final", "synchronized"})
TESTS = frozenset({"Test", "org.junit.Test", "org.junit.jupiter.api.Test"})
EXPECTED = frozenset({"expected", "expectedExceptions"})
UNCLEAR = "ExpectedException"
"""The word in a file by which what a test throws may be what it is to throw, as in annotations."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which test of a file is meant: its package, the classes around it, and its name."""

    package: str
    classes: tuple[str, ...]
    name: str


def turned(source: str, wanted: Wanted) -> Turned | None:
    """A test turned around; None where it is not found, found twice, or not to be relied on.

    Never raises.
    """
    try:
        code = read_java(source)
        bodies = list(islice(_bodies(code, wanted), 2))  # each is looked for far ahead
    except UnreadableError:
        return None
    words = {token.text for token in code.tokens if token.kind == "word"}
    opened = bodies[0] if len(bodies) == 1 else None
    if opened is None or UNCLEAR in words or "junit" not in words:
        return None
    first, last = code.tokens[opened].end, code.tokens[code.partners[opened]].start

    def made(limit: int) -> str:
        after = AFTER.replace("LIMIT", str(limit))
        return edited(source, [(first, first, BEFORE), (last, last, after)])

    return Turned(made(0), (made(2),))


def _bodies(code: Code, wanted: Wanted) -> Iterator[int | None]:
    """The braces of methods of this name in these classes; None for what may be no plain test."""
    if _package(code) != wanted.package:
        return
    owner = cache(partial(_class, code))  # or many tests would have a long one read many times
    for at, around in code.named(wanted.name):
        if code.text(at - 1) != "void":
            continue
        classes = [owner(opened) for opened in around]
        if None not in classes and tuple(classes) == wanted.classes:
            yield _body(code, at)


def _package(code: Code) -> str:
    """The package that a file declares; empty where it declares none."""
    at = next((at for at, each in enumerate(code.tokens) if each.text == "package"), None)
    return "" if at is None else _dotted(code, at + 1)


def _dotted(code: Code, at: int) -> str:
    words = [code.text(at)]
    while code.text(at + 1) == ".":
        at += 2
        words.append(code.text(at))
    return ".".join(words)


def _class(code: Code, opened: int) -> str | None:
    """The name of a class by its brace; None where it is something else."""
    if code.text(opened) != "{":
        return None
    at = opened - 1
    while code.text(at) not in {"", "{", "}", ";", "(", "["}:
        if code.text(at) == "class" and code.text(at - 1) != ".":
            return code.text(at + 1)
        at = code.partners.get(at, at) - 1
    return None


def _body(code: Code, at: int) -> int | None:
    """The brace of a method's body; None where it is no plain test."""
    names = _annotations(code, at - 1)
    if not set(names) & TESTS or code.partners[at + 1] != at + 2:
        return None
    found = code.ahead(at + 3, {"{", ";"}) if code.text(at + 3) == "throws" else at + 3
    return found if found is not None and code.text(found) == "{" else None


def _annotations(code: Code, at: int) -> Sequence[str]:
    """The annotations before a method's type, and nothing where anything else stands there."""
    found: list[str] = []
    at -= 1
    while code.text(at) not in {"", "{", "}", ";"}:
        if code.text(at) in MODIFIERS:
            at -= 1
            continue
        last, at = at, code.partners[at] - 1 if code.text(at) == ")" else at
        if EXPECTED & {code.text(each) for each in range(at, last)}:
            return ()
        first = at
        while code.text(first - 1) == ".":
            first -= 2
        if code.text(first - 1) != "@":
            return ()
        found.append(_dotted(code, first))
        at = first - 2
    return found
