"""Twins of Rust's and Java's tests, compiled and run by rustc and java themselves."""

import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.contract import TestFile
from sandbox.trial.showing import Showing
from sandbox.twins import java, rust
from sandbox.twins.compiled_tokens import read_java, read_rust
from sandbox.twins.rust_docs import fences_of, turned_example
from sandbox.twins.tokens import DEEPEST, MOST_CHARS, MOST_TOKENS, UnreadableError
from sandbox.unified_diff import parse
from tests.sandbox.test_twins_script import steps

COUNT = 100
STRANGER = "0stranger0"

RUST = r"""#!/usr/bin/env run-cargo-script
#![deny(warnings, unused_qualifications)]
//! "{ /* '{'
/* a /* nested { */ " comment ' */
use std::num::ParseIntError;

fn add<'a>(a: i32, b: &'a i32) -> i32 { let _c = ['"', '\'', '{', '\u{7b}']; a + b }
fn word() -> &'static str { let _s = (r"\", r#"{"{"#, b"\"{", br##"}"#}"##, "\\", b'{'); r#match() }
fn r#match() -> &'static str { "a \"b\" {" }
#[allow(dead_code)]
fn returns() { fn returns_early() {} }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds() {
        assert_eq!(add(1, &2), 3);
    }
    #[test] fn returns_early() { if add(1, &2) == 3 { return; } assert_eq!(add(1, &1), 3) }
    #[test]
    pub(crate) fn fails_by_result() -> Result<(), ParseIntError> {
        #![allow(unused_mut)]
        let n: i32 = "3".parse()?;
        { assert_eq!(n, 3); }
        let _words = [0; 3];
        assert_eq!("a \"b\" {", word());
        Ok(())
    }
    mod deeper {
        #[test]
        // with a comment between
        #[cfg(not(windows))]
        #[doc = "]"]
        fn in_threads() {
            let ours = std::thread::spawn(|| true);
            assert_eq!(ours.join().unwrap(), true)
        }
        #[test]
        #[should_panic]
        fn panics() { assert_eq!(1, 2); }
        #[test]
        #[ignore]
        fn ignored() {}
    }
    macro_rules! made { ($name:ident) => { #[test] fn $name() {} } }
    made!(by_a_macro);
    macro_rules! same { ($($t:tt)*) => { $($t)* } }
    same! { #[test] fn within_a_macro() {} }
}
"""
TWINS = {
    "tests::holds": 2,
    "tests::returns_early": 1,
    "tests::fails_by_result": 2,
    "tests::deeper::in_threads": 2,
}


def of_rust(source: str, test: str, library: str = rust.LIBRARY) -> list[str]:
    """The control and the twins; nothing where there are none."""
    *modules, name = test.split("::")
    found = rust.turned(source, rust.Wanted(tuple(modules), name, STRANGER, library))
    return [] if found is None else [found.control, *found.twins]


@pytest.mark.parametrize(
    ("edition", "library"), [("2015", rust.OLD_LIBRARY), ("2021", rust.LIBRARY)]
)
@pytest.mark.parametrize("test", TWINS)
def test_in_rust_the_control_passes_and_every_twin_fails(
    test: str, edition: str, library: str, tmp_path: Path
) -> None:
    if shutil.which("rustc") is None:
        pytest.skip("there is no rustc")
    said = []
    for text in of_rust(RUST, test, library):
        (tmp_path / "all.rs").write_text(text)
        argv = ["rustc", "--edition", edition, "--test", "-Cdebuginfo=0", "all.rs"]
        subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
        done = subprocess.run(
            [tmp_path / "all", "--exact", test], capture_output=True, text=True, check=False
        )
        assert "running 1 test\n" in done.stdout
        said.append(done.returncode == 0)
    assert said == [True, *[False] * TWINS[test]]


@pytest.mark.parametrize(
    "test",
    ["tests::deeper::panics", "tests::deeper::ignored", "tests::by_a_macro", "tests::within_a_macro",
     "holds", "tests::add", "add", "returns", "returns_early"],
)  # fmt: skip
def test_what_is_no_plain_test_of_rust_has_no_twin(test: str) -> None:
    assert of_rust(RUST, test) == []


