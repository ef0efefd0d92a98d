"""The issue's own examples as tests: what the reporter typed, what came, what should have come.

Doctest prompts (`>>>`) and Python blocks with `assert` are read from the issue. Each becomes a test
of one generated file, which runs in the box like any other test. Whether an example says what is
wrong is not guessed but tried: one that fails at base_commit is FAIL_TO_PASS, the rest are left out
(reporters show wrong output as often as right output).
"""

import ast
import doctest
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from pydantic import TypeAdapter, ValidationError

from sandbox.contract import TestFile

_TRACED: TypeAdapter[dict[str, list[int]]] = TypeAdapter(dict[str, list[int]])

FILE_NAME = "test_evoscale_reproduction.py"
MAX_EXAMPLES = 12
MAX_SOURCE_CHARS = 8_000
_FENCE = re.compile(r"^(?P<fence>```+|~~~+)[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.M | re.S)
_EXPECTED = re.compile(
    r"(?:expected|should (?:be|return|give|print|have been)|want(?:ed)?|instead of getting|correct)"
    r"[^`\n]{0,60}?:?\s*\n?(?:```\w*\n(?P<block>[^`]+?)\n```|`(?P<tick>[^`\n]+)`)",
    re.I,
)
_TEMPLATE = '''"""Examples from the issue, run as tests."""

import doctest
import io
import json
import contextlib

import pytest

EXAMPLES = json.loads({data!r})
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def _run(source, scope):
    code = compile(source, "<example>", "single")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, scope)
    return out.getvalue()


@pytest.mark.parametrize("example", EXAMPLES, ids=[e["name"] for e in EXAMPLES])
def test_issue(example):
    scope = {{"__name__": "__main__"}}
    for source in example["setup"]:
        with contextlib.suppress(Exception):
            _run(source, scope)
    if example["kind"] == "block":
        exec(compile(example["source"], "<example>", "exec"), scope)
        return
    if example["kind"] == "raises":
        with pytest.raises(Exception) as caught:
            _run(example["source"], scope)
        assert caught.type.__name__ == example["want"]
        return
    got = _run(example["source"], scope)
    if example["kind"] == "returns":
        same = doctest.OutputChecker().check_output(example["want"], got, FLAGS)
        assert same, "expected " + example["want"].strip() + ", got " + got.strip()
'''

_TRACER = '''"""Prints which lines of the repository's functions some code executed."""

import contextlib
import io
import json
import os
import sys
import threading

ROOT = os.getcwd() + os.sep
OPTIMIZED = 1
lines = {{}}


def trace(frame, event, arg):
    code = frame.f_code
    if not code.co_filename.startswith(ROOT) or not code.co_flags & OPTIMIZED:
        return None
    lines.setdefault(code.co_filename[len(ROOT):], set()).add(frame.f_lineno)
    return trace


def run_examples(examples):
    for example in examples:
        scope = {{"__name__": "__main__"}}
        for source in example["setup"]:
            with contextlib.suppress(Exception):
                exec(compile(source, "<example>", "single"), scope)
        mode = "exec" if example["kind"] == "block" else "single"
        sys.settrace(trace)
        with contextlib.suppress(Exception):
            exec(compile(example["source"], "<example>", mode), scope)
        sys.settrace(None)


def run_tests(ids):
    import pytest

    threading.settrace(trace)
    sys.settrace(trace)
    pytest.main(["-q", "-p", "no:cacheprovider", *ids])
    sys.settrace(None)


sys.path.insert(0, ROOT)
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    {call}
print("\\n{marker}" + json.dumps({{path: sorted(seen) for path, seen in lines.items()}}))
'''
TRACE_MARKER = "EXECUTED-LINES "


@dataclass(frozen=True, slots=True)
class Example:
    """One thing the reporter ran, after its `setup`.

    Kinds: `returns` (prints `want`), `raises` (an exception named `want`), `runs` (no exception),
    `block` (statements with asserts).
    """

    name: str
    kind: str
    source: str
    want: str = ""
    setup: tuple[str, ...] = ()


def find_examples(text: str) -> tuple[Example, ...]:
    """Every example that an issue's text holds, at most `MAX_EXAMPLES`."""
    found: list[Example] = []
    for block in _blocks(text):
        found.extend(_doctests(block) if ">>>" in block else _asserts(block))
    found.extend(_stated(text, found))
    named = [replace(e, name=f"example_{n}") for n, e in enumerate(found[:MAX_EXAMPLES], start=1)]
    return tuple(named)


def as_test_file(examples: Sequence[Example]) -> TestFile:
    """The generated test file for some examples, at the repository's root."""
    data = json.dumps([asdict(example) for example in examples])
    return TestFile(FILE_NAME, _TEMPLATE.format(data=data))


def example_test_id(example: Example) -> str:
    """The id under which the generated file reports an example."""
    return f"{FILE_NAME}::test_issue[{example.name}]"


def _blocks(text: str) -> Iterator[str]:
    rest = text
    for match in _FENCE.finditer(text):
        yield match["body"][:MAX_SOURCE_CHARS]
        rest = rest.replace(match[0], "\n\n")
    if ">>>" in rest:
        yield rest[:MAX_SOURCE_CHARS]


def _doctests(block: str) -> list[Example]:
    try:
        parsed = doctest.DocTestParser().get_examples(_dedent_prompts(block))
    except ValueError:
        return []
    setup: list[str] = []
    found: list[Example] = []
    for example in parsed:
        if example.exc_msg is not None:
            error = example.exc_msg.split(":")[0].strip().rsplit(".", 1)[-1]
            found.append(Example("", "raises", example.source, error, tuple(setup)))
            found.append(Example("", "runs", example.source, "", tuple(setup)))
        elif example.want:
            found.append(Example("", "returns", example.source, example.want, tuple(setup)))
        setup.append(example.source)
    return found


def _dedent_prompts(block: str) -> str:
    """Doctest wants one indentation for a block; people paste with several."""
    lines: list[str] = []
    margin = 0
    for line in block.splitlines():
        text = line.lstrip()
        if text.startswith(">>>"):
            margin = len(line) - len(text)
        lines.append(line[margin:] if not line[:margin].strip() else text)
    return "\n".join(lines)


def _asserts(block: str) -> list[Example]:
    if not re.search(r"^\s*assert\b", block, re.M):
        return []
    try:
        ast.parse(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [Example("", "block", block)]


def _stated(text: str, found: list[Example]) -> list[Example]:
    """`expected: X` after an example whose shown output is the wrong one."""
    wrong = [e for e in found if e.kind in {"returns", "runs"}]
    stated = [m["block"] or m["tick"] for m in _EXPECTED.finditer(text)]
    values = [v.strip() for v in stated if v and ">>>" not in v]
    if not wrong or not values or len(values) > len(wrong):
        return []
    return [
        replace(e, kind="returns", want=value + "\n")
        for e, value in zip(wrong, values, strict=False)
    ]


def trace_examples_script(examples: Sequence[Example]) -> str:
    """A program that prints, after `TRACE_MARKER`, the lines that the examples executed."""
    data = json.dumps([asdict(example) for example in examples])
    return _TRACER.format(call=f"run_examples(json.loads({data!r}))", marker=TRACE_MARKER)


def trace_tests_script(ids: Sequence[str]) -> str:
    """The same for tests by id, run by pytest inside the program."""
    data = json.dumps(list(ids))
    return _TRACER.format(call=f"run_tests(json.loads({data!r}))", marker=TRACE_MARKER)


def read_trace(output: str) -> dict[str, frozenset[int]]:
    """The executed lines per path; empty when the (untrusted) output holds none."""
    for line in reversed(output.splitlines()):
        if line.startswith(TRACE_MARKER):
            try:
                found = _TRACED.validate_json(line.removeprefix(TRACE_MARKER))
            except ValidationError:
                return {}
            return {path: frozenset(lines) for path, lines in found.items()}
    return {}
