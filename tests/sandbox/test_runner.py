from dataclasses import replace

import pytest

from sandbox import images
from sandbox.contract import Limits, Patch, Sandbox, TestCommand, TestFile, TestSpec, TestStatus
from sandbox.grading import Tally, grade
from sandbox.runner import COMMAND, command_line, run_script, run_tests
from sandbox.settings import MIB
from tests.sandbox.conftest import LIMITS, body

FIX = body("return a + b")
PASSED, FAILED = TestStatus.PASSED, TestStatus.FAILED


def test_the_tests_of_a_repository_are_told_one_by_one(sandbox: Sandbox, calc: TestSpec) -> None:
    report = run_tests(sandbox, calc, None, LIMITS)
    assert report.ran
    assert dict(report.statuses) == {
        "tests/test_calc.py::test_adds": FAILED,
        "tests/test_calc.py::test_zero": PASSED,
        "tests/test_calc.py::TestMore::test_in_a_class": PASSED,
        "tests/test_calc.py::TestMore::test_skipped": TestStatus.SKIPPED,
        "tests/test_calc.py::test_words[a b]": PASSED,
        "tests/test_calc.py::test_words[c::d]": PASSED,
        "tests/test_calc.py::test_expected_to_fail": TestStatus.XFAIL,
    }
    assert "assert -1 == 3" in report.details["tests/test_calc.py::test_adds"]
    graded = grade(calc, report)
    assert (graded.fail_to_pass, graded.pass_to_pass) == (Tally(0, 1), Tally(2, 2))
    assert not graded.resolved


def test_a_patch_that_fixes_the_bug_is_resolved(sandbox: Sandbox, calc: TestSpec) -> None:
    assert grade(calc, run_tests(sandbox, calc, FIX, LIMITS)).resolved


def test_one_candidate_leaves_nothing_to_the_next(sandbox: Sandbox, calc: TestSpec) -> None:
    assert run_tests(sandbox, calc, FIX, LIMITS).statuses["tests/test_calc.py::test_adds"] is PASSED
    assert (
        run_tests(sandbox, calc, None, LIMITS).statuses["tests/test_calc.py::test_adds"] is FAILED
    )


def test_only_named_tests_are_run(sandbox: Sandbox, calc: TestSpec) -> None:
    wanted = ["tests/test_calc.py::test_zero", "tests/test_calc.py::test_words[c::d]"]
    assert set(run_tests(sandbox, calc, None, LIMITS, tests=wanted).statuses) == set(wanted)


def test_a_named_test_that_is_not_there_does_not_hide_the_others(
    sandbox: Sandbox, calc: TestSpec
) -> None:
    wanted = ["tests/test_calc.py::test_zero", "tests/test_calc.py::test_gone"]
    report = run_tests(sandbox, calc, None, LIMITS, tests=wanted)
    assert report.ran
    assert report.statuses["tests/test_calc.py::test_zero"] is PASSED


def test_a_patch_that_breaks_the_import_passes_nothing(sandbox: Sandbox, calc: TestSpec) -> None:
    for tests in ((), ("tests/test_calc.py::test_zero",)):
        report = run_tests(sandbox, calc, body("return ("), LIMITS, tests=tests)
        assert "SyntaxError" in report.details["tests/test_calc.py"]
        graded = grade(calc, report)
        assert (graded.fail_to_pass.passed, graded.pass_to_pass.passed) == (0, 0)


@pytest.mark.parametrize(
    "lines",
    [
        ("import os", "os.kill(os.getpid(), 9)"),
        ("import sys", "sys.stdout.flush()", "getattr(__import__('os'), '_' + 'exit')(0)"),
        (
            "import os",
            "os.makedirs('/tmp/evo' + 'scale', exist_ok=True)",
            "os.symlink('/etc/passwd', '/tmp/evo' + 'scale/report.xml')",
        ),
    ],
)
def test_a_suite_that_ends_itself_did_not_run(
    sandbox: Sandbox, calc: TestSpec, lines: tuple[str, ...]
) -> None:
    report = run_tests(sandbox, calc, body(*lines), LIMITS)
    graded = grade(calc, report)
    assert (graded.fail_to_pass.passed, graded.pass_to_pass.passed) == (0, 0)
    assert not graded.no_regression


def test_a_suite_without_end_is_out_of_time(sandbox: Sandbox, calc: TestSpec) -> None:
    report = run_tests(sandbox, calc, body("while True: pass"), replace(LIMITS, wall_clock_s=1.5))
    assert report.timed_out
    assert not report.ran
    assert not grade(calc, report).no_regression


def test_a_suite_that_eats_the_memory_did_not_run(sandbox: Sandbox, calc: TestSpec) -> None:
    lines = ("kept = [bytearray(b'x' * 2**20) for _ in range(1000)]",)
    report = run_tests(sandbox, calc, body(*lines), replace(LIMITS, memory_bytes=128 * MIB))
    assert not report.ran
    assert "memory" in report.log_tail


