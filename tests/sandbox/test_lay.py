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


def is_reached(code: str, line: str) -> bool:
    """Whether the line that reads so is one of a test."""
    number = code.splitlines().index(line)
    return any(number in lines for lines in rust_tests(code.encode()))


@pytest.mark.parametrize(
    "code",
    [
        '#[test]\nfn a() {\n    let b = (br"\\", "}");\n    HERE\n}\n',
        '#[test]\nfn a() {\n    let b = br#""}"#;\n    HERE\n}\n',
        '#[test]\nfn a() {\n    let c = (cr"\\", "}");\n    HERE\n}\n',
        "#[test]\nfn a() -> [u8; 1] {\n    HERE\n}\n",
        "#[test]\nfn a() {\n    /* } /* } */ } */\n    HERE\n}\n",
        "#[test]\nfn a() {\n    f('“','\"','}');\n    HERE\n}\n",
        "#[cfg(all(test, not(miri)))]\nmod a {\n    HERE\n}\n",
        "#[cfg_attr(not(miri), test)]\nfn a() {\n    HERE\n}\n",
        "#[quickcheck]\nfn a(b: u8) -> bool {\n    HERE\n}\n",
        "#[test_log::test(tokio::test)]\nasync fn a() {\n    HERE\n}\n",
        "proptest! {\n    fn a(b in 0..9) { c(b) }\n    HERE\n}\n",
        "# ! [ cfg ( test ) ]\nfn a() {}\n    HERE\n",
    ],
)
def test_no_way_of_writing_a_rust_test_leaves_its_body_open(code: str) -> None:
    assert is_reached(code, "    HERE")


@pytest.mark.parametrize(
    "code",
    [
        "//! see mod tests below\nfn a() {\n    HERE\n}\n",
        "/// ```\n/// #[test]\n/// fn b() {}\n/// ```\nfn a() {\n    HERE\n}\n",
        "#[cfg(not(any(test, fuzzing)))]\nfn a() {\n    HERE\n}\n",
        "#[cfg(any(not(test), windows))]\nfn a() {\n    HERE\n}\n",
        "#![cfg_attr(not(test), no_std)]\nfn a() {\n    HERE\n}\n",
        "#![cfg_attr(test, deny(warnings))]\nfn a() {\n    HERE\n}\n",
        "#[cfg_attr(test, derive(Debug))]\nstruct A {\n    HERE\n}\n",
        '#[deprecated(note = "as mod tests")]\nfn a() {\n    HERE\n}\n',
        "fn a<'a>(b: &'a str) {\n    f(\"#[test]\");\n    HERE\n}\n",
    ],
)
def test_product_code_that_speaks_of_tests_is_not_taken_for_one(code: str) -> None:
    assert not is_reached(code, "    HERE")


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
