"""The base runs of an image are kept with it: the next job takes the same tests as unreliable."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.base_runs import run_base
from sandbox.backends import open_sandbox
from sandbox.contract import Patch, Sandbox, TestSpec, TestStatus
from sandbox.images import prepare
from sandbox.runner import run_tests
from sandbox.settings import SandboxSettings
from tests.engine import projects

SETTINGS = SandboxSettings(kind="bubblewrap")
LIMITS = SETTINGS.limits()
FLAKY = (
    projects.TESTS
    + """

def test_flaky():
    import time
    assert time.time_ns() // 1000 % 2


def test_red():
    assert discounted(200, 10) == 180
"""
)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox("bubblewrap", SETTINGS)


def suite(sandbox: Sandbox, folder: Path, tests: str = FLAKY) -> TestSpec:
    checkout = projects.receipts(folder, tests)
    made = prepare(sandbox, checkout, test_command=None, settings=SETTINGS)
    return TestSpec(made.image, made.command)


def test_the_next_job_reads_what_the_first_has_learnt(sandbox: Sandbox, tmp_path: Path) -> None:
    spec, shelf = suite(sandbox, tmp_path / "repo"), tmp_path / "shelf"
    first = run_base(sandbox, spec, LIMITS, shelf)
    (entry,) = shelf.iterdir()
    assert entry.name.startswith(spec.image)
    kept = json.loads(entry.read_text())
    kept["flaky"].append("test_receipts.py::test_of_old")
    entry.write_text(json.dumps(kept))
    named = frozenset({"setup.cfg"})
    again = run_base(sandbox, replace(spec, named=named), LIMITS, shelf)
    assert set(again.flaky) == {*first.flaky, "test_receipts.py::test_of_old"}
    assert again.stable == first.stable
    assert again.suite.named == named


def test_another_image_is_run_anew(sandbox: Sandbox, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    run_base(sandbox, suite(sandbox, tmp_path / "repo"), LIMITS, shelf)
    other = suite(sandbox, tmp_path / "repo", projects.TESTS)
    assert len(run_base(sandbox, other, LIMITS, shelf).stable) == 2
    assert len(list(shelf.iterdir())) == 2


def test_what_cannot_be_read_is_run_again(sandbox: Sandbox, tmp_path: Path) -> None:
    spec, shelf = suite(sandbox, tmp_path / "repo", projects.TESTS), tmp_path / "shelf"
    run_base(sandbox, spec, LIMITS, shelf)
    (entry,) = shelf.iterdir()
    entry.write_text("{}")
    assert len(run_base(sandbox, spec, LIMITS, shelf).stable) == 2
    assert entry.read_text() != "{}"


def test_a_suite_that_gave_nothing_is_not_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    spec = suite(sandbox, tmp_path / "repo", "x = 1\n")
    assert not run_base(sandbox, spec, LIMITS, shelf).stable
    assert not shelf.exists()


RANDOM_NAMES = (
    projects.TESTS
    + """

import random

import pytest


@pytest.mark.parametrize("number", [random.randint(10**6, 10**9) for _ in range(5)])
def test_any(number):
    assert total([number]) == number
"""
)
SWALLOWS = """\
--- a/receipts.py
+++ b/receipts.py
@@ -5,4 +5,4 @@
     result = 0
     for price in prices:
-        result += price
+        result += min(price, 1000)
     return result
"""


def test_tests_with_random_names_are_judged_as_one(sandbox: Sandbox, tmp_path: Path) -> None:
    spec = suite(sandbox, tmp_path / "repo", RANDOM_NAMES)
    runs = run_base(sandbox, spec, LIMITS, tmp_path / "shelf")
    together = "test_receipts.py::test_any[#] (5 tests)"
    assert set(runs.stable) == {
        together,
        "test_receipts.py::test_total",
        "test_receipts.py::test_no_discount",
    }
    assert not runs.flaky
    assert "the names of 5 tests hold what differs each time" in runs.notes[-1]
    kept = run_base(sandbox, spec, LIMITS, tmp_path / "shelf").suite
    assert kept.masked == ("test_receipts.py::test_any[#]",)
    broken = run_tests(sandbox, kept, Patch(SWALLOWS), LIMITS, tests=(together,))
    assert broken.statuses[together] is TestStatus.FAILED
    assert broken.statuses["test_receipts.py::test_total"] is TestStatus.PASSED
