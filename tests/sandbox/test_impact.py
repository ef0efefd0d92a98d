from dataclasses import replace

import pytest

from sandbox.contract import Patch, Sandbox, TestCommand, TestSpec
from sandbox.impact import Impact, affected, learn_impact
from sandbox.unified_diff import parse
from tests.sandbox.conftest import LIMITS, body

IMPACT = Impact(
    tests=("tests/test_a.py::test_x", "tests/test_a.py::test_y", "tests/test_calc.py::test_z"),
    functions={"calc.py": ((5, 9, (0,)), (6, 8, (1,)), (12, 14, (0, 1)))},
)


def change(start: int, old: list[str], new: list[str], path: str = "calc.py") -> Patch:
    lines = [f"-{line}\n" for line in old] + [f"+{line}\n" for line in new]
    header = f"@@ -{start},{len(old)} +{start},{len(new)} @@\n"
    return Patch(f"--- a/{path}\n+++ b/{path}\n{header}{''.join(lines)}")


def test_a_run_notes_which_test_enters_which_function(sandbox: Sandbox, calc: TestSpec) -> None:
    impact = learn_impact(sandbox, calc, LIMITS)
    assert impact is not None
    ((first, last, by),) = impact.functions["calc/__init__.py"]
    assert (first, last) == (1, 2)
    assert {impact.tests[n] for n in by} == {
        "tests/test_calc.py::test_adds",
        "tests/test_calc.py::test_zero",
        "tests/test_calc.py::TestMore::test_in_a_class",
        "tests/test_calc.py::test_expected_to_fail",
    }
    found = affected(impact, parse(body("return a + b")))
    assert found is not None
    assert "tests/test_calc.py::test_words[a b]" not in found


def test_a_suite_that_gives_nothing_is_not_noted(sandbox: Sandbox, calc: TestSpec) -> None:
    assert learn_impact(sandbox, calc, replace(LIMITS, wall_clock_s=0.01)) is None
    command = TestCommand("vitest", ("vitest",), "test")
    assert learn_impact(sandbox, replace(calc, command=command), LIMITS) is None


@pytest.mark.parametrize(
    ("patch", "tests"),
    [
        (change(7, ["a"], ["b"]), {"test_y"}),
        (change(9, ["a"], ["b"]), {"test_x"}),
        (change(13, ["a", "b"], ["a", "c"]), {"test_x", "test_y"}),
        (change(6, ["def f():", "  a"], ["def f():", "  b"]), {"test_y"}),
    ],
)
def test_the_tests_of_the_smallest_function_around_a_change_are_affected(
    patch: Patch, tests: set[str]
) -> None:
    found = affected(IMPACT, parse(patch))
    assert found is not None
    assert {t.rpartition("::")[2] for t in found} == tests | {"test_z"}, "its own test file counts"


@pytest.mark.parametrize(
    "patch",
    [
        change(1, ["import a"], ["import b"]),
        change(5, ["def f(a):"], ["def f(b):"]),
        change(9, ["a", "b"], ["c", "d"]),
        change(7, ["a"], ["b"], path="other.py"),
        Patch("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x = 1\n"),
        Patch("diff --git a/calc.py b/c.py\nsimilarity index 100%\nrename from calc.py\nrename to c.py\n"),
    ],
)  # fmt: skip
def test_what_is_changed_outside_of_functions_may_affect_every_test(patch: Patch) -> None:
    assert affected(IMPACT, parse(patch)) is None
