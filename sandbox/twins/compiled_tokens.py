"""Rust and Java as tokens with their brackets paired, and nothing more."""

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

Forms = tuple[tuple[Kind | None, re.Pattern[str]], ...]
"""What may begin at a place, the first that fits; None for what is never closed or not read."""

BLANK = re.compile(r"(?:\s+|//[^\n]*)+")
COMMENT = re.compile(r"/\*|\*/")
SHEBANG = re.compile(r"#!(?!\s*\[)[^\n]*")
ESCAPED_ASCII = re.compile(r"\\u+00[0-7]")
"""Java reads such an escape before it reads tokens, so a quote or a bracket may be one."""
NUMBER = re.compile(r"\d\w*")
SIGN = re.compile(r"[^\w\s\"'\\`]")
RUST: Forms = (
    ("string", re.compile(r"(?:[bc]?r)(#{0,255})\".*?\"\1", re.DOTALL)),
    (None, re.compile(r"[bc]?r#*\"")),
    ("string", re.compile(r"[bc]?\"(?:[^\"\\]|\\.)*\"", re.DOTALL)),
    ("string", re.compile(r"b?'(?:\\.[^'\n]{0,12}|[^'\\\n])'")),
    ("word", re.compile(r"(?:r#)?[^\W\d]\w*")),
    ("sign", re.compile(r"'[^\W\d]\w*")),  # a lifetime
    ("number", NUMBER),
    ("sign", SIGN),
)
JAVA: Forms = (
    ("string", re.compile(r"\"\"\"[ \t\f]*\r?\n(?:[^\"\\]|\\.|\"(?!\"\"))*\"\"\"", re.DOTALL)),
    (None, re.compile(r"\"\"\"")),
    ("string", re.compile(r"\"(?:[^\"\\\n]|\\.)*\"")),
    ("string", re.compile(r"'(?:\\[^\n][^'\n]{0,8}|[^'\\\n])'")),
    ("word", re.compile(r"[^\W\d][\w$]*|\$[\w$]*")),
    ("number", NUMBER),
    ("sign", SIGN),
)


def read_rust(source: str) -> Code:
    """Read a file of Rust, where comments lie in comments.

    Raises:
        UnreadableError: a quote, a comment or a bracket has no partner, a character has no place,
            or it is too much.
    """
    shebang = SHEBANG.match(source)
    return _read(source, RUST, shebang.end() if shebang else 0, nested=True)


def read_java(source: str) -> Code:
    """Read a file of Java.

    Raises:
        UnreadableError: as for Rust, or a sign is written as an escape.
    """
    found = ESCAPED_ASCII.search(source)
    if found:
        raise UnreadableError(f"a sign is written as an escape at {found.start()}")
    return _read(source, JAVA, 0, nested=False)


def _read(source: str, forms: Forms, at: int, *, nested: bool) -> Code:
    if len(source) > MOST_CHARS:
        raise UnreadableError(f"more than {MOST_CHARS} characters")
    tokens: list[Token] = []
    while (at := _next(source, at, nested=nested)) < len(source):
        if len(tokens) == MOST_TOKENS:
            raise UnreadableError(f"more than {MOST_TOKENS} tokens")
        tokens.append(_token(source, at, forms))
        at = tokens[-1].end
    return paired(source, tokens)


def _token(source: str, at: int, forms: Forms) -> Token:
    for kind, form in forms:
        found = form.match(source, at)
        if found and kind is not None:
            return made(kind, source, at, found.end())
        if found:
            break
    raise UnreadableError(f"no token begins at {at}")


def _next(source: str, at: int, *, nested: bool) -> int:
    """Where the next token begins, behind blanks and comments."""
    while True:
        blank = BLANK.match(source, at)
        at = blank.end() if blank else at
        if not source.startswith("/*", at):
            return at
        at = _comment_end(source, at, nested=nested)


def _comment_end(source: str, start: int, *, nested: bool) -> int:
    depth = 0
    at = start
    while found := COMMENT.search(source, at):
        at = found.end()
        depth += -1 if found[0] == "*/" else int(nested or not depth)
        if not depth:
            return at
    raise UnreadableError(f"a comment is never closed at {start}")
