"""What is laid into a box, and what is held back there because only the file itself tells."""

import pytest

from sandbox import images
from sandbox.backends import open_sandbox
from sandbox.contract import Box, Limits
from sandbox.lay import HELD_BACK, rust_tests
from sandbox.runner import lay
from sandbox.settings import SandboxSettings
from sandbox.unified_diff import parse

LIB = """\
#[cfg(test)]
mod helpers;

pub fn open() -> char { '{' } // a brace: }

#[cfg(
    test
)]
mod checks {
    fn text() -> &'static str { r#"}"# }

    #[test]
    fn adds() {
        assert_eq!(super::add(1, 2), 3);
    }
}

#[cfg(not(test))]
pub fn add(a: i32, b: i32) -> i32 {
    a - b
}

#[tokio::test]
async fn waits() {}
"""
LINES = LIB.splitlines(keepends=True)


def patch(line: int, new: str, old: bool = True) -> str:
    """A hunk that shows nothing but the line that it changes, or the place where it adds one."""
    removed = f"-{LINES[line - 1]}" if old else ""
    before = f"-{line},{int(old)}" if old else f"-{line},0"
    return f"--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ {before} +{line},1 @@\n{removed}+{new}\n"


def test_the_lines_that_are_tests_end_where_their_item_ends() -> None:
    found = sorted({line + 1 for lines in rust_tests(LIB.encode()) for line in lines})
    assert found == [1, 2, *range(6, 17), 23, 24]


def test_a_file_that_is_nothing_but_tests_is_all_tests() -> None:
    (lines,) = rust_tests(b"#![cfg(test)]\nfn a() {}\nfn b() {}\n")
    assert lines == range(4)


@pytest.fixture(scope="module")
def opened() -> tuple[object, str]:
    sandbox = open_sandbox("auto", SandboxSettings(base_image="toolchain"))
    return sandbox, images.bare(sandbox)


@pytest.fixture
def box(opened):
    sandbox, image = opened
    with sandbox.open(image, Limits()) as made:
        made.write_file("src/lib.rs", LIB.encode())
        yield made


@pytest.mark.parametrize(
    "changed",
    [
        patch(14, "        assert!(true);"),
        patch(10, "", old=False),
        patch(9, "mod checked {"),
        patch(24, "async fn waits() { return }"),
    ],
    ids=["an assertion", "a line within", "the module's name", "a test of a runtime"],
)
def test_a_hunk_below_the_attribute_of_a_test_is_held_back(box: Box, changed: str) -> None:
    said = lay(box, parse(changed), ())
    assert said == f"{HELD_BACK}'src/lib.rs' has tests of its own, which the change reaches"
    assert box.read_file("src/lib.rs", 10_000) == LIB.encode()


@pytest.mark.parametrize(
    "changed",
    [
        patch(20, "    a + b"),
        patch(4, "pub fn open() -> char { '(' }"),
        patch(17, "", old=False),
        patch(5, "", old=False),
    ],
    ids=["below the tests", "above them", "between them", "a line just above"],
)
def test_product_code_around_tests_may_be_changed(box: Box, changed: str) -> None:
    assert lay(box, parse(changed), ()) is None
