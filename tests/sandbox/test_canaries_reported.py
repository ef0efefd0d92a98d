"""Which reports of JavaScript's, Go's and Rust's runners are believed, by how the canaries in them fared."""

import json

import pytest

from sandbox.canaries import Canaries, command_line, hidden, make, without_reported
from sandbox.contract import TestStatus
from sandbox.recipes.layers import reported
from sandbox.reports import Outcomes

PASSED, FAILED = TestStatus.PASSED, TestStatus.FAILED
NAMES = ("test_fails", "test_differs", "test_raises", "test_holds")
SHAPES = {
    "node": "{place} > TOKEN {name}",
    "jest": "{place} > TOKEN {name}",
    "vitest": "{place} >  > TOKEN > {name}",
    "mocha": "TOKEN {name}",
    "go": "{place}.Test_TOKEN_{name}",
    "cargo": "{place}::zz_TOKEN::{name}",
}
OTHERS = {
    "node": "one",
    "jest": "{place} > one",
    "vitest": "{place} >  > one",
    "mocha": "{place} > one",
    "go": "{place}.TestOne",
    "cargo": "{place}::one",
}


def laid(runner: str) -> Canaries:
    canaries = make(runner)
    assert canaries is not None
    return canaries


def outcomes(canaries: Canaries, *places: str, **changed: TestStatus | None) -> Outcomes:
    """A report in which all is as it should be, but for what is changed in these places."""
    shape, statuses = SHAPES[canaries.runner], {}
    for place in places:
        for name in NAMES:
            test = shape.format(place=place, name=name).replace("TOKEN", canaries.token)
            statuses[test] = changed.get(name, PASSED if name == "test_holds" else FAILED)
    kept = {test: status for test, status in statuses.items() if status is not None}
    details = {test: f"canary {canaries.token}" for test, s in kept.items() if s is not PASSED}
    other = OTHERS[canaries.runner].format(place="a")
    return Outcomes(ran=True, statuses={**kept, other: PASSED}, details=details)


def exit_code(runner: str) -> int:
    return {"mocha": 3, "cargo": 101}.get(runner, 1)


@pytest.mark.parametrize("runner", SHAPES)
def test_what_is_left_is_the_repositorys_own(runner: str) -> None:
    canaries = laid(runner)
    found = without_reported(canaries, outcomes(canaries, "a"), exit_code(runner))
    assert found.ran, found.why
    assert dict(found.statuses) == {OTHERS[runner].format(place="a"): PASSED}


@pytest.mark.parametrize("runner", SHAPES)
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"test_fails": PASSED}, "can only fail was reported as PASSED"),
        ({"test_differs": TestStatus.SKIPPED}, "can only fail was reported as SKIPPED"),
        ({"test_raises": None}, "is missing from its report"),
        ({"test_holds": FAILED}, "can only pass was reported as FAILED"),
        (dict.fromkeys(NAMES), "is missing from its report"),
    ],
)
def test_a_canary_that_fares_otherwise_makes_the_results_count_for_nothing(
    runner: str, changed: dict[str, TestStatus | None], said: str
) -> None:
    canaries = laid(runner)
    found = without_reported(canaries, outcomes(canaries, "a", **changed), exit_code(runner))
    assert not found.ran
    assert said in found.why


@pytest.mark.parametrize("runner", ["jest", "vitest", "go"])
def test_each_file_or_package_with_tests_needs_its_own(runner: str) -> None:
    canaries = laid(runner)
    found = without_reported(canaries, outcomes(canaries, "b"), exit_code(runner))
    assert "is missing from its report" in found.why


@pytest.mark.parametrize("runner", SHAPES)
def test_an_exit_code_of_more_than_the_canaries_contradicts(runner: str) -> None:
    canaries = laid(runner)
    found = without_reported(canaries, outcomes(canaries, "a"), exit_code(runner) + 1)
    assert not found.ran
    assert "contradicts the report, in which nothing failed" in found.why


def test_what_could_not_be_loaded_has_none() -> None:
    canaries = laid("go")
    report = Outcomes(ran=True, statuses={"example.org/a": TestStatus.ERROR})
    assert without_reported(canaries, report, 1).ran


def test_a_command_that_is_no_recipes_stays_as_it_is() -> None:
    argv = ("jest", "{", '{"no": "order"}', "a.js")
    assert command_line(laid("jest"), argv, named=False) == argv


def test_what_cargo_counts_with_the_canaries_is_not_shown() -> None:
    canaries = laid("cargo")
    ours = f"test zz_{canaries.token}::test_fails ... FAILED\n"
    theirs = "test a ... ok\n  the test result: it is fine\n"
    counted = "test result: FAILED. 1 passed; 1 failed\nerror: 2 targets failed:\n"
    output = f"running 2 tests\n{ours}{theirs}{counted}".encode()
    assert hidden(canaries, output) == theirs.encode()


def test_options_of_node_that_a_repository_sets_are_kept() -> None:
    order: dict[str, object] = {
        "argv": ["node", "--test"],
        "env": {"NODE_OPTIONS": "--no-warnings"},
    }
    canaries = laid("node")
    argv = command_line(canaries, reported("node", order, "").argv, named=False)
    told = json.loads(argv[-2])
    before, own = told["env"]["NODE_OPTIONS"].split()
    assert before == "--no-warnings"
    assert own == f"--require=/tmp/evoscale/{canaries.token}/canary_node.cjs"
