"""Examples in Rust's documentation turned around, as tests are, by what their first line makes."""

import re
from collections.abc import Sequence

from sandbox.twins.compiled import Turned
from sandbox.twins.rust import LIBRARY, end_of
from sandbox.twins.tokens import MOST_CHARS

FENCE = "```"
DOC = re.compile(r"([ \t]*//[/!] ?)(.*)")
OPENS = re.compile(r"[ \t]*(`{3,})[ \t]*(?:rust[ \t]*)?")
UNCLEAR = re.compile(r"fn\s+main\b|#!|extern\s+crate|macro_rules|\bmod\b|r#*\"|/\*")
"""What may have to be first in an example, or make the first line no statement of its own."""
HIDDEN = re.compile(r"([ \t]*#[ \t]+)?(?=[^#\s])")


def turned_example(source: str, line: int, library: str = LIBRARY) -> Turned | None:
    """An example turned around that opens at this line (from 1); `library` as in `Wanted`.

    None where it is no plain example. Never raises.
    """
    lines = source.split("\n") if len(source) <= MOST_CHARS else []
    inner = _inner(lines, line)
    if not inner or UNCLEAR.search("\n".join(inner)):
        return None
    place = DOC.match(lines[line])
    first = HIDDEN.match(inner[0])
    if place is None or first is None:
        return None

    def made(right: int) -> str:
        at = first.end()
        end = end_of(library, right).lstrip()
        turned = f"{place[1]}{inner[0][:at]}{end} {inner[0][at:]}"
        return "\n".join([*lines[:line], turned, *lines[line + 1 :]])

    return Turned(made(1), (made(0),))


def fences_of(source: str) -> Sequence[int]:
    """The lines (from 1) at which examples may begin, or end."""
    lines = enumerate(source.split("\n"), 1)
    return [number for number, text in lines if FENCE in text]


def _inner(lines: Sequence[str], line: int) -> Sequence[str]:
    """What stands between an example's fences; nothing where there are none."""
    fence = DOC.fullmatch(lines[line - 1]) if 0 < line <= len(lines) else None
    opens = None if fence is None else OPENS.fullmatch(fence[2])
    inner: list[str] = []
    for text in lines[line:] if opens else ():
        found = DOC.fullmatch(text)
        if found is None:
            return ()
        if opens is not None and found[2].strip() == opens[1]:
            return inner
        inner.append(found[2])
    return ()