@pytest.mark.parametrize(
    "text",
    [
        "#[test] fn adds() {} #[test] fn adds() {}",
        "#[rstest] fn adds() {}",
        "#[test] #[unknown] fn adds() {}",
        "#[test] fn adds(given: i32) {}",
        "#[test] unsafe fn adds() {}",
        "#[test] fn adds();",
        "mod m { #[test] fn adds() }",
        "#[test] fn adds() -> [(); 3]",
        "#[test] fn adds() { \"",
        "#[test] fn adds() { r#\"\" }",
        "#[test] fn adds() { /* /* */ }",
        "#[test] fn adds() {}}",
        "impl Calc { #[test] fn adds() {} }",
        "// #[test] fn adds() {}",
        "r#\"#[test] fn adds() {}\"#",
    ],
)  # fmt: skip
def test_what_cannot_be_relied_on_in_rust_has_no_twin(text: str) -> None:
    assert of_rust("#[test] fn adds() {}", "adds") != []
    assert of_rust(text, "adds") == []


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("assert_eq!(f(), 3);", "assert_eq!(f(), !3);"),
        ("assert_eq!(0x1f_u8, f(),);", "assert_eq!(!0x1f_u8, f(),);"),
        ("if a() { b() } assert_eq!(f(), true)", "if a() { b() } assert_eq!(f(), !true)"),
        ('assert_eq!(f(), "a{}");', f'assert_eq!(f(), "{STRANGER}");'),
        ("assert_eq!(f(), 3, \"said\"); assert_eq!(f(), 4)", None),
        ("assert_eq!(f(), 3.0)", None),
        ("assert_eq!(f(), 3f32)", None),
        ("assert_eq!(f(), b\"a\")", None),
        ("assert_eq!(f(), \"a\nb\")", None),
        ("assert_eq!(f::<A, B>(), 3)", None),
        ("if a() { return } assert_eq!(f(), 3)", None),
        ("if a() { assert_eq!(f(), 3) }", None),
        ("let x = || assert_eq!(f(), 3);", None),
        ("assert_eq![f(), 3]", None),
    ],
)  # fmt: skip
def test_a_literal_that_is_always_compared_becomes_another(text: str, other: str | None) -> None:
    made = of_rust(f"#[test] fn adds() {{ {text} }}", "adds")
    if "4" in text:
        other = text.replace("4", "!4")
    if other is None:
        assert len(made) == 2
    else:
        assert made[2] == made[0].replace(text, other)


EXAMPLE = """//! Words.
//!
//! ```
//! assert_eq!(calc::add(1, 2), 3);
//! ```

/// Adds.
///
/// ```rust
/// # use calc::add;
/// # fn run() -> Option<()> {
/// assert_eq!(add(1, 2), 3);
/// # Some(()) }
/// ```
///
/// ```should_panic
/// panic!();
/// ```
///
/// ```
/// fn main() {}
/// ```
///
/// ```
/// #[derive(Debug)]
/// struct One;
/// ```
///
/// ```
/// let never = "closed";
pub fn add() {}
"""


def test_an_example_is_turned_around_by_its_first_line() -> None:
    lines = EXAMPLE.split("\n")
    for opened in (3, 9):
        found = turned_example(EXAMPLE, opened)
        assert found is not None
        for text, right in ((found.control, 1), (found.twins[0], 0)):
            changed = text.split("\n")
            assert changed[:opened] + changed[opened + 1 :] == lines[:opened] + lines[opened + 1 :]
            end = rust.end_of("core", right).lstrip()
            assert changed[opened].replace(f"{end} ", "") == lines[opened]


@pytest.mark.parametrize("line", [0, 1, 5, 16, 20, 24, 29, 99])
def test_what_is_no_plain_example_has_no_twin(line: int) -> None:
    assert turned_example(EXAMPLE, line) is None


