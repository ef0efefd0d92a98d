"""JavaScript and TypeScript as tokens with their brackets paired, and nothing more.

No grammar: where a slash begins a pattern is told by the token before it, and markup (JSX) is read
as if it were code. A file in which that goes wrong nearly always ends with a bracket or a quote too
many, and then there is no reading of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "number", "string", "template", "pattern", "sign"]

SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|\A#![^\n]*)+", re.DOTALL)
WORD = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
NUMBER = re.compile(r"\.?\d[\w.]*")
STRING = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\"""", re.DOTALL)
PATTERN = re.compile(r"/(?![*/])(?:[^/\\\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*\])+/\w*")
SIGN = re.compile(r"=>|\.\.\.|\?\.|\+\+|--|[^\w\s'\"`\\]")
OPEN: Mapping[str, str] = {"(": ")", "[": "]", "{": "}"}
CLOSED = frozenset(OPEN.values())
BEFORE_PATTERN = frozenset(
    {"return", "typeof", "case", "in", "of", "instanceof", "new", "delete", "void", "throw",
     "await", "yield", "do", "else"}
)  # fmt: skip
ENDS_A_VALUE = frozenset({")", "]", "}", "++", "--", "<"})
"""Signs after which a slash divides; `<` because `</` is markup."""
DEPTH = 20
MOST_CHARS = 128 * 1024
"""A longer text is not read: it is a repository's, and it is read where no limit of a box holds."""
MOST_TOKENS = 40_000


class UnreadableScriptError(ValueError):
    """A text cannot be read as a script by what is known here."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it stands: `source[start:end]` is its text."""

    kind: Kind
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Script:
    """A text, its tokens, and for each bracket the index of the one that it belongs to."""

    source: str
    tokens: tuple[Token, ...]
    partners: Mapping[int, int]

    def text(self, at: int) -> str:
        """The text of a token; empty where there is none."""
        return self.tokens[at].text if 0 <= at < len(self.tokens) else ""

    def kind(self, at: int) -> Kind | None:
        """The kind of a token; None where there is none."""
        return self.tokens[at].kind if 0 <= at < len(self.tokens) else None

    def span(self, first: int, last: int) -> str:
        """The source from one token to another, both included."""
        return self.source[self.tokens[first].start : self.tokens[last].end]


def read(source: str) -> Script:
    """Read a text.

    Raises:
        UnreadableScriptError: a quote, a comment or a bracket has no partner, a character has no
            place, or it is too much.
    """
    if len(source) > MOST_CHARS:
        raise UnreadableScriptError(f"more than {MOST_CHARS} characters")
    tokens, end = _scan(source, 0, DEPTH)
    if end != len(source):
        raise UnreadableScriptError(f"a bracket too many at {end}")
    return Script(source, tuple(tokens), _partners(tokens))


def _scan(source: str, at: int, depth: int) -> tuple[list[Token], int]:
    """Tokens from a place to the end, or to a `}` that nothing opened."""
    if not depth:
        raise UnreadableScriptError("templates lie in templates too deep")
    tokens: list[Token] = []
    braces = 0
    while True:
        space = SPACE.match(source, at)
        at = space.end() if space else at
        if at == len(source):
            return tokens, at
        if len(tokens) == MOST_TOKENS:
            raise UnreadableScriptError(f"more than {MOST_TOKENS} tokens")
        token = _token(source, at, tokens[-1] if tokens else None, depth)
        braces += {"{": 1, "}": -1}.get(token.text, 0)
        if braces < 0:
            return tokens, at
        tokens.append(token)
        at = token.end


def _token(source: str, at: int, before: Token | None, depth: int) -> Token:
    # What is never closed ends the reading, or each that follows would be sought to the end again.
    if source.startswith("/*", at):
        raise UnreadableScriptError(f"a comment is never closed at {at}")
    if source[at] == "`":
        return _made("template", source, at, _template_end(source, at + 1, depth))
    kinds: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("word", WORD),
        ("number", NUMBER),
        ("string", STRING),
        ("sign", SIGN),
    )
    if source[at] == "/" and _begins_pattern(before):
        kinds = (("pattern", PATTERN),)
    for kind, form in kinds:
        found = form.match(source, at)
        if found:
            return _made(kind, source, at, found.end())
    raise UnreadableScriptError(f"no token begins at {at}")


def _made(kind: Kind, source: str, start: int, end: int) -> Token:
    return Token(kind, source[start:end], start, end)


def _begins_pattern(before: Token | None) -> bool:
    if before is None:
        return True
    if before.kind == "word":
        return before.text in BEFORE_PATTERN
    return before.kind == "sign" and before.text not in ENDS_A_VALUE


def _template_end(source: str, at: int, depth: int) -> int:
    """Where a template ends whose text begins at a place; code within it is read as code."""
    while at < len(source):
        if source[at] == "`":
            return at + 1
        if source.startswith("${", at):
            _, at = _scan(source, at + 2, depth - 1)
            if not source.startswith("}", at):
                break
        at += 2 if source[at] == "\\" else 1
    raise UnreadableScriptError("a template has no end")


def _partners(tokens: list[Token]) -> dict[int, int]:
    waiting: list[int] = []
    partners: dict[int, int] = {}
    for at, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.text in OPEN:
            waiting.append(at)
        elif token.text in CLOSED:
            if not waiting or OPEN[tokens[waiting[-1]].text] != token.text:
                raise UnreadableScriptError(f"a bracket without its partner at {token.start}")
            opened = waiting.pop()
            partners[opened], partners[at] = at, opened
    if waiting:
        raise UnreadableScriptError(f"a bracket is never closed at {tokens[waiting[-1]].start}")
    return partners
