"""Applies a patch and lays trusted files over it; runs in a box, sent as text.

Standard input holds JSON that the host made: the changes it has read and approved, and the files.
It prints `ok`, or why the patch does not apply, and changes nothing before all of it is known to.
Every candidate waits for this program, so it does without pathlib, which takes long to import.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator

HELD_BACK = "held back: "
"""Before a reason that is no failure to apply: the patch may not be run at all."""
RUST_TEXT = (
    rb"(?s)//[^\n]*|/\*|\b[bc]?r(#*)\".*?\"\1|\"(?:\\.|[^\"\\])*\""
    rb"|'(?:\\.[^']*|[^'\\\x80-\xff]|[\xc0-\xff][\x80-\xbf]+)'"
)
"""What is no code: comments, strings, characters. Lifetimes have no second quote. Compiled where
there is Rust: no other patch waits for it.
"""
RUST_ATTRIBUTE = rb"#\s*(!?)\s*\["
RUST_TEST_ITEM = rb"\bmod\s+tests?\b|\b(?:proptest|quickcheck)\s*!"
RUST_TEST_NAMES = frozenset(
    {b"test", b"bench", b"rstest", b"test_case", b"test_matrix", b"parameterized", b"quickcheck",
     b"property_test", b"gtest", b"wasm_bindgen_test", b"proof"}
)  # fmt: skip
"""The last words of attributes that make a function a test."""
NESTING = {b"{": 1, b"[": 1, b"(": 1, b"}": -1, b"]": -1, b")": -1}


def encoded(text: str) -> bytes:
    """The bytes that a diff's text stands for."""
    return text.encode("utf-8", "surrogateescape")


def find(lines: list[bytes], wanted: list[bytes], expected: int) -> int:
    """Where these lines are, nearest to where they are expected; -1 when nowhere."""
    last = len(lines) - len(wanted)
    for offset in range(max(expected, last) + 1):
        for at in (expected - offset, expected + offset):
            if 0 <= at <= last and lines[at : at + len(wanted)] == wanted:
                return at
    return -1


def rust_tests(content: bytes) -> Iterator[range]:
    """The lines of a Rust file that are tests: the item behind each attribute of a test."""
    code = without_text(content)
    for found in re.finditer(RUST_ATTRIBUTE, code):
        end = closing(code, found.end())
        if is_of_test(code[found.end() : end - 1]):
            last = len(code) if found[1] else end_of_item(code, end)
            yield lines_between(code, found.start(), last)
    for found in re.finditer(RUST_TEST_ITEM, code):
        yield lines_between(code, found.start(), end_of_item(code, found.end()))


def lines_between(code: bytes, first: int, last: int) -> range:
    """The lines that two places lie in, and those between."""
    return range(code.count(b"\n", 0, first), code.count(b"\n", 0, last) + 1)


def without_text(content: bytes) -> bytes:
    """Rust with blanks for all that is no code, every line and place where it was."""
    code = bytearray(content)
    text = re.compile(RUST_TEXT)
    found = text.search(content)
    while found:
        end = end_of_comment(content, found.end()) if found[0] == b"/*" else found.end()
        code[found.start() : end] = re.sub(rb"[^\n]", b" ", content[found.start() : end])
        found = text.search(content, end)
    return bytes(code)


def end_of_comment(content: bytes, start: int) -> int:
    """Where a block comment ends, which may hold others."""
    depth = 1
    for mark in re.compile(rb"/\*|\*/").finditer(content, start):
        depth += 1 if mark[0] == b"/*" else -1
        if not depth:
            return mark.end()
    return len(content)


def closing(code: bytes, start: int) -> int:
    """Behind the bracket that closes the one just before `start`, else the end."""
    depth = 1
    for token in re.compile(rb"[][(){}]").finditer(code, start):
        depth += NESTING[token[0]]
        if not depth:
            return token.end()
    return len(code)


def is_of_test(attribute: bytes) -> bool:
    """Whether an attribute makes its item part of the tests; what is `not` for them is product."""
    named = re.match(rb"\s*(?:unsafe\s*\()?\s*(?:::)?((?:\w+\s*::\s*)*\w+)\s*(\(?)", attribute)
    if not named:
        return False
    name = re.split(rb"[\s:]+", named[1])[-1]
    inner = attribute[named.end() : closing(attribute, named.end()) - 1] if named[2] else b""
    if name == b"cfg":
        return bool(re.search(rb"\btest\b", without_negated(inner)))
    if name == b"cfg_attr":
        return any(map(is_of_test, split_at_commas(inner)[1:]))
    return name in RUST_TEST_NAMES


def without_negated(condition: bytes) -> bytes:
    """A condition with every `not(...)` blanked."""
    for found in re.finditer(rb"\bnot\s*\(", condition):
        end = closing(condition, found.end())
        condition = condition[: found.start()] + b" " * (end - found.start()) + condition[end:]
    return condition


def split_at_commas(code: bytes) -> list[bytes]:
    """The parts between commas that no bracket encloses."""
    depth, parts, start = 0, [], 0
    for token in re.finditer(rb"[][(){},]", code):
        depth += NESTING.get(token[0], 0)
        if token[0] == b"," and not depth:
            parts.append(code[start : token.start()])
            start = token.end()
    return [*parts, code[start:]]


