"""Reads unified diffs as git writes them, strictly: what is not understood is refused.

One reader serves the policy and the application of a patch, so that nothing can look harmless to
the one and mean something else to the other.
"""

import codecs
import re
from dataclasses import dataclass, field

HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
NO_NEWLINE = "\\ No newline at end of file"
EXTENDED = (
    "old mode ", "new mode ", "deleted file mode ", "new file mode ", "similarity index ",
    "dissimilarity index ", "rename from ", "rename to ", "copy from ", "copy to ", "index ",
)  # fmt: skip


MOVES = ({"rename from", "rename to"}, {"copy from", "copy to"})


class DiffSyntaxError(Exception):
    """A text is not a unified diff of text files; the message names the line."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """One change: at this line of the old file (from 1) these lines become those."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileChange:
    """What becomes of one file. `old` is None for a new file, `new` for a deleted one."""

    old: str | None
    new: str | None
    mode: str | None
    hunks: tuple[Hunk, ...]
    copied: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path it touches."""
        return tuple(dict.fromkeys(path for path in (self.old, self.new) if path is not None))


@dataclass(slots=True)
class _Draft:
    """A file's header lines while they are read."""

    git: str | None = None
    extended: dict[str, str] = field(default_factory=dict)
    old: str | None = None
    new: str | None = None
    named: bool = False
    hunks: list[Hunk] = field(default_factory=list)


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        if self.lines and not self.lines[-1]:
            self.lines.pop()
        self.at = 0

    def peek(self) -> str | None:
        return self.lines[self.at] if self.at < len(self.lines) else None

    def take(self) -> str:
        line = self.peek()
        if line is None:
            raise DiffSyntaxError("the diff ends in the middle of a change")
        self.at += 1
        return line

    def wrong(self, what: str) -> DiffSyntaxError:
        return DiffSyntaxError(f"line {self.at + 1} of the diff: {what}")


def parse(text: str) -> tuple[FileChange, ...]:
    """All the changes of a diff.

    Raises:
        DiffSyntaxError: it is not one, or not one of text files.
    """
    reader = _Reader(text)
    changes: list[FileChange] = []
    while (line := reader.peek()) is not None:
        if line.startswith(("diff --git ", "--- ")):
            changes.append(_file(reader))
        elif line.strip() and not changes:
            raise reader.wrong(f"{line[:60]!r} starts no change")
        elif line.strip():
            raise reader.wrong(f"{line[:60]!r} belongs to no change")
        else:
            reader.at += 1
    if not changes:
        raise DiffSyntaxError("the diff changes nothing")
    return tuple(changes)


def _file(reader: _Reader) -> FileChange:
    draft = _Draft()
    if (reader.peek() or "").startswith("diff --git "):
        draft.git = reader.take().removeprefix("diff --git ")
        while (line := reader.peek()) is not None and line.startswith(EXTENDED):
            key = next(key for key in EXTENDED if line.startswith(key))
            draft.extended[key.strip()] = reader.take().removeprefix(key)
    line = reader.peek() or ""
    if line.startswith(("GIT binary patch", "Binary files ")):
        raise reader.wrong("a binary file; only text can be patched")
    if line.startswith("--- "):
        draft.named = True
        draft.old = _named(reader, reader.take(), "--- ", "a/")
        draft.new = _named(reader, reader.take(), "+++ ", "b/")
        while (reader.peek() or "").startswith("@@ "):
            draft.hunks.append(_hunk(reader))
        if not draft.hunks:
            raise reader.wrong("a file without a hunk")
    return _finished(reader, draft)


def _named(reader: _Reader, line: str, mark: str, prefix: str) -> str | None:
    if not line.startswith(mark):
        raise reader.wrong(f"{mark.strip()!r} was expected")
    name = line.removeprefix(mark).split("\t")[0].rstrip("\r")
    if name == "/dev/null":
        return None
    return _without_prefix(reader, _unquoted(reader, name), prefix)


def _without_prefix(reader: _Reader, name: str, prefix: str) -> str:
    if not name.startswith(prefix) or len(name) == len(prefix):
        raise reader.wrong(f"the path {name!r} does not start with {prefix!r}")
    return name.removeprefix(prefix)


