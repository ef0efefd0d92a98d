"""A text as tokens with their brackets paired: what the readers of all languages have in common.

A text is a repository's, and it is read where no limit of a box holds; so there are bounds, and
what is never closed ends the reading.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "number", "string", "template", "pattern", "sign"]
Edit = tuple[int, int, str]
"""`source[start:end]` becomes this text."""

OPEN: Mapping[str, str] = {"(": ")", "[": "]", "{": "}"}
CLOSED = frozenset(OPEN.values())
MOST_CHARS = 128 * 1024
"""A longer text is not read."""
MOST_TOKENS = 40_000
DEEPEST = 64
"""Beyond so many brackets around each other a test is not looked for."""


class UnreadableError(ValueError):
    """A text cannot be read by what is known here."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it stands: `source[start:end]` is its text."""

    kind: Kind
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Code:
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

    def ahead(self, at: int, wanted: Collection[str]) -> int | None:
        """The next of these tokens from a place on, past brackets that open on the way.

        None where a bracket closes that was open there, or the text ends.
        """
        while at < len(self.tokens) and self.text(at) not in CLOSED:
            if self.text(at) in wanted:
                return at
            at = self.partners.get(at, at) + 1
        return None

    def named(self, name: str) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Where a word is followed by `(`, and the brackets opened around it, from the outside in.

        Raises:
            UnreadableError: brackets lie too deep.
        """
        opened: list[int] = []
        for at, token in enumerate(self.tokens):
            if token.text in OPEN:
                opened.append(at)
            elif token.text in CLOSED:
                opened.pop()
            elif token.text == name and self.text(at + 1) == "(":
                yield at, tuple(opened)
            if len(opened) > DEEPEST:
                raise UnreadableError(f"brackets lie too deep at {token.start}")


def made(kind: Kind, source: str, start: int, end: int) -> Token:
    """A token of a text."""
    return Token(kind, source[start:end], start, end)


def paired(source: str, tokens: list[Token]) -> Code:
    """A text whose tokens are known, with its brackets paired.

    Raises:
        UnreadableError: a bracket has no partner.
    """
    waiting: list[int] = []
    partners: dict[int, int] = {}
    for at, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.text in OPEN:
            waiting.append(at)
        elif token.text in CLOSED:
            if not waiting or OPEN[tokens[waiting[-1]].text] != token.text:
                raise UnreadableError(f"a bracket without its partner at {token.start}")
            opened = waiting.pop()
            partners[opened], partners[at] = at, opened
    if waiting:
        raise UnreadableError(f"a bracket is never closed at {tokens[waiting[-1]].start}")
    return Code(source, tuple(tokens), partners)


def edited(source: str, edits: list[Edit]) -> str:
    """A text with edits that do not overlap."""
    text = source
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
