from dataclasses import replace

import pytest

from sandbox import images
from sandbox.contract import Patch, Sandbox, TestCommand, TestSpec
from sandbox.impact import Impact, affected, impact_of, learn_impact
from sandbox.imports import Imports
from sandbox.recipes.layers import reported
from sandbox.unified_diff import parse
from tests.sandbox.conftest import CALC, LIMITS, WriteRepository, body, settings

IMPACT = Impact(
    tests=("tests/test_a.py::test_x", "tests/test_a.py::test_y", "tests/test_calc.py::test_z"),
    functions={"calc.py": ((5, 9, (0,)), (6, 8, (1,)), (12, 14, (0, 1)))},
)


def change(start: int, old: list[str], new: list[str], path: str = "calc.py") -> Patch:
    lines = [f"-{line}\n" for line in old] + [f"+{line}\n" for line in new]
    header = f"@@ -{start},{len(old)} +{start},{len(new)} @@\n"
    return Patch(f"--- a/{path}\n+++ b/{path}\n{header}{''.join(lines)}")


def test_a_run_notes_which_test_enters_which_function(sandbox: Sandbox, calc: TestSpec) -> None:
    impact = learn_impact(sandbox, calc, (), LIMITS)
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
    assert learn_impact(sandbox, calc, (), replace(LIMITS, wall_clock_s=0.01)) is None
    for runner in ("tap", "vitest"):  # of which the first cannot run a file, and no file is there
        other = replace(calc, command=by_file(runner))
        assert learn_impact(sandbox, other, ("test/a.test.js > x",), LIMITS) is None


def by_file(runner: str, **order: object) -> TestCommand:
    return reported(runner, {"argv": [runner], "select": "files", "alone": True, **order}, "test")


SCRIPTS = {
    "src/words.ts": "export { count } from './count.js'\n",
    "src/count.ts": "export const count = (text: string) => text.length\n",
    "src/other/index.js": "module.exports = 1\n",
    "test/words.test.ts": "import { count } from '../src/words'\nimport 'left-pad'\n",
    "test/a.test.js": "const other = require('../src/other')\n",
    "test/b.test.js": "test('x', async () => { await import('../src/other/index.js') })\n",
}


def test_a_suite_that_is_run_by_file_is_chosen_from_by_what_its_files_import(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository({**CALC, **SCRIPTS})
    (root / "src/linked.ts").symlink_to("/etc/hosts")
    found = images.prepare(sandbox, root, test_command=None, settings=settings())
    suite = TestSpec(found.image, by_file("vitest"))
    tests = ("test/words.test.ts > counts", "test/a.test.js > x > y/z", "test/b.test.js > x")
    impact = learn_impact(sandbox, suite, tests, LIMITS)
    assert impact is not None
    chosen = {
        path: affected(impact, parse(change(1, ["a"], ["b"], path=path)))
        for path in ("src/count.ts", "src/words.ts", "src/other/index.js", "src/linked.ts")
    }
    assert chosen == {
        "src/count.ts": {tests[0]},
        "src/words.ts": {tests[0]},
        "src/other/index.js": {tests[1], tests[2]},
        "src/linked.ts": None,
    }
    for command in (by_file("vitest", alone=False), TestCommand("vitest", ("vitest",), "test")):
        assert learn_impact(sandbox, replace(suite, command=command), tests, LIMITS) is None


def test_files_that_import_each_other_and_leave_the_repository_are_read_to_an_end() -> None:
    files = {"a.js": ("./b", "../../etc/x.js"), "b.js": ("./a.js", "b"), "c.js": ("./c",) * 9000}
    impact = impact_of(Imports(files=files), ("a.js > x", "c.js > y", "gone.js > z"))
    assert impact is not None
    assert {path: by for path, ((_, _, by),) in impact.functions.items()} == {
        "a.js": (0,),
        "b.js": (0,),
        "c.js": (1,),
    }


def test_more_than_can_be_written_down_is_not_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = Imports(files={"a.js": ("./b",), "b.js": ()})
    monkeypatch.setattr("sandbox.impact.MOST_PAIRS", 3)
    assert impact_of(imports, ("a.js > x",)) is not None
    assert impact_of(imports, ("a.js > x", "a.js > y")) is None


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
