"""Issue and checkout → the files and functions worth showing the model.

Signals, strongest first: functions that the failing example executed, frames of a traceback in the
issue, names that the issue puts in code, and BM25 over the functions' text. Ranks are fused
reciprocally, by fixed weights, so no signal needs a scale. Tests, docs and vendored code are left
out.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bm25s

from engine.candidate import CodeContext, SourceFile, Span
from engine.contract import Issue
from engine.line_format import MAX_LINES
from engine.reach import whole_statements

MAX_FOCUS = 8
MAX_FILES = 6
MAX_FILE_BYTES = 400_000
MAX_CHECKOUT_FILES = 5_000
RRF_K = 10
"""Reciprocal rank fusion's damping; small, since the strongest signals put few functions first."""

_LEFT_OUT = re.compile(
    r"(^|/)(tests?|testing|docs?|examples?|benchmarks?|vendor|_vendor|third_party|build|node_modules"
    r"|\.[^/]+|setup\.py|conftest\.py)(/|$)|(^|/)test_[^/]*\.py$|_test\.py$"
)
_FRAME = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>\w+))?')
_CODE = re.compile(r"```.*?```|`[^`\n]+`|^\s*>>>.*$", re.S | re.M)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the checkout with its text, for ranking."""

    span: Span
    text: str


def localize(
    issue: Issue, checkout: Path, executed: Mapping[str, frozenset[int]] | None = None
) -> CodeContext:
    """Rank the checkout's functions and files for an issue.

    `executed` holds the lines, per path, that the failing example ran; where it is known, functions
    that it never entered are left out.
    """
    files = {file.path: file for file in source_files(checkout)}
    ran = _whole_statements(files, executed or {})
    functions = [f for file in files.values() for f in functions_of(file, ran.get(file.path))]
    entered = [f for f in functions if _runs(f.span, ran)]
    ranked = rank(issue, entered or functions, ran)
    focus = tuple(f.span for f in ranked[:MAX_FOCUS])
    paths = list(dict.fromkeys(f.span.path for f in ranked))[:MAX_FILES]
    shown = paths or sorted(files)[:MAX_FILES]
    return CodeContext(tuple(files[p] for p in shown), focus, ran)


def source_files(checkout: Path) -> Iterator[SourceFile]:
    """The checkout's Python product files, links and oversized files left out."""
    seen = 0
    for path in sorted(checkout.rglob("*.py")):
        name = path.relative_to(checkout).as_posix()
        if path.is_symlink() or not path.is_file() or _LEFT_OUT.search(name):
            continue
        if path.stat().st_size > MAX_FILE_BYTES or seen >= MAX_CHECKOUT_FILES:
            continue
        seen += 1
        yield SourceFile(name, path.read_bytes().decode("utf-8", "replace"))


def functions_of(file: SourceFile, ran: frozenset[int] | None = None) -> Iterator[Function]:
    """The functions of a file; one of more than `MAX_LINES` lines comes as windows."""
    tree = _parse(file.text)
    if tree is None:
        return
    lines = file.text.splitlines(keepends=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            for start, end in _windows(node.lineno, node.end_lineno, ran):
                span = Span(file.path, node.name, start, end)
                yield Function(span, "".join(lines[start - 1 : end]))


def _windows(start: int, end: int, ran: frozenset[int] | None) -> Iterator[tuple[int, int]]:
    if end - start < MAX_LINES:
        yield start, end
        return
    for first in range(start, end + 1, MAX_LINES):
        last = min(first + MAX_LINES - 1, end)
        if not ran or any(first <= line <= last for line in ran):
            yield first, last


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the text is not ours: invalid escapes and the like
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _whole_statements(
    files: Mapping[str, SourceFile], executed: Mapping[str, frozenset[int]]
) -> dict[str, frozenset[int]]:
    """The executed lines widened to whole statements, of the files that parse."""
    known = {path: lines for path, lines in executed.items() if path in files}
    widened = {p: whole_statements(files[p].text, lines) for p, lines in known.items()}
    return {path: whole for path, whole in widened.items() if whole is not None}


def _runs(span: Span, ran: Mapping[str, frozenset[int]]) -> bool:
    return any(span.start < line <= span.end for line in ran.get(span.path, ()))


def rank(
    issue: Issue, functions: Sequence[Function], ran: Mapping[str, frozenset[int]]
) -> list[Function]:
    """Functions by fused rank, best first."""
    signals = [
        (3.0, _by_frames(issue.text, functions)),
        (2.0, _by_names(issue.text, functions)),
        (1.0, _by_words(issue.text, functions)),
        (1.0, _by_share_run(functions, ran)),
    ]
    score = [0.0] * len(functions)
    for weight, order in signals:
        for place, index in enumerate(order):
            score[index] += weight / (RRF_K + place)
    best = sorted(range(len(functions)), key=lambda k: (-score[k], functions[k].span.path, k))
    return [functions[k] for k in best]


def _by_frames(text: str, functions: Sequence[Function]) -> list[int]:
    """Functions in the issue's tracebacks, the innermost frame first."""
    order: list[int] = []
    for frame in reversed(list(_FRAME.finditer(text))):
        for index, function in enumerate(functions):
            same_file = frame["path"].replace("\\", "/").endswith(function.span.path)
            if same_file and frame["name"] == function.span.name and index not in order:
                order.append(index)
    return order


def _by_names(text: str, functions: Sequence[Function]) -> list[int]:
    """Functions that the issue names in code, by how often."""
    words = [word for code in _CODE.findall(text) for word in _WORD.findall(code)]
    count = {name: words.count(name) for name in set(words)}
    named = [k for k, f in enumerate(functions) if count.get(f.span.name)]
    return sorted(named, key=lambda k: -count[functions[k].span.name])


def _by_words(text: str, functions: Sequence[Function]) -> list[int]:
    """BM25 over the functions' identifiers, split at underscores and capitals."""
    query = list(_split(text))
    corpus = [list(_split(f"{f.span.path} {f.text}")) for f in functions]
    if not query or not any(corpus):
        return []
    retriever = bm25s.BM25()
    retriever.index(corpus, show_progress=False)
    scores = retriever.get_scores(query)
    order = sorted(range(len(functions)), key=lambda k: -float(scores[k]))
    return [k for k in order if scores[k] > 0][:50]


def _split(text: str) -> Iterable[str]:
    for word in _WORD.findall(text):
        yield from (part.lower() for part in _PARTS.findall(word))


def _by_share_run(functions: Sequence[Function], ran: Mapping[str, frozenset[int]]) -> list[int]:
    """Functions that the failing example entered, those with the most executed lines first."""
    counts = [
        sum(f.span.start < line <= f.span.end for line in ran.get(f.span.path, ()))
        for f in functions
    ]
    entered = [k for k, count in enumerate(counts) if count]
    return sorted(entered, key=lambda k: -counts[k])
