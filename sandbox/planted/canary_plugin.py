"""A pytest plugin that adds the canaries to a run, first and last, and leaves no other trace.

Old versions of pytest lack some of the names in its annotations, which are not evaluated.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BACKWARDS = False
HERE = Path(__file__).resolve().parent
TESTS = HERE / "test_TOKEN.py"
failed: set[str] = set()


def forget() -> None:
    """Take back what made this plugin load, so that programs which tests start do not see it."""
    os.environ.pop("PYTEST_PLUGINS", None)  # noqa: TID251  # in a box, where no settings are
    left = [p for p in os.environ.pop("PYTHONPATH", "").split(os.pathsep) if p != str(HERE)]  # noqa: TID251  # a program of its own, with its own environment
    if any(left):
        os.environ["PYTHONPATH"] = os.pathsep.join(left)  # noqa: TID251  # a program of its own, with its own environment
    sys.path[:] = [p for p in sys.path if p != str(HERE)]


forget()
Path(__file__).unlink()


def module_of(session: pytest.Session) -> pytest.Module:
    """The canaries' file as a node; before pytest 7 paths were another type's."""
    try:
        return pytest.Module.from_parent(session, path=TESTS)
    except TypeError:
        local = type(session.fspath)
        return pytest.Module.from_parent(session, fspath=local(str(TESTS)))


def canaries(session: pytest.Session) -> list[pytest.Item]:
    """The tests of our file."""
    path = list(sys.path)
    found: list[pytest.Item] = []
    for node in module_of(session).collect():
        inner = node.collect() if isinstance(node, pytest.Collector) else [node]
        found += [item for item in inner if isinstance(item, pytest.Item)]
    sys.path[:] = path
    TESTS.unlink()
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let no failing canary end the run."""
    config.option.maxfail = 0


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, items: list[pytest.Item]
) -> Iterator[None]:
    """Add the canaries when all others have chosen and sorted; never where there is no test."""
    yield
    if BACKWARDS:
        items.reverse()
    if items:
        first, *last = canaries(session)
        items[:] = [first, *items, *last]


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Keep the canaries out of what people and models read."""
    if "TOKEN" not in report.nodeid:
        return None
    if report.failed:
        failed.add(report.nodeid)
    return "", "", ""


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Give the exit code that the run would have had without the canaries."""
    yield
    if session.exitstatus == pytest.ExitCode.TESTS_FAILED and session.testsfailed == len(failed):
        session.exitstatus = pytest.ExitCode.OK
