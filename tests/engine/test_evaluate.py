"""One candidate's verdict, in real boxes: what flickers is excused, what lies is not believed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from engine.evaluate import Bench, graded, note_for, suite_spec, trial_spec, try_patch
from engine.testspec import Baseline, learn
from sandbox.backends import open_sandbox
from sandbox.contract import Box, Limits, Patch, Sandbox
from sandbox.images import prepare
from sandbox.impact import learn_impact
from sandbox.settings import SandboxSettings
from sandbox.trial import Trial, blind_trial
from tests.engine import projects

SETTINGS = SandboxSettings(kind="bubblewrap")
LIMITS = SETTINGS.limits()
ISSUE = f"{projects.ISSUE_TITLE}\n\n{projects.ISSUE_BODY}"
FIX = Patch(
    "--- a/receipts.py\n+++ b/receipts.py\n@@ -14,1 +14,1 @@\n"
    "-    return price * (100 + percent) / 100\n+    return price * (100 - percent) / 100\n"
)
LIES = Patch(
    "--- a/receipts.py\n+++ b/receipts.py\n@@ -1,1 +1,10 @@\n"
    '-"""Adds up receipts."""\n+"""Adds up receipts."""\n+import importlib\n'
    '+reports = importlib.import_module("_py" + "test.reports")\n'
    "+original = reports.TestReport.from_item_and_call.__func__\n"
    "+def lie(cls, item, call):\n+    if item.nodeid.startswith('te' + 'st_'):\n"
    "+        call.excinfo = None\n+    return original(cls, item, call)\n"
    "+reports.TestReport.from_item_and_call = classmethod(lie)\n+\n"
)


class Changing:
    """The real sandbox, except that some of its boxes, by number, are of another image."""

    def __init__(self, sandbox: Sandbox, other: str, numbers: set[int]) -> None:
        self.sandbox, self.other, self.numbers, self.opened = sandbox, other, numbers, 0

    def open(self, image: str, limits: Limits) -> AbstractContextManager[Box]:
        self.opened += 1
        chosen = self.other if self.opened in self.numbers else image
        return self.sandbox.open(chosen, limits)

    def __getattr__(self, name: str) -> object:
        return getattr(self.sandbox, name)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox("bubblewrap", SETTINGS)


@pytest.fixture(scope="module")
def baseline(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    checkout = projects.receipts(tmp_path_factory.mktemp("well") / "repo")
    environment = prepare(sandbox, checkout, test_command=None, settings=SETTINGS)
    found = learn(sandbox, environment, ISSUE, LIMITS)
    assert isinstance(found, Baseline)
    return found


@pytest.fixture(scope="module")
def sick(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image in which one of the tests fails."""
    tests = projects.TESTS.replace("== 80", "== 81")
    checkout = projects.receipts(tmp_path_factory.mktemp("sick") / "repo", tests)
    return prepare(sandbox, checkout, test_command=None, settings=SETTINGS).image


# Boxes of one candidate, by number: 1 the reproduction, 2 the suite, 3 what broke alone, 4 the suite.


def test_a_test_that_breaks_once_and_never_again_is_no_regression(
    sandbox: Sandbox, baseline: Baseline, sick: str
) -> None:
    verdict = try_patch(Bench(Changing(sandbox, sick, {2}), baseline, LIMITS), FIX)
    assert verdict.flaky == ("test_receipts.py::test_no_discount",)
    assert graded(baseline, verdict).resolved


@pytest.mark.parametrize("again", [{2, 3}, {2, 4}])
def test_a_test_that_breaks_again_is_a_regression(
    sandbox: Sandbox, baseline: Baseline, sick: str, again: set[int]
) -> None:
    changing = Changing(sandbox, sick, again)
    verdict = try_patch(Bench(changing, baseline, LIMITS), FIX)
    assert verdict.flaky == ()
    assert graded(baseline, verdict).broken == ("test_receipts.py::test_no_discount",)
    assert changing.opened == max(again)


def test_a_failing_test_is_never_run_until_it_passes(sandbox: Sandbox, baseline: Baseline) -> None:
    harmless = Patch(
        FIX.replace("+    return price * (100 - percent)", "+    return price * (101 + percent)")
    )
    changing = Changing(sandbox, "", set())
    verdict = try_patch(Bench(changing, baseline, LIMITS), harmless)
    assert not verdict.suite_ran
    assert changing.opened == 1


def test_code_that_spares_our_tests_is_believed_until_the_blind_trial(
    sandbox: Sandbox, baseline: Baseline
) -> None:
    bench = Bench(sandbox, baseline, LIMITS)
    assert graded(baseline, try_patch(bench, LIES)).resolved
    trial = blind_trial(sandbox, trial_spec(baseline), LIES, LIMITS)
    assert "turned around so that it can only fail" in (trial.failure or "")
    honest = blind_trial(sandbox, trial_spec(baseline), FIX, LIMITS)
    assert honest.failure is None
    assert honest.said.startswith("1 of 1 passed alone, and failed when they were turned around")