def test_a_flood_of_output_does_not_hide_the_report(sandbox: Sandbox, calc: TestSpec) -> None:
    lines = ("import os", "os.write(2, b'x' * 3_000_000)", "return a + b")
    report = run_tests(sandbox, calc, body(*lines), LIMITS)
    assert grade(calc, report).resolved


def test_a_full_disk_is_never_a_pass(sandbox: Sandbox, calc: TestSpec) -> None:
    lines = ("with open('/tmp/fill', 'ab', 0) as f:", "    while f.write(bytes(2**20)): pass")
    report = run_tests(sandbox, calc, body(*lines), replace(LIMITS, memory_bytes=128 * MIB))
    assert not grade(calc, report).no_regression


def test_a_refused_patch_never_runs(sandbox: Sandbox, calc: TestSpec) -> None:
    patch = Patch(
        "--- a/tests/test_calc.py\n+++ b/tests/test_calc.py\n@@ -1 +1 @@\n-import unittest\n+x = 1\n"
    )
    report = run_tests(sandbox, calc, patch, LIMITS)
    assert report.refused == "'tests/test_calc.py' is a test"
    assert not report.applied
    assert run_tests(sandbox, calc, patch, LIMITS, allowed=["tests/*"]).applied


def test_a_patch_that_does_not_apply_says_where(sandbox: Sandbox, calc: TestSpec) -> None:
    patch = Patch(
        "--- a/calc/__init__.py\n+++ b/calc/__init__.py\n@@ -1 +1 @@\n-nothing like it\n+x = 1\n"
    )
    report = run_tests(sandbox, calc, patch, LIMITS)
    assert not report.applied
    assert report.log_tail == "calc/__init__.py: hunk 1 does not match"


def test_trusted_files_are_laid_over_the_patch(sandbox: Sandbox, calc: TestSpec) -> None:
    test_file = TestFile(
        "tests/test_issue.py",
        "from calc import add\n\n\ndef test_it():\n    assert add(2, 2) == 4\n",
    )
    spec = replace(calc, files=(test_file,), fail_to_pass=("tests/test_issue.py::test_it",))
    assert not grade(spec, run_tests(sandbox, spec, None, LIMITS)).resolved
    assert grade(spec, run_tests(sandbox, spec, FIX, LIMITS)).resolved


def test_a_script_is_run_with_the_patch(sandbox: Sandbox, calc: TestSpec) -> None:
    source = "from calc import add\nprint(add(1, 2))\nraise SystemExit(7)\n"
    before = run_script(sandbox, calc.image, source, patch=None, limits=LIMITS)
    after = run_script(sandbox, calc.image, source, patch=FIX, limits=LIMITS)
    assert (before.exit_code, before.output) == (7, b"-1\n")
    assert (after.exit_code, after.output) == (7, b"3\n")


def test_a_script_is_not_run_when_the_patch_is_refused_or_does_not_apply(
    sandbox: Sandbox, calc: TestSpec
) -> None:
    refused = run_script(sandbox, calc.image, "", patch=Patch("nonsense"), limits=LIMITS)
    assert refused.exit_code == 125
    astray = Patch("--- a/no.py\n+++ b/no.py\n@@ -1 +1 @@\n-a\n+b\n")
    assert run_script(sandbox, calc.image, "", patch=astray, limits=LIMITS).exit_code == 125


@pytest.mark.parametrize(
    ("argv", "status"), [(("true",), PASSED), (("sh", "-c", "exit 4"), FAILED)]
)
def test_a_command_without_a_report_is_one_test(
    sandbox: Sandbox, bare: str, argv: tuple[str, ...], status: TestStatus
) -> None:
    spec = TestSpec(bare, TestCommand(COMMAND, argv, "asked for"))
    assert run_tests(sandbox, spec, None, LIMITS).statuses == {COMMAND: status}


def test_a_command_that_is_not_there_has_not_run(sandbox: Sandbox, bare: str) -> None:
    spec = TestSpec(bare, TestCommand(COMMAND, ("no-such-program",), "asked for"))
    assert not run_tests(sandbox, spec, None, LIMITS).ran


def test_more_tests_than_a_command_line_takes_run_the_whole_suite() -> None:
    command = TestCommand("pytest", ("pytest", "{tests}", "-q"), "test")
    assert command_line(command, ["a", "b"]) == ("pytest", "a", "b", "-q")
    assert command_line(command, ["x" * 100] * 20_000) == ("pytest", "-q")


def test_git_works_in_a_box(sandbox: Sandbox, calc: TestSpec) -> None:
    with sandbox.open(calc.image, Limits()) as box:
        if box.exec(["git", "--version"]).exit_code == 127:
            pytest.skip("the toolchain has no git")
        box.write_file("calc/__init__.py", b"changed\n")
        assert box.exec(["git", "rev-list", "--count", "HEAD"]).output == b"1\n"
        assert box.exec(["git", "remote"]).output == b""
        assert b"+changed" in box.exec(["git", "diff"]).output


def test_the_bare_image_runs_pytest(sandbox: Sandbox) -> None:
    image = images.bare(sandbox)
    assert images.bare(sandbox) == image
    with sandbox.open(image, LIMITS) as box:
        assert b"pytest" in box.exec(["pytest", "--version"]).output
