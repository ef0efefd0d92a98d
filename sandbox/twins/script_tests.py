"""The tests of a JavaScript or TypeScript file: their titles, and the functions that hold them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.twins.tokens import Code, UnreadableError

SUITES = frozenset({"describe", "suite", "context"})
TESTS = frozenset({"it", "test", "specify"})
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
PLAIN_ESCAPES = frozenset("'\"`\\/")
"""Characters that an escaped one stands for itself; a title with any other is not read."""
RETURN_TYPE = 40
"""Within so many tokens of its parameters an arrow function has its arrow."""
MOST_CALLS = 2000
DEEPEST = 32
"""Beyond so many declarations, or so many around each other, a file is not read."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function literal by its tokens; `body` are the braces, None where it is an expression."""

    first: int
    last: int
    arrow: bool
    parameters: int
    body: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that declares a suite or a test; `title` is None where it is no plain text.

    `options` are its other arguments by their first and last tokens.
    """

    is_test: bool
    title: str | None
    function: Function
    first: int
    last: int
    options: tuple[tuple[int, int], ...]


Path = tuple[Call, ...]
"""A declaration, which comes last, and those around it from the outside in."""


def paths(script: Code) -> list[Path]:
    """All declarations of suites and tests, in order.

    Raises:
        UnreadableError: there are too many, or they lie too deep.
    """
    found: list[Path] = []
    around: list[Call] = []
    for call in _calls(script):
        while around and around[-1].last < call.first:
            around.pop()
        around.append(call)
        if len(around) > DEEPEST or len(found) == MOST_CALLS:
            raise UnreadableError(f"too many tests, or too deep, at token {call.first}")
        found.append(tuple(around))
    return found


def _calls(script: Code) -> Iterator[Call]:
    found = (_call(script, at) for at, token in enumerate(script.tokens) if token.kind == "word")
    return (call for call in found if call is not None)


def _call(script: Code, at: int) -> Call | None:
    name = script.text(at)
    is_test = name in TESTS
    # A subtest is declared by `t.test`; `pattern.test(text)` takes no function.
    member = script.text(at - 1) in {".", "?."}
    if not (is_test or name in SUITES) or script.text(at + 1) != "(" or (member and not is_test):
        return None
    end = script.partners[at + 1]
    given = list(arguments(script, at + 1))
    functions = [each for each in (function_of(script, *one) for one in given) if each]
    if len(functions) != 1 or not given:
        return None
    (function,) = functions
    options = tuple(one for one in given[1:] if one[0] != function.first)
    title = _title(script, *given[0])
    return Call(is_test, title, function, at, end, options)


def arguments(script: Code, opened: int) -> Iterator[tuple[int, int]]:
    """The arguments of a call by their first and last tokens."""
    end = script.partners[opened]
    first = at = opened + 1
    while at < end:
        if script.text(at) == ",":
            if at > first:
                yield first, at - 1
            first = at + 1
        at = script.partners.get(at, at) + 1
    if end > first:
        yield first, end - 1


def _title(script: Code, first: int, last: int) -> str | None:
    token = script.tokens[first]
    plain = token.kind == "string" or (token.kind == "template" and "${" not in token.text)
    inner = token.text[1:-1]
    if first != last or not plain or set(ESCAPE.findall(inner)) - PLAIN_ESCAPES:
        return None
    return ESCAPE.sub(r"\1", inner)


def function_of(script: Code, first: int, last: int) -> Function | None:
    """The function literal that these tokens are; None where they are something else."""
    at = first + (script.text(first) == "async")
    if script.text(at) == "function":
        return _plain(script, first, at + 1, last)
    return _arrow(script, first, at, last)


def _plain(script: Code, first: int, at: int, last: int) -> Function | None:
    """`function name (parameters) { body }`; a generator is none, for its body may never run."""
    at += script.kind(at) == "word"
    opened = script.partners.get(last, -1)
    if script.text(at) != "(" or script.text(last) != "}" or opened < script.partners[at]:
        return None
    return Function(first, last, arrow=False, parameters=_count(script, at), body=(opened, last))


def _arrow(script: Code, first: int, at: int, last: int) -> Function | None:
    if script.text(at) == "(":
        parameters, at = _count(script, at), script.partners[at] + 1
    elif script.kind(at) == "word":
        parameters, at = 1, at + 1
    else:
        return None
    if script.text(at) == ":":
        end = min(last, at + RETURN_TYPE)
        while at < end and script.text(at) != "=>":
            at = script.partners.get(at, at) + 1
    if script.text(at) != "=>" or at >= last:
        return None
    braces = script.text(at + 1) == "{" and script.partners[at + 1] == last
    body = (at + 1, last) if braces else None
    return Function(first, last, arrow=True, parameters=parameters, body=body)


def _count(script: Code, opened: int) -> int:
    return sum(1 for _ in arguments(script, opened))