def test_made_up_results_are_named_to_people_and_models(
    sandbox: Sandbox, baseline: Baseline
) -> None:
    everything = Patch(LIES.replace("item.nodeid.startswith('te' + 'st_')", "True"))
    verdict = try_patch(Bench(sandbox, baseline, LIMITS), everything)
    assert not graded(baseline, verdict).no_regression
    assert note_for(baseline, verdict).startswith("the results are made up")
    assert verdict.feedback.startswith("the results are made up")


def test_a_file_that_the_issue_names_is_carried_along_and_never_judged(
    sandbox: Sandbox, baseline: Baseline
) -> None:
    config = '--- a/pyproject.toml\n+++ b/pyproject.toml\n@@ -2,1 +2,1 @@\n-name = "receipts"\n+name = "bills"\n'
    bench = Bench(sandbox, baseline, LIMITS)
    assert "configures the tests" in (try_patch(bench, Patch(FIX + config)).refused or "")
    named = baseline.model_copy(update={"named": ("pyproject.toml",)})
    verdict = try_patch(Bench(sandbox, named, LIMITS), Patch(FIX + config))
    assert graded(named, verdict).resolved


@pytest.fixture
def choosy(sandbox: Sandbox, tmp_path: Path) -> Baseline:
    """A baseline of a suite that was long enough to be chosen from."""
    checkout = projects.receipts(tmp_path / "repo", None)
    (checkout / "test_all.py").write_text(projects.TESTS)
    environment = prepare(sandbox, checkout, test_command=None, settings=SETTINGS)
    found = learn(sandbox, environment, ISSUE, LIMITS)
    assert isinstance(found, Baseline)
    assert found.impact is None, "a quick suite is run whole"
    impact = learn_impact(sandbox, suite_spec(found), found.pass_to_pass, LIMITS)
    return found.model_copy(update={"impact": impact})


def test_affected_tests_run_first_and_the_whole_suite_for_those_that_pass_them(
    sandbox: Sandbox, choosy: Baseline
) -> None:
    well = Changing(sandbox, "", set())
    assert graded(choosy, try_patch(Bench(well, choosy, LIMITS), FIX)).resolved
    assert well.opened == 3, "the reproduction, what it affects, the suite"

    breaks = Patch(FIX.replace("(100 - percent) / 100\n", "(90 - 0 * percent) / 100\n"))
    spared = Changing(sandbox, "", set())
    verdict = try_patch(Bench(spared, choosy, LIMITS), breaks)
    assert verdict.broke_first == ("test_all.py::test_no_discount",)
    assert spared.opened == 4, "the reproduction, what it affects twice, and once without it"
    result = graded(choosy, verdict)
    assert result.broken == verdict.broke_first
    assert not result.no_regression
    assert note_for(choosy, verdict) == "fixes 1 of 1, breaks 1"


RANDOM_NAMES = (
    projects.TESTS
    + """

import random

import pytest

ANY = pytest.mark.parametrize("price", [random.randint(10**6, 10**9) for _ in range(4)])


@ANY
def test_cheaper(price):
    assert discounted(price, 10) < price


@ANY
def test_alone(price):
    assert total([price]) == price
"""
)
CHEAPER, ALONE = (f"test_receipts.py::test_{name}[#] (4 tests)" for name in ("cheaper", "alone"))


def test_tests_with_random_names_are_fixed_and_kept_as_one(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    checkout = projects.receipts(tmp_path / "repo", RANDOM_NAMES)
    environment = prepare(sandbox, checkout, test_command=None, settings=SETTINGS)
    baseline = learn(sandbox, environment, "A discount makes things dearer", LIMITS)
    assert isinstance(baseline, Baseline)
    assert baseline.fail_to_pass == (CHEAPER,)
    assert ALONE in baseline.pass_to_pass
    assert baseline.quarantined == ()
    assert 14 in baseline.lines_executed["receipts.py"]
    bench = Bench(sandbox, baseline, LIMITS)
    assert graded(baseline, try_patch(bench, FIX)).resolved
    swallows = Patch(FIX.replace("@@ -14,1 +14,1 @@", "@@ -7,1 +7,1 @@\n-        result += price\n"
                                 "+        result = 0\n@@ -14,1 +14,1 @@"))  # fmt: skip
    grade = graded(baseline, try_patch(bench, swallows))
    assert (grade.resolved, ALONE in grade.broken) == (False, True)
    trial = blind_trial(sandbox, trial_spec(baseline), FIX, LIMITS)
    assert trial == Trial(untried=(CHEAPER,))
    assert trial.said == "no test could be turned around"
