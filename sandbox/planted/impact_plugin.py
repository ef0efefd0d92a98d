"""A pytest plugin that writes down which of the repository's functions each test runs."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dis import findlinestarts
from pathlib import Path
from types import CodeType, FrameType

import pytest

ROOT = "/repo/"
OUT = Path("/tmp/evoscale/impact.json")  # noqa: S108  # in the box
TOOL = 4  # a number that Python leaves free
FUNCTION = 1  # CO_OPTIMIZED: a function's code, not a module's or a class's

running: list[int] = []
tests: list[str] = []
seen: dict[CodeType, set[int]] = {}


def note(code: CodeType) -> None:
    """A function was entered."""
    if running and code.co_flags & FUNCTION and code.co_filename.startswith(ROOT):
        seen.setdefault(code, set()).add(running[-1])


def profile(frame: FrameType, event: str, _: object) -> None:
    """Note calls, before Python 3.12."""
    if event == "call":
        note(frame.f_code)


def watch() -> None:
    """Have every entered function noted."""
    if sys.version_info < (3, 12):
        threading.setprofile(profile)
        sys.setprofile(profile)
        return
    monitoring = sys.monitoring

    def entered(code: CodeType, _: int) -> object:
        note(code)
        return monitoring.DISABLE

    monitoring.use_tool_id(TOOL, "impact")
    monitoring.register_callback(TOOL, monitoring.events.PY_START, entered)
    monitoring.set_events(TOOL, monitoring.events.PY_START)


watch()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Everything until this test ends is its doing."""
    running.append(len(tests))
    tests.append(item.nodeid)
    if sys.version_info >= (3, 12):
        sys.monitoring.restart_events()
    yield
    running.clear()


def pytest_sessionfinish() -> None:
    """Write it down."""
    functions: dict[str, list[tuple[int, int, list[int]]]] = {}
    for code, by in seen.items():
        last = max((line for _, line in findlinestarts(code) if line), default=code.co_firstlineno)
        spans = functions.setdefault(code.co_filename[len(ROOT) :], [])
        spans.append((code.co_firstlineno, last, sorted(by)))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"tests": tests, "functions": functions}), encoding="utf-8")
