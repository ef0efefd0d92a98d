"""What `cargo test` prints is believed where announcement, results, sum and cargo's count agree."""

import pytest

from sandbox.contract import TestStatus
from sandbox.reports import read_report

PASSED, FAILED, ERROR = TestStatus.PASSED, TestStatus.FAILED, TestStatus.ERROR
LIB = "     Running unittests src/lib.rs (target/debug/deps/x-1)\n\n"
WHOLE = "     Running tests/whole.rs (target/debug/deps/whole-1)\n\n"
ENDS = "error: {} target{} failed:\n    `--lib`\n"


def summed(passed: int, failed: int = 0, ignored: int = 0) -> str:
    end = "FAILED" if failed else "ok"
    counts = f"{passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out"
    return f"\ntest result: {end}. {counts}; finished in 0.00s\n\n"


GREEN = "running 1 test\ntest a ... ok\n" + summed(1)


def test_a_whole_run_is_read() -> None:
    text = (
        LIB
        + "running 4 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest a::d - should panic ... ok\n"
        + "test a::e ... ignored, not today\n\nfailures:\n\n---- a::c stdout ----\n"
        + "running 1 test\ntest a ... ok\nthread panicked at no\n\nfailures:\n    a::c\n"
        + summed(2, 1, 1)
        + "error: test failed, to rerun pass `--lib`\n"
        + "   Doc-tests x\n\n"
        + 2 * ("running 1 test\ntest src/lib.rs - f (line 3) ... ok\n" + summed(1))
        + ENDS.format(1, "")
    )
    found = read_report("cargo", text.encode(), 101)
    assert found.ran, found.why
    assert found.statuses == {
        "src/lib.rs::a::b": PASSED,
        "src/lib.rs::a::c": FAILED,
        "src/lib.rs::a::d": PASSED,
        "src/lib.rs::a::e": TestStatus.SKIPPED,
        "doc x::src/lib.rs - f (line 3)": PASSED,
    }
    assert "panicked" in found.details["src/lib.rs::a::c"]


@pytest.mark.parametrize(
    "text",
    [
        LIB + "running 2 tests\ntest a ... ok\nchild saystest b ... ok\n" + summed(2),
        LIB + "running 2 tests\ntest a ... ok\ntest b ... child says\nok\n" + summed(2),
        LIB + "running 1 test\ntest tests/ui/x.rs ... ok\ntest a ... ok\n" + summed(1),
        LIB + GREEN + WHOLE + "a program with a main of its own\n",
    ],
)
def test_what_tests_print_between_results_voids_none(text: str) -> None:
    found = read_report("cargo", text.encode(), 0)
    assert found.ran, found.why
    assert found.statuses == {"src/lib.rs::a": PASSED}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("test a ... ok\n", "cargo built no test"),
        (LIB + "test a ... ok\n", "tells of a test out of its place"),
        (LIB + "running 1 test\ntest a ... ok\n" + 2 * summed(1), "is summed up twice"),
        (LIB + "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n", "did not announce"),
        (LIB + "running 2 tests\ntest a ... ok\n" + summed(1), "more or fewer than it announced"),
        (LIB + "running 2 tests\ntest a ... ok\n" + summed(2), "tells of others than it sums up"),
        (LIB + "running 1 test\ntest a ... ok\ntest b ... ok\n" + summed(1), "tells of others"),
        (LIB + "running 1 test\ntest a ... ok\n" + summed(0, 1), "tells of others"),
        (LIB + "running 1 test\ntest a ... ok\n" + summed(1).replace("ok.", "FAILED."), "another end"),
        (LIB + GREEN + WHOLE + GREEN + "test b ... ok\n", "out of its place"),
        (LIB + GREEN + ENDS.format(1, ""), "0 programs say that they failed, cargo counts 1"),
    ],
)  # fmt: skip
def test_a_report_that_contradicts_itself_counts_for_nothing(text: str, said: str) -> None:
    for code in (0, 101):
        found = read_report("cargo", text.encode(), code)
        assert not found.ran
        assert said in found.why


def test_a_program_that_ended_too_early_is_an_error_and_tells_of_nothing() -> None:
    text = LIB + GREEN + WHOLE + "running 2 tests\ntest a ... ok\n"
    found = read_report("cargo", (text + ENDS.format(1, "")).encode(), 101)
    assert found.ran
    assert found.statuses == {"src/lib.rs::a": PASSED, "whole.rs": ERROR}
    assert read_report("cargo", text.encode(), 0).why == "exit code 0 contradicts the report"


def test_a_second_telling_under_one_target_does_not_mend_the_first() -> None:
    text = WHOLE + "running 1 test\n" + WHOLE + GREEN
    found = read_report("cargo", (text + ENDS.format(1, "")).encode(), 101)
    assert found.statuses == {"whole.rs": ERROR}
