"""The line edit: how the embedded model reads a function and writes its repair down.

A prompt is `<issue>..<code><L0>line<L0><L1>line<L1>..<prev><L4>..<edit>`, a completion `<L4>new
text`, `<L4><L6>new text` for a range, and an empty body deletes. Each line stands between its
numbers: the first is where copying starts, at the second a causal model has read the line. Text
from repositories is untrusted: a special token that stands in it literally is escaped on the way in
and restored on the way out. Blank lines and the docstring are numbered but not shown: they cost
tokens and hold no bug.
"""

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

MAX_LINES = 64
"""The most lines that one prompt can number."""

MAX_ISSUE_CHARS = 240
"""How much of an issue the model is shown; it was trained on one short line."""

LINE_TOKENS = tuple(f"<L{k}>" for k in range(MAX_LINES))
MARKER_TOKENS = ("<issue>", "<code>", "<prev>", "<edit>")
EOS_TOKEN = "<eos>"
PAD_TOKEN = "<pad>"

_NAMES = r"L\d+|issue|code|prev|edit|eos|pad"
_GUARD = "\u2060"
_SPECIAL = re.compile(rf"<({_GUARD}*)({_NAMES})>")
_GUARDED = re.compile(rf"<{_GUARD}({_GUARD}*)({_NAMES})>")
_LINE = re.compile(r"<L(\d+)>(.*?)<L\1>")
_PROMPT = re.compile(r"<issue>.*?<code>(?P<code>.*?)(?P<tried>(?:<prev>.*)?)<edit>", re.DOTALL)
_COMPLETION = re.compile(r"<L(\d+)>(?:<L(\d+)>)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LineEdit:
    """Replace the lines `start`..`end` (0-based, both included) by `lines`; none deletes them."""

    start: int
    end: int
    lines: tuple[str, ...]


def neutralise(text: str) -> str:
    """Escape special tokens standing literally in untrusted text; `restore` is the inverse."""
    return _SPECIAL.sub(rf"<{_GUARD}\1\2>", text)


def restore(text: str) -> str:
    """Undo `neutralise`."""
    return _GUARDED.sub(r"<\1\2>", text)


def split_lines(source: str) -> list[str]:
    """The lines that a prompt numbers: split at newlines only, a final newline opens no line."""
    return source.removesuffix("\n").split("\n")


def hidden_lines(source: str) -> frozenset[int]:
    """The lines that a prompt leaves out: blank ones, and the docstring's when the text parses."""
    blank = {k for k, line in enumerate(split_lines(source)) if not line.strip()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the text is not ours: invalid escapes and the like
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset(blank)
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(node.body) > 1:
            first = node.body[0]
            if ast.get_docstring(node, clean=False) is not None and first.lineno > node.lineno:
                blank.update(range(first.lineno - 1, first.end_lineno or first.lineno))
    return frozenset(blank)


def render_prompt(source: str, *, issue: str, previous: Sequence[str]) -> str:
    """Write the raw prompt for one dedented function or window of at most `MAX_LINES` lines.

    `previous` holds earlier edits that failed, in the completion's own text form.

    Raises:
        ValueError: the source has more lines than can be numbered.
    """
    lines = split_lines(source)
    if len(lines) > MAX_LINES:
        msg = f"a prompt numbers at most {MAX_LINES} lines and the source has {len(lines)}"
        raise ValueError(msg)
    told = neutralise(" ".join(issue.split())[:MAX_ISSUE_CHARS])
    hidden = hidden_lines(source)
    code = "".join(
        f"<L{k}>{neutralise(line)}<L{k}>" for k, line in enumerate(lines) if k not in hidden
    )
    tried = "".join(f"<prev>{edit}" for edit in previous)
    return f"<issue>{told}<code>{code}{tried}<edit>"


def parse(completion: str) -> LineEdit | None:
    """Read a completion; None when it is no line edit. Whatever follows `<eos>` is not read."""
    match = _COMPLETION.fullmatch(completion.split(EOS_TOKEN, 1)[0])
    if match is None:
        return None
    first, last, body = match.groups()
    start = int(first)
    end = start if last is None else int(last)
    if end < start or end >= MAX_LINES or _stray_token(body):
        return None
    return LineEdit(start, end, tuple(restore(body).split("\n")) if body else ())


def _stray_token(body: str) -> bool:
    """Whether a body holds a special token that no escape explains."""
    return any(not match.group(1) for match in _SPECIAL.finditer(body))


def render_edit(edit: LineEdit) -> str:
    """Write an edit in the completion's form, without the closing `<eos>`."""
    span = f"<L{edit.start}>" + (f"<L{edit.end}>" if edit.end != edit.start else "")
    return span + neutralise("\n".join(edit.lines))


def apply(edit: LineEdit, source: str) -> str | None:
    """The source with the edit made; None when it lies out of range or changes nothing."""
    lines = split_lines(source)
    if edit.end >= len(lines):
        return None
    after = lines[: edit.start] + list(edit.lines) + lines[edit.end + 1 :]
    if after == lines:
        return None
    return "\n".join(after) + ("\n" if source.endswith("\n") else "")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prompt shows: the source, hidden lines left blank, and the edits that failed."""

    source: str
    previous: tuple[str, ...]


def read_prompt(prompt: str) -> Shown | None:
    """Read a prompt of `render_prompt` back; None when it is none."""
    match = _PROMPT.fullmatch(prompt)
    if match is None:
        return None
    shown = {int(number): restore(line) for number, line in _LINE.findall(match["code"])}
    lines = [shown.get(k, "") for k in range(max(shown, default=-1) + 1)]
    return Shown("\n".join(lines), tuple(match["tried"].split("<prev>")[1:]))
