"""JavaScript and TypeScript as tokens with their brackets paired, and nothing more.

No grammar: where a slash begins a pattern is told by the token before it, and markup (JSX) is read
as if it were code. A file in which that goes wrong nearly always ends with a bracket or a quote too
many, and then there is no reading of it.
"""

import re

from sandbox.twins.tokens import (
    MOST_CHARS,
    MOST_TOKENS,
    Code,
    Kind,
    Token,
    UnreadableError,
    made,
    paired,
)

SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|\A#![^\n]*)+", re.DOTALL)
WORD = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
NUMBER = re.compile(r"\.?\d[\w.]*")
STRING = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\"""", re.DOTALL)
PATTERN = re.compile(r"/(?![*/])(?:[^/\\\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*\])+/\w*")
SIGN = re.compile(r"=>|\.\.\.|\?\.|\+\+|--|[^\w\s'\"`\\]")
BEFORE_PATTERN = frozenset(
    {"return", "typeof", "case", "in", "of", "instanceof", "new", "delete", "void", "throw",
     "await", "yield", "do", "else"}
)  # fmt: skip
ENDS_A_VALUE = frozenset({")", "]", "}", "++", "--", "<"})
"""Signs after which a slash divides; `<` because `</` is markup."""
DEPTH = 20


def read(source: str) -> Code:
    """Read a text.

    Raises:
        UnreadableError: a quote, a comment or a bracket has no partner, a character has no
            place, or it is too much.
    """
    if len(source) > MOST_CHARS:
        raise UnreadableError(f"more than {MOST_CHARS} characters")
    tokens, end = _scan(source, 0, DEPTH)
    if end != len(source):
        raise UnreadableError(f"a bracket too many at {end}")
    return paired(source, tokens)


def _scan(source: str, at: int, depth: int) -> tuple[list[Token], int]:
    """Tokens from a place to the end, or to a `}` that nothing opened."""
    if not depth:
        raise UnreadableError("templates lie in templates too deep")
    tokens: list[Token] = []
    braces = 0
    while True:
        space = SPACE.match(source, at)
        at = space.end() if space else at
        if at == len(source):
            return tokens, at
        if len(tokens) == MOST_TOKENS:
            raise UnreadableError(f"more than {MOST_TOKENS} tokens")
        token = _token(source, at, tokens[-1] if tokens else None, depth)
        braces += {"{": 1, "}": -1}.get(token.text, 0)
        if braces < 0:
            return tokens, at
        tokens.append(token)
        at = token.end


def _token(source: str, at: int, before: Token | None, depth: int) -> Token:
    # What is never closed ends the reading, or each that follows would be sought to the end again.
    if source.startswith("/*", at):
        raise UnreadableError(f"a comment is never closed at {at}")
    if source[at] == "`":
        return made("template", source, at, _template_end(source, at + 1, depth))
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
            return made(kind, source, at, found.end())
    raise UnreadableError(f"no token begins at {at}")


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
    raise UnreadableError("a template has no end")