def test_a_fence_is_read_in_one_go_however_many_blanks_it_has() -> None:
    blanks = " " * (MOST_CHARS // 2)  # if each had the rest read again, it would take minutes
    for opens, made in (
        ("", True),
        ("rust", True),
        ("text", False),
        (f"rust{blanks[:99]}x", False),
    ):
        text = f"/// ```{blanks}{opens}\n/// run();\n/// ```"
        assert (turned_example(text, 1) is not None) == made


def test_lines_at_which_an_example_may_begin_are_counted_in_full() -> None:
    assert fences_of("/// ```\n/// a\n/// ```\n    //! ```rust") == [1, 3, 4]


JAVA = r'''package org.example;

import org.junit.Test;

/* { " ' */ // } "
public class CalcTest {
    static final char[] SIGNS = {'"', '\'', '{', '\u00e9', '\\'};
    static final String TEXT = """
        { "quoted" \""" }
        """, MORE = "\\\"{";
    interface Run { int run() throws Exception; }

    @Test
    public void holds() {
        check(add(1, 2) == 3);
    } // behind

    @Test(timeout = 1000) @SuppressWarnings({"a", "b{"})
    public final void returnsEarly() throws Exception, Error {
        Run run = () -> { return add(1, 2); };
        if (run.run() == 3) { return; }
        throw new Exception();
    }

    @Test public void loops() { while (true) { if (add(1, 2) == 3) return; } }

    @Test(expected = AssertionError.class)
    public void raises() { check(false); }

    @Test void others(int given) { }
    @Test public int answers() { return 1; }
    @Test private void hidden() { }
    public void bare() { }

    public static class Inner<A extends Class<?>> {
        @org.junit.Test
        public void holds() { check(TEXT.contains("}")); }
    }

    enum Kind { ONE { @Test public void within() { } } }

    static int add(int a, int b) { return a + b; }
    static void check(boolean good) { if (!good) throw new IllegalStateException(); }
    static class AssertionError extends Error { AssertionError(int given) { } }
}
'''
RUNS = """
public class Runs {
    public static void main(String[] given) throws Exception {
        Object made = Class.forName(given[0]).getConstructor().newInstance();
        made.getClass().getMethod(given[1]).invoke(made);
    }
}
"""
PASS: Mapping[str, tuple[str, ...]] = {
    "holds": ("CalcTest",),
    "returnsEarly": ("CalcTest",),
    "loops": ("CalcTest",),
    "holds ": ("CalcTest", "Inner"),
}


def of_java(source: str, name: str, classes: tuple[str, ...] = ("CalcTest",)) -> list[str]:
    """The control and the twin; nothing where there is none."""
    found = java.turned(source, java.Wanted("org.example", classes, name.strip()))
    return [] if found is None else [found.control, *found.twins]


def test_in_java_the_control_passes_and_the_twin_fails(tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("there is no javac")
    (tmp_path / "Test.java").write_text(
        "package org.junit; public @interface Test { long timeout() default 0; "
        "Class<?> expected() default Object.class; }"
    )
    (tmp_path / "Runs.java").write_text(RUNS)
    said: dict[str, list[bool]] = {}
    for name, classes in PASS.items():
        for text in of_java(JAVA, name, classes):
            (tmp_path / "CalcTest.java").write_text(text)
            argv = ["javac", "-d", ".", "-Xlint:finally", "-Werror", "CalcTest.java", "Test.java"]
            subprocess.run([*argv, "Runs.java"], cwd=tmp_path, check=True)
            order = ["java", "Runs", f"org.example.{'$'.join(classes)}", name.strip()]
            done = subprocess.run(order, cwd=tmp_path, capture_output=True, check=False)
            said.setdefault(name, []).append(done.returncode == 0)
    assert said == {name: [True, False] for name in PASS}


@pytest.mark.parametrize(
    "name", ["raises", "others", "answers", "hidden", "bare", "within", "check", "missing"]
)
def test_what_is_no_plain_test_of_java_has_no_twin(name: str) -> None:
    assert of_java(JAVA, name) == []


def test_a_test_of_java_is_that_of_its_package_and_its_class() -> None:
    assert of_java(JAVA, "holds", ("Inner",)) == []
    assert of_java(JAVA.replace("org.example", "org.other"), "holds") == []
    assert of_java(JAVA.replace("org.junit", "org.testng"), "holds") == []
    assert of_java(f"// {JAVA}".replace("\n", " "), "holds") == []
    assert of_java(JAVA.replace("Run run", "ExpectedException e; Run run"), "holds") == []
    assert of_java(JAVA.replace("// behind", r"// \u000a } {"), "holds") == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("@Test public void adds() {}", 2),
        ("@Test public void adds() throws X {}", 2),
        ("@Test public void adds() throws X", 0),
        ("@Test public void adds() throws X; {}", 0),
        ("@Test public void adds()", 0),
        ("@Test public void adds() {} @Test public void adds() {}", 0),
        ("int a = of(class CalcTest { @Test void adds() {} })", 0),
    ],
)
def test_what_cannot_be_relied_on_in_java_has_no_twin(text: str, count: int) -> None:
    head = "package org.example; import org.junit.Test;"
    whole = text if "class" in text else f"class CalcTest {{ {text} }}"
    assert len(of_java(f"{head} {whole}", "adds")) == count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/* " * COUNT, "a comment is never closed at 0"),
        ('"a\\"' * COUNT, "no token begins at"),
        ("a" * (MOST_CHARS + 1), f"more than {MOST_CHARS} characters"),
        ("," * (MOST_TOKENS + 1), f"more than {MOST_TOKENS} tokens"),
        ("{" * COUNT, "a bracket is never closed"),
        ("(]" * COUNT, "a bracket without its partner"),
    ],
)
def test_a_text_that_costs_much_or_is_broken_is_refused(text: str, said: str) -> None:
    for read in (read_rust, read_java):
        with pytest.raises(UnreadableError, match=said):
            read(text)


def test_a_raw_string_and_a_text_block_have_an_end_or_end_the_reading() -> None:
    for text in ('r##"a"#' * COUNT, 'br#"' * COUNT):
        with pytest.raises(UnreadableError, match="no token begins at 0"):
            read_rust(text)
    for text in ('"""\na"" \\""" ', '"""a"""'):
        with pytest.raises(UnreadableError, match="no token begins at 0"):
            read_java(text)


def test_tests_that_lie_deep_are_refused() -> None:
    deep = "mod a {" * (DEEPEST - 2) + "#[test] fn adds() {}" + "}" * (DEEPEST - 2)
    assert len(of_rust(deep, "::".join(["a"] * (DEEPEST - 2) + ["adds"]))) == 2
    assert of_rust(f"mod a {{ mod a {{ {deep} }} }}", "::".join(["a"] * DEEPEST + ["adds"])) == []


LONG = [
    "#[a] {}mod tests {{ #[test] fn adds() {{}} {} }}",
    "class CalcTest {} {{ @Test public void adds() {{}} {} }}",
    "{} #[test] fn adds() {{ {} }}",
]


@pytest.mark.parametrize("form", LONG)
@pytest.mark.parametrize(
    "part",
    ["#[a] ", "a ", "fn adds() {} ", "#[test] fn adds() ", "#[test] fn adds() [] ",
     "@Test void adds() {} ", "@Test void adds() throws A ", "/**/ r#''# "],
)  # fmt: skip
def test_twice_the_text_takes_twice_the_work(form: str, part: str) -> None:
    def work(count: int) -> None:
        for tests in (part, "fn adds() {} ", "@Test void adds() {} "):
            text = form.format(part * count, tests * count)
            of_rust(text, "tests::adds")
            of_java(f"package org.example; {text}", "adds")

    some, twice = (steps(partial(work, count * COUNT)) for count in (1, 2))
    assert twice < 2.2 * some


@given(st.text(alphabet="#[test] fn ads(){}\"'/*r\\b\n!_=,3", max_size=80))
def test_no_text_makes_it_raise_or_lose_a_character(text: str) -> None:
    of_rust(text, "adds")
    of_java(text, "adds")
    turned_example(text, 1)
    for read in (read_rust, read_java):
        try:
            code = read(text)
        except UnreadableError:
            continue
        assert all(code.source[t.start : t.end] == t.text for t in code.tokens)


OWN = "one\ntwo\nthree\nfour"
PATCH = "--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1,3 +1,3 @@\n-one\n+1\n two\n three\n"


def test_a_patch_fits_over_a_file_with_an_edited_line_as_far_as_it_leaves_that_alone() -> None:
    file = TestFile("src/lib.rs", OWN.replace("two", "two, edited"))
    showing = Showing("t", (), file, turned=True, own=OWN)
    (change,) = showing.fitted(parse(PATCH))
    (hunk,) = change.hunks
    assert hunk.old == ("one\n", "two, edited\n", "three\n")
    assert hunk.new == ("1\n", "two, edited\n", "three\n")
    elsewhere = parse(PATCH.replace("lib.rs", "main.rs"))
    assert showing.fitted(elsewhere) == elsewhere
