"""Tests whose names differ from run to run are counted by shape, and hide no failure."""

from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.contract import TestReport, TestSpec, TestStatus
from sandbox.grading import grade
from sandbox.masking import is_masked, masked, shape, shapes_to_mask
from tests.sandbox.test_grading import COMMAND, report

PASSED, FAILED, SKIPPED, XFAIL = (
    TestStatus.PASSED, TestStatus.FAILED, TestStatus.SKIPPED, TestStatus.XFAIL,
)  # fmt: skip
DAY = date(2026, 3, 9)
NAMES = st.text(alphabet="a-f 0x19.#()ts:_[]mon", max_size=24)
RUNS = st.lists(
    st.dictionaries(
        st.sampled_from([f"{k} {i}" for k in "ab" for i in range(5)]),
        st.sampled_from(TestStatus),
    ),
    min_size=2,
    max_size=3,
)


def run(*names: str, **others: TestStatus) -> TestReport:
    return report({**dict.fromkeys(names, PASSED), **others})


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("fuzz test: 1161412448", "fuzz test: #"),
        ("fuzz test: 5 #2", "fuzz test: #"),
        ("t.py::test[<C object at 0x7f3bd1]", "t.py::test[<C object at #]"),
        ("adds -0.25 to 1e-9", "adds # to #"),
        ("of 3f2504e0-4f89-41d3-9a0c-0305e82c3301", "of #"),
        ("/tmp/run-0a1b2c3d/x", "/tmp/run-#/x"),
        ("Sat Nov 21 2026 17:03:27 GMT+0000 is", "# # # # #:#:# GMT+# is"),
        ("a monday in decade", "a monday in decade"),
    ],
)
def test_a_shape_is_the_name_without_what_may_differ(test: str, expected: str) -> None:
    assert shape(test) == expected


@given(NAMES)
def test_a_shapes_shape_is_itself(name: str) -> None:
    assert shape(shape(name)) == shape(name)


def test_random_names_are_one_test_with_their_number() -> None:
    runs = [run("is 7", "is 12", "reads 1"), run("is 8", "is 99", "reads 1")]
    shapes = shapes_to_mask(runs, DAY)
    assert shapes == ("is #",)
    assert [masked(each, shapes).statuses for each in runs] == [
        {"is # (2 tests)": PASSED, "reads 1": PASSED}
    ] * 2


def test_names_that_stay_keep_their_numbers() -> None:
    assert shapes_to_mask([run("is 1", "is 2"), run("is 1", "is 2")], DAY) == ()


@pytest.mark.parametrize("other", [run("is 8"), run("is 8", **{"is 9": FAILED}), run()])
def test_runs_that_do_not_agree_on_number_and_result_mask_nothing(other: TestReport) -> None:
    assert shapes_to_mask([run("is 6", "is 7"), other], DAY) == ()


@pytest.mark.parametrize(
    "name", ["at Mon Mar 09 2026 10:11:12", "at 2026-03-09T10:11", "at 9 Mar 2026", "Mar 9, 2026"]
)
def test_todays_date_is_known_to_differ_although_the_runs_agree(name: str) -> None:
    assert shapes_to_mask([run(name)] * 2, DAY) == (shape(name),)
    assert shapes_to_mask([run(name)] * 2, date(2026, 3, 19)) == ()


@pytest.mark.parametrize("worse", [FAILED, SKIPPED, TestStatus.ERROR])
def test_no_failure_and_no_skip_hides_among_tests_of_one_shape(worse: TestStatus) -> None:
    found = masked(run("is 1", "is 3", **{"is 2": worse, "is 4": XFAIL}), ["is #"])
    assert found.statuses == {"is # (4 tests)": worse}


def test_the_detail_names_the_test_that_failed() -> None:
    broken = report({"is 1": PASSED, "is 2": FAILED}, details={"is 2": "2 != 3"})
    assert masked(broken, ["is #"]).details == {"is # (2 tests)": "is 2\n2 != 3"}


@pytest.mark.parametrize(
    "statuses",
    [
        {"is 4": PASSED},
        {"is 4": PASSED, "is 5": PASSED, "is 6": PASSED},
        {"is 4": PASSED, "is 5": FAILED},
        {"is 4": PASSED, "is 5": SKIPPED},
        {"is # (2 tests)": PASSED},
        {"is 4": FAILED, "is 5": PASSED, "is # (2 tests)": PASSED},
    ],
)
def test_one_fewer_one_more_or_one_that_fails_is_a_regression(
    statuses: Mapping[str, TestStatus],
) -> None:
    spec = TestSpec("image", COMMAND, pass_to_pass=("is # (2 tests)",), masked=("is #",))
    assert grade(spec, masked(run("is 1", "is 2"), spec.masked)).no_regression
    assert not grade(spec, masked(report(statuses), spec.masked)).no_regression


def test_an_id_that_stands_for_several_is_known_as_such() -> None:
    assert is_masked("is # (2 tests)", ["is #"])
    assert not is_masked("is 2", ["is #"])


@given(RUNS)
def test_what_passes_when_masked_passes_in_every_test(runs: list[dict[str, TestStatus]]) -> None:
    reports = [report(statuses) for statuses in runs]
    shapes = shapes_to_mask(reports, DAY)
    for each in reports:
        found = masked(each, shapes)
        for test, status in each.statuses.items():
            ids = [m for m in found.statuses if m == test or shape(m) == shape(test)]
            if all(found.statuses[m] is PASSED for m in ids):
                assert status is PASSED
