"""Tests of Rust turned around by a value that comes first in them.

What is made first is dropped last; there the twin panics, however its test came to its end. The
*control* makes the same and holds. A second twin expects another literal in the first comparison
that is always reached, so that a value that equals everything shows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

from sandbox.twins.compiled import Turned
from sandbox.twins.compiled_tokens import read_rust
from sandbox.twins.tokens import Code, Edit, UnreadableError, edited

END = (
    " let _end = { struct End; impl ::LIBRARY::ops::Drop for End "
    "{ fn drop(&mut self) { ::LIBRARY::assert_eq!(1, RIGHT) } } End };"
)
LIBRARY = "core"
OLD_LIBRARY = "std"
"""In the edition of 2015, where `::` leads to the package itself, which has `std` within it. One
that puts something else in its place has a twin that passes, or one that is not built.
"""
TESTS = frozenset({"test", "tokio::test", "async_std::test", "actix_rt::test", "test_log::test"})
HARMLESS = frozenset(
    {"cfg", "allow", "expect", "warn", "deny", "doc", "inline", "serial", "serial_test::serial"}
)
"""Attributes that leave a test what it is; of any other it is not known."""
INTEGER = re.compile(
    r"(?:0x[0-9a-fA-F_]+|0[ob][0-7_]+|[0-9][0-9_]*)(?:[iu](?:8|16|32|64|128|size))?"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which test of a file is meant: the modules around it within the file, and its name.

    `stranger` is a word that no answer is, `library` where Rust's own names are found.
    """

    modules: tuple[str, ...]
    name: str
    stranger: str
    library: str = LIBRARY


def turned(source: str, wanted: Wanted) -> Turned | None:
    """A test turned around; None where it is not found, found twice, or not to be relied on.

    Never raises.
    """
    try:
        code = read_rust(source)
        bodies = list(islice(_bodies(code, wanted), 2))  # each is looked for far ahead
    except UnreadableError:
        return None
    opened = bodies[0] if len(bodies) == 1 else None
    if opened is None:
        return None
    place = code.tokens[_behind_attributes(code, opened)].end
    holds, fails = ((place, place, end_of(wanted.library, right)) for right in (1, 0))
    other = _other_value(code, opened, wanted.stranger)
    return Turned(
        edited(source, [holds]),
        (edited(source, [fails]), *([edited(source, [holds, other])] if other else [])),
    )


def end_of(library: str, right: int) -> str:
    """What comes first in a test, and asserts last that 1 is `right`."""
    return END.replace("LIBRARY", library).replace("RIGHT", str(right))


def _bodies(code: Code, wanted: Wanted) -> Iterator[int | None]:
    """The braces of functions of this name in these modules; None for what may be no plain test."""
    module = cache(partial(_module, code))  # or many tests would have a long one read many times
    for at, around in code.named(wanted.name):
        if code.text(at - 1) != "fn":
            continue
        modules = [module(opened) for opened in around]
        if None not in modules and tuple(modules) == wanted.modules:
            yield _body(code, at)


def _module(code: Code, opened: int) -> str | None:
    """The name of a module by its brace; None where it is something else."""
    if code.text(opened) != "{" or code.text(opened - 2) != "mod":
        return None
    names = _attributes(code, opened - 2)
    return code.text(opened - 1) if names is not None and not names - HARMLESS else None


def _body(code: Code, at: int) -> int | None:
    names = _attributes(code, at - 1)
    if names is None or not names & TESTS or names - TESTS - HARMLESS:
        return None
    closed = code.partners[at + 1]
    if closed != at + 2:  # a fixture, or a table
        return None
    found = code.ahead(closed + 1, {"{", ";"})
    return found if found is not None and code.text(found) == "{" else None


def _attributes(code: Code, at: int) -> set[str] | None:
    """What stands in the attributes before an item whose keyword this is; None where unclear."""
    found: set[str] = set()
    at -= 1
    while code.text(at) in {"async", "pub"} or (code.text(at) == ")" and _is_pub(code, at)):
        at = code.partners.get(at, at) - 1
    while code.text(at) == "]" and code.text(code.partners[at] - 1) == "#":
        opened = code.partners[at]
        found.add(_path(code, opened + 1))
        at = opened - 2
    return found if code.text(at) in {"", "{", "}", ";", "]"} else None


def _is_pub(code: Code, at: int) -> bool:
    return code.text(code.partners[at] - 1) == "pub"


def _path(code: Code, at: int) -> str:
    words = [code.text(at)]
    while code.text(at + 1) == code.text(at + 2) == ":":
        at += 3
        words.append(code.text(at))
    return "::".join(words)


def _behind_attributes(code: Code, opened: int) -> int:
    """The last token that a function's body has to begin with."""
    at = opened
    while code.text(at + 1) == "#" and code.text(at + 2) == "!" and code.text(at + 3) == "[":
        at = code.partners[at + 3]
    return at


def _other_value(code: Code, opened: int, stranger: str) -> Edit | None:
    """The edit by which the first comparison with a literal that is always reached cannot hold."""
    closed = code.partners[opened]
    at = opened + 1
    while at < closed:
        if code.text(at) == "assert_eq" and code.text(at - 1) in {"{", ";", "}"}:
            found = _literal(code, at + 2, stranger) if code.text(at + 1) == "!" else None
            if found is not None:
                return found
        end = code.partners.get(at, at)
        if any(code.text(each) == "return" for each in range(at, end + 1)):
            return None
        at = end + 1
    return None


def _literal(code: Code, opened: int, stranger: str) -> Edit | None:
    """The edit of one of two arguments that is a literal by itself."""
    if code.text(opened) != "(":
        return None
    given = _arguments(code, opened)
    if len(given) != 2:  # noqa: PLR2004  # with a message of its own: which is it?
        return None
    for one in given:
        if len(one) == 1:
            token = code.tokens[one[0]]
            other = _other(token.text, stranger)
            if other is not None:
                return token.start, token.end, other
    return None


def _arguments(code: Code, opened: int) -> Sequence[range]:
    closed = code.partners[opened]
    found: list[range] = []
    first = at = opened + 1
    while at <= closed:
        if code.text(at) == "," or at == closed:
            found.append(range(first, at))
            first = at + 1
        at = at + 1 if at == closed else code.partners.get(at, at) + 1
    return [one for one in found if len(one)]


def _other(literal: str, stranger: str) -> str | None:
    """Another value of a literal's type."""
    if literal in {"true", "false"} or INTEGER.fullmatch(literal):
        return f"!{literal}"
    plain = literal.startswith('"') and "\n" not in literal
    return f'"{stranger}"' if plain else None
