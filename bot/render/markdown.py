"""Pure: Markdown out of text that we do not trust.

Whatever an issue, a test or a model wrote is made harmless here: it notifies nobody, closes no
other issue, forges none of our hidden markers, and cannot break out of its place.
"""

import re

MAX_CHARACTERS = 60_000
MAX_FOLD = 12_000
MAX_PROSE = 3_000
MAX_TITLE = 200
_ROOM = 500

_BREAK = "\u200b"
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_REFERENCE = re.compile(
    r"#(?=\d)|(?<=\bGH)-(?=\d)|(?<=:)//|@(?=\w)|(?<=!)\[|(?<=\])\(", re.IGNORECASE
)
_FENCES = re.compile(r"`{3,}|~{3,}")
_TICKS = re.compile(r"`+")
_FENCE_LINE = re.compile(r"^(`{3,})[a-z]*$")


def harmless(text: str) -> str:
    """The text without invisible characters, and with every reference broken."""
    seen = _UNSEEN.sub("", text.encode("utf-8", "replace").decode("utf-8"))
    return _REFERENCE.sub(_broken, seen)


def _broken(found: re.Match[str]) -> str:
    sign = found[0]
    return _BREAK + sign if sign in "[(" else sign[0] + _BREAK + sign[1:]


def prose(text: str) -> str:
    """Untrusted sentences: shortened, no HTML, no fences, no headings, no references."""
    plain = harmless(text.strip()[:MAX_PROSE]).replace("&", "&amp;").replace("<", "&lt;")
    plain = _FENCES.sub("\u2026", plain)
    return "\n".join(line.strip().lstrip("#>|=") for line in plain.splitlines()).strip()


def cell(text: str) -> str:
    """Keep text on one line of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def code(text: str) -> str:
    """Untrusted text in a code span that it cannot leave, in a table or out of one."""
    plain = " ".join(_UNSEEN.sub("", text.encode("utf-8", "replace").decode("utf-8")).split())
    plain = (plain[:MAX_TITLE] or " ").replace("\\|", "|").replace("|", "\\|")
    ticks = "`" * (max((len(run) for run in _TICKS.findall(plain)), default=0) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{ticks}{pad}{plain}{pad}{ticks}"


def fenced(text: str, language: str) -> str:
    """Untrusted text in a code block that it cannot leave."""
    plain = _UNSEEN.sub("", text.encode("utf-8", "replace").decode("utf-8")).strip("\n")
    ticks = "`" * max(3, max((len(run) for run in _TICKS.findall(plain)), default=0) + 1)
    return f"{ticks}{language}\n{plain}\n{ticks}"


def fold(title: str, text: str, language: str) -> str:
    """Untrusted text behind a click; nothing where there is no text."""
    if not text.strip():
        return ""
    shown = text if len(text) <= MAX_FOLD else f"{text[:MAX_FOLD]}\n[cut at {MAX_FOLD} characters]"
    return f"<details><summary>{title}</summary>\n\n{fenced(shown, language)}\n\n</details>"


def number(count: int, noun: str) -> str:
    """`1 test`, `2 tests`, `1,000 tests`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def cut(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Shorten at a paragraph, closing what was open; GitHub refuses more than 65,536 characters."""
    if len(text) <= limit:
        return text
    note = "\n\n*Cut here: GitHub takes no longer text.*"
    head = text[: limit - _ROOM]
    stop = max(head.rfind("\n\n"), head.rfind("\n") if "\n\n" not in head else -1)
    head = head[:stop] if stop > 0 else head
    fence = ""
    for line in head.split("\n"):
        mark = _FENCE_LINE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line == fence:
            fence = ""
    closing = f"\n{fence}" if fence else ""
    details = "\n\n</details>" * (head.count("<details>") - head.count("</details>"))
    return f"{head}{closing}{details}{note}"
