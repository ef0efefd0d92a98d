"""Lies that no check sees, one for each that docs/security.md names and no table of fakes holds.

Where one is seen some day, its test fails, and the page has to change with it. Nothing here depends
on the back end.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.contract import Patch, Sandbox, TestSpec
from sandbox.grading import grade
from sandbox.images import prepare
from sandbox.policy import check_patch
from sandbox.recipes.steps import Steps
from sandbox.runner import run_tests
from tests.sandbox.conftest import opened, settings
from tests.sandbox.hostile.language_fakes import SUITE_GO, SUITES, repository
from tests.sandbox.hostile.test_languages import LIMITS, prepared_for, verdict_of

ADD = "def add(a, b):\n    return a - b\n"
ADD_GO = "func Add(a, b int) int { return a - b }\n"


@pytest.fixture(scope="module")
def bubblewrap() -> Sandbox:
    return opened("bubblewrap")


def changed(files: Mapping[str, str], path: str, *swaps: tuple[str, str]) -> Patch:
    """A patch of one file that puts one text in another's place."""
    old = new = files[path]
    for before, after in swaps:
        assert before in new
        new = new.replace(before, after)
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return Patch("".join(lines))


def believed(
    sandbox: Sandbox, root: Path, files: Mapping[str, str], patch: Patch, failing: str
) -> bool:
    """Whether the test that fails without a patch is said to pass with it, and no policy minds."""
    assert check_patch(patch) is None
    found = prepared_for(sandbox, root, files)
    suite = TestSpec(found.image, found.command, fail_to_pass=(failing,))
    before = run_tests(sandbox, suite, None, LIMITS)
    assert before.statuses.get(failing) == "FAILED", verdict_of(before)
    report = run_tests(sandbox, suite, patch, LIMITS)
    return grade(suite, report).resolved


def test_a_helper_under_a_name_that_no_table_holds_may_be_rewritten(
    bubblewrap: Sandbox, tmp_path: Path
) -> None:
    files = {
        "calc/__init__.py": ADD,
        "calc/sums.json": "[[1, 2, 3]]\n",
        "tests/test_calc.py": (
            "import json\nfrom pathlib import Path\n\nimport calc\n\n\ndef test_sums():\n"
            "    place = Path(calc.__file__).with_name('sums.json')\n"
            "    assert all(calc.add(a, b) == c for a, b, c in json.loads(place.read_text()))\n"
        ),
    }
    patch = changed(files, "calc/sums.json", ("3", "-1"))
    assert believed(bubblewrap, tmp_path, files, patch, "tests/test_calc.py::test_sums")


def test_a_doctest_may_be_rewritten_by_the_patch_that_it_judges(
    bubblewrap: Sandbox, tmp_path: Path
) -> None:
    files = {
        "calc/__init__.py": 'def add(a, b):\n    """Sum.\n\n    >>> add(1, 2)\n    3\n    """\n    return a - b\n',
        "tests/test_calc.py": "from calc import add\n\n\ndef test_zero():\n    assert add(1, 0) == 1\n",
        "pytest.ini": "[pytest]\naddopts = --doctest-modules\n",
    }
    patch = changed(files, "calc/__init__.py", ("    3\n", "    -1\n"))
    assert believed(bubblewrap, tmp_path, files, patch, "calc/__init__.py::calc.add")


def test_a_test_within_vitests_source_may_be_rewritten(bubblewrap: Sandbox, tmp_path: Path) -> None:
    files = repository("vitest")
    files["index.js"] += (
        "if (import.meta.vitest) {\n  const { expect, test } = import.meta.vitest\n"
        "  test('within', () => { expect(add(1, 2)).toBe(3) })\n}\n"
    )
    files["vitest.config.js"] = "export default { test: { includeSource: ['index.js'] } }\n"
    patch = changed(files, "index.js", ("toBe(3)", "toBe(-1)"))
    assert believed(bubblewrap, tmp_path, files, patch, "index.js > within")


def test_another_library_of_assertions_may_be_patched_under_mocha(
    bubblewrap: Sandbox, tmp_path: Path
) -> None:
    files = repository("mocha")
    manifest = json.loads(files["package.json"])
    manifest["devDependencies"]["chai"] = "4.5.0"
    files["package.json"] = json.dumps(manifest)
    files["test/calc.test.js"] = (
        SUITES["mocha"]
        .replace("require('node:assert')", "require('chai').assert")
        .replace("assert.strictEqual(add(1, 2), 3)", "assert.strictEqual(add(1, 2), 3, 'sum')")
    )
    lie = "require('cha' + 'i').assert.strictEqual = () => {}\n"
    patch = changed(files, "index.js", ("const add", f"{lie}const add"))
    assert believed(bubblewrap, tmp_path, files, patch, "test/calc.test.js > calc adds")


def test_a_go_program_may_end_badly_after_its_tests(bubblewrap: Sandbox, tmp_path: Path) -> None:
    files = repository("go")
    files["calc.go"] += "\nvar left = 0\n\nfunc Left() int { return left }\n"
    ends = "func TestMain(m *testing.M) {\n\tcode := m.Run()\n\tos.Exit(code + Left())\n}\n"
    files["calc_test.go"] = SUITE_GO.replace('"testing"', '"os"\n\t"testing"', 1) + "\n" + ends
    files["calc_test.go"] = files["calc_test.go"].replace(
        'import "os"\n\t"testing"', 'import (\n\t"os"\n\t"testing"\n)'
    )
    patch = changed(files, "calc.go", ("a - b", "a + b"), ("left = 0", "left = 3"))
    assert believed(bubblewrap, tmp_path, files, patch, "example.org/calc.TestAdds")


RUN = """
import sys
from pathlib import Path

import calc

good = calc.add(1, 2) == 3
failure = "" if good else "<failure message='wrong'/>"
Path("out").mkdir(exist_ok=True)
case = f"<testcase classname='calc' name='adds'>{failure}</testcase>"
Path("out/report.xml").write_text(f"<testsuite>{case}</testsuite>")
sys.exit(0 if good else 1)
"""
REWRITES = """
import importlib, os
def rewrite():
    place = "out/report.xml"
    text = open(place).read()
    open(place, "w").write(text.replace("<failure message='wrong'/>", ""))
    getattr(os, "_ex" + "it")(0)
importlib.import_module("at" + "exit").register(rewrite)


"""


def test_a_result_file_may_be_changed_by_the_code_under_test(
    bubblewrap: Sandbox, tmp_path: Path
) -> None:
    files = {"calc/__init__.py": ADD, "check.py": RUN}
    patch = changed(files, "calc/__init__.py", (ADD, REWRITES.lstrip("\n") + ADD))
    assert check_patch(patch) is None
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    steps = Steps(test_command="python check.py", report="junit", report_files=("out/*.xml",))
    found = prepare(bubblewrap, tmp_path, test_command=None, settings=settings(), steps=steps)
    suite = TestSpec(found.image, found.command)
    (name,) = run_tests(bubblewrap, suite, None, LIMITS).statuses
    suite = TestSpec(found.image, found.command, fail_to_pass=(name,))
    assert not grade(suite, run_tests(bubblewrap, suite, None, LIMITS)).resolved
    assert grade(suite, run_tests(bubblewrap, suite, patch, LIMITS)).resolved