def _unquoted(reader: _Reader, name: str) -> str:
    """Undo git's quoting of unusual names."""
    if not name.startswith('"'):
        return name
    if not name.endswith('"') or len(name) < 2:  # noqa: PLR2004  # its two quotes
        raise reader.wrong("a quoted path without an end")
    try:
        raw, _ = codecs.escape_decode(name[1:-1].encode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise reader.wrong("a path with a broken escape") from error
    return bytes(raw).decode("utf-8", "surrogateescape")


def _hunk(reader: _Reader) -> Hunk:
    header = reader.take()
    match = HUNK.match(header)
    if match is None:
        raise reader.wrong(f"{header[:60]!r} is no hunk")
    left = {"-": int(match[2] or 1), "+": int(match[4] or 1)}
    lines: list[tuple[str, str]] = []
    while any(left.values()):
        mark, text = _hunk_line(reader)
        lines.append((mark, text))
        for side in left:
            left[side] -= mark in {" ", side}
        if min(left.values()) < 0:
            raise reader.wrong("more lines than the hunk announced")
    return Hunk(
        int(match[1]),
        old=tuple(text for mark, text in lines if mark in {" ", "-"}),
        new=tuple(text for mark, text in lines if mark in {" ", "+"}),
        added=tuple(text for mark, text in lines if mark == "+"),
    )


def _hunk_line(reader: _Reader) -> tuple[str, str]:
    line = reader.take()
    mark, text = (line[:1] or " "), line[1:] + "\n"
    if mark not in {" ", "-", "+"}:
        raise reader.wrong(f"{line[:60]!r} in the middle of a hunk")
    if (reader.peek() or "").startswith("\\"):
        reader.take()
        text = text.removesuffix("\n")
    return mark, text


def _finished(reader: _Reader, draft: _Draft) -> FileChange:
    extended = draft.extended
    old, new = (draft.old, draft.new) if draft.named else _from_header(reader, draft)
    moved = _moved(reader, draft)
    if moved:
        kind = "rename" if "rename from" in extended else "copy"
        origin, target = extended.get(f"{kind} from", ""), extended.get(f"{kind} to", "")
        named = (_unquoted(reader, origin), _unquoted(reader, target))
        if draft.named and named != (old, new):
            raise reader.wrong("the paths of a renamed file disagree")
        old, new = named
    if "new file mode" in extended and not draft.named:
        old = None
    if "deleted file mode" in extended and not draft.named:
        new = None
    if old is None and new is None:
        raise reader.wrong("a change of no file")
    if not moved and old is not None and new is not None and old != new:
        raise reader.wrong(f"two paths, {old!r} and {new!r}, in one change")
    _agrees_with_header(reader, draft, old, new)
    mode = extended.get("new file mode") or extended.get("new mode")
    if mode is None and "index" in extended and " " in extended["index"]:
        mode = extended["index"].rpartition(" ")[2]
    return FileChange(old, new, mode, tuple(draft.hunks), copied="copy from" in extended)


def _moved(reader: _Reader, draft: _Draft) -> bool:
    """Whether a file is renamed or copied, which takes both of its paths."""
    found = {key for move in MOVES for key in move if key in draft.extended}
    if found and found not in MOVES:
        raise reader.wrong("half a rename or copy")
    return bool(found)


def _from_header(reader: _Reader, draft: _Draft) -> tuple[str, str]:
    """The paths of a change without hunks, out of `diff --git a/x b/x`."""
    if not draft.extended:
        raise reader.wrong("a file without a change")
    if "rename from" in draft.extended or "copy from" in draft.extended:
        return "", ""
    words = (draft.git or "").rstrip("\r")
    half = len(words) // 2
    left, right = _unquoted(reader, words[:half]), _unquoted(reader, words[half + 1 :])
    old = _without_prefix(reader, left, "a/")
    if old != _without_prefix(reader, right, "b/"):
        raise reader.wrong("two paths in a change without hunks")
    return old, old


def _agrees_with_header(reader: _Reader, draft: _Draft, old: str | None, new: str | None) -> None:
    """Refuse a change whose `diff --git` line names other files than the rest."""
    if draft.git is None or '"' in draft.git:
        return
    if draft.git.rstrip("\r") != f"a/{old or new} b/{new or old}":
        raise reader.wrong("the 'diff --git' line names other files")