def end_of_item(code: bytes, start: int) -> int:
    """Where the item after `start` ends: its closing brace or semicolon, else the file's end."""
    depth = 0
    for token in re.compile(rb"[][(){};]").finditer(code, start):
        depth += NESTING.get(token[0], 0)
        if depth <= 0 and token[0] in (b"}", b";"):
            return token.end()
    return len(code)


def refuse_rust_tests(
    path: str, old: bytes, at: int, before: list[bytes], after: list[bytes]
) -> None:
    """Tests within product code judge it, so a patch must not change them."""
    head = same(before, after)
    tail = same(before[head:][::-1], after[head:][::-1])
    first, last = at + head, at + len(before) - tail
    for lines in rust_tests(old):
        inserted = first == last and lines.start < first < lines.stop
        if inserted or (first < lines.stop and last > lines.start):
            raise ValueError(f"{HELD_BACK}{path!r} has tests of its own, which the change reaches")


def same(one: list[bytes], other: list[bytes]) -> int:
    """How many lines two lists begin with alike."""
    pairs = enumerate(zip(one, other))  # noqa: B905  # the shorter one ends it
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def patched(path: str, old: bytes, hunks: list[dict[str, object]]) -> bytes:
    """A file's content with its hunks applied; no fuzz, but lines may have moved."""
    lines = split(old)
    result: list[bytes] = []
    taken = shift = 0
    for number, hunk in enumerate(hunks, 1):
        before = [encoded(str(line)) for line in as_list(hunk["old"])]
        start = int(str(hunk["start"]))
        expected = start - 1 + shift if before else min(start + shift, len(lines))
        at = find(lines[taken:], before, max(expected - taken, 0))
        if at < 0:
            raise ValueError(f"{path}: hunk {number} does not match")
        at += taken
        after = [encoded(str(line)) for line in as_list(hunk["new"])]
        if path.endswith(".rs"):
            refuse_rust_tests(path, old, at, before, after)
        result += lines[taken:at] + after
        shift, taken = at - expected + shift, at + len(before)
    return b"".join(result + lines[taken:])


def split(data: bytes) -> list[bytes]:
    """Lines as a diff sees them: only a line feed ends one."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def as_list(value: object) -> list[object]:
    """A JSON array."""
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def refuse_links(*paths: str) -> None:
    """A directory that is a link would give a protected file another name."""
    for path in paths:
        parent = os.path.dirname(path)  # noqa: PTH120  # no pathlib
        while parent.strip("/"):
            if os.path.islink(parent):  # noqa: PTH114  # no pathlib
                raise ValueError(f"{path}: lies behind a link")
            parent = os.path.dirname(parent)  # noqa: PTH120  # no pathlib


def planned(change: dict[str, object]) -> dict[str, bytes | None]:
    """What becomes of the files of one change: content, or None for gone."""
    old, new = change["old"], change["new"]
    refuse_links(str(old or new), str(new or old))
    content = b""
    if old is None and os.path.lexists(str(new)):
        raise ValueError(f"{new}: already exists")
    if old is not None:
        path = str(old)
        if os.path.islink(path) or not os.path.isfile(path):  # noqa: PTH113, PTH114  # no pathlib
            raise ValueError(f"{old}: no such file")
        with open(path, "rb") as file:  # noqa: PTH123  # no pathlib
            content = file.read()
    content = patched(str(new or old), content, as_list(change["hunks"]))  # type: ignore[arg-type]  # JSON that the host made
    plan: dict[str, bytes | None] = {}
    if old is not None and old != new and not change["copied"]:
        plan[str(old)] = None
    if new is not None:
        plan[str(new)] = content
    elif content:
        raise ValueError(f"{old}: deleted, but it holds more than the patch says")
    return plan


def put(path: str, content: bytes | None) -> None:
    """Write or remove a file, never through a link in its own place."""
    if content is None:
        os.unlink(path)  # noqa: PTH108  # no pathlib
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)  # noqa: PTH103, PTH120  # no pathlib
    executable = os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113  # no pathlib
    if os.path.islink(path):  # noqa: PTH114  # no pathlib
        os.unlink(path)  # noqa: PTH108  # no pathlib
    with open(path, "wb") as file:  # noqa: PTH123  # no pathlib
        file.write(content)
    if executable:
        os.chmod(path, 0o755)  # noqa: PTH101, S103  # no pathlib; as it was


def main() -> None:
    """Plan all of it, then do it."""
    order = json.load(sys.stdin)
    plan: dict[str, bytes | None] = {}
    modes: dict[str, str] = {}
    try:
        for change in order["changes"]:
            plan.update(planned(change))
            if change["new"] is not None and change["mode"] is not None:
                modes[change["new"]] = change["mode"]
    except (ValueError, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return
    plan.update({path: encoded(text) for path, text in order["files"].items()})
    for path, content in plan.items():
        put(path, content)
    for path, mode in modes.items():
        os.chmod(path, 0o755 if mode == "100755" else 0o644)  # noqa: PTH101  # no pathlib
    sys.stdout.write("ok\n")


if __name__ == "__main__":
    main()
