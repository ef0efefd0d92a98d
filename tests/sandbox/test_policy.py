import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.contract import Patch
from sandbox.policy import PATCH_CHARS, Exceptions, carried, check_patch, judged, named_in


def change(path: str, line: str = "x = 1") -> Patch:
    return Patch(f"--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n-old\n+{line}\n")


def new(path: str, line: str = "x = 1") -> Patch:
    return Patch(
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,1 @@\n+{line}\n"
    )


@pytest.mark.parametrize(
    "path",
    ["src/calc.py", "a.py", "docs/index.rst", "django/testing.py", "contest.py", "latest.py"],
)
def test_product_code_may_be_changed(path: str) -> None:
    assert check_patch(change(path)) is None
    assert check_patch(new(path)) is None


@pytest.mark.parametrize(
    "path",
    [
        "../x.py", "a/../../x.py", "/etc/passwd", ".git/config", "a/.git/hooks/x", ".GIT/config",
        "tests/test_x.py", "test/x.py", "src/test_x.py", "x_test.py", "conftest.py", "a/conftest.py",
        "pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml", "noxfile.py", ".coveragerc", "sitecustomize.py",
        "usercustomize.py", "evil.pth", "x.egg-info/entry_points.txt", "x.dist-info/METADATA",
        ".github/workflows/ci.yml", ".gitlab-ci.yml", ".gitattributes", ".gitmodules", "a\\b.py", "a//b.py",
    ],
)  # fmt: skip
def test_what_could_change_the_judge_is_refused_by_name(path: str) -> None:
    for patch in (change(path), new(path)):
        reason = check_patch(patch)
        assert reason is not None
        assert repr(path) in reason


@pytest.mark.parametrize(
    "path",
    [
        "pytest.py",
        "src/pytest.py",
        "_pytest/__init__.py",
        "json.py",
        "src/random/__init__.py",
        "pluggy.py",
    ],
)
def test_a_new_module_may_not_stand_in_for_a_known_one(path: str) -> None:
    reason = check_patch(new(path))
    assert reason is not None
    assert "in place of" in reason


def test_an_old_module_with_a_known_name_may_be_changed() -> None:
    assert check_patch(change("src/packaging/version.py")) is None
    assert check_patch(new("src/packaging/fresh.py")) is None
    assert check_patch(change("dataclasses.py")) is None


@pytest.mark.parametrize(
    "line",
    [
        "import pytest", "from _pytest import runner", "import unittest.runner", "os._exit(0)", "sys.settrace(f)",
        'os.environ["PYTEST_CURRENT_TEST"]', "gc.get_objects()", "import atexit", "open('/tmp/evoscale/report.xml')",
    ],
)  # fmt: skip
def test_code_that_reaches_for_the_judge_is_refused(line: str) -> None:
    reason = check_patch(change("calc.py", line))
    assert reason is not None
    assert "'calc.py'" in reason


def test_prose_may_speak_of_the_judge() -> None:
    assert check_patch(change("README.md", "run pytest")) is None


def test_removing_such_code_is_fine() -> None:
    assert (
        check_patch(Patch("--- a/c.py\n+++ b/c.py\n@@ -1,2 +1,1 @@\n-import pytest\n kept\n"))
        is None
    )


@pytest.mark.parametrize("mode", ["120000", "160000", "040000", "100600"])
def test_only_plain_files_may_be_made(mode: str) -> None:
    patch = Patch(
        f"diff --git a/x b/x\nnew file mode {mode}\n--- /dev/null\n+++ b/x\n@@ -0,0 +1,1 @@\n+/etc/passwd\n"
    )
    reason = check_patch(patch)
    assert reason is not None
    assert mode in reason
    changed = Patch(f"diff --git a/x b/x\nold mode 100644\nnew mode {mode}\n")
    assert check_patch(changed) is not None


def test_a_rename_onto_a_test_is_refused() -> None:
    patch = Patch(
        "diff --git a/x.py b/tests/x.py\nsimilarity index 100%\nrename from x.py\nrename to tests/x.py\n"
    )
    assert check_patch(patch) == "'tests/x.py' is a test"
    away = Patch(
        "diff --git a/tests/x.py b/x.py\nsimilarity index 100%\nrename from tests/x.py\nrename to x.py\n"
    )
    assert check_patch(away) == "'tests/x.py' is a test"


@pytest.mark.parametrize(
    "patch",
    [
        "", "hello", "--- a/x\n+++ b/x\n", "diff --git a/x b/x\nGIT binary patch\nliteral 3\n", "x\0y",
        "diff --git a/x b/x\nindex 1..2\nBinary files a/x and b/x differ\n", "x" * (PATCH_CHARS + 1),
    ],
)  # fmt: skip
def test_what_is_no_text_diff_is_refused(patch: str) -> None:
    assert check_patch(Patch(patch)) is not None


def test_protection_can_be_lifted_but_walls_cannot() -> None:
    tests, everything = Exceptions(["tests/*"]), Exceptions(["*"])
    assert check_patch(change("tests/test_x.py", "import pytest"), tests) is None
    assert check_patch(change("tests/test_x.py"), Exceptions(["docs/*"])) is not None
    assert check_patch(change("../x.py"), everything) is not None
    assert check_patch(change(".git/config"), everything) is not None


def test_an_issue_lifts_what_it_names_and_the_change_is_carried_not_judged() -> None:
    named = named_in("The pin in `setup.cfg` and in docs/requirements.txt is wrong, see x.py.")
    assert named == {"setup.cfg", "docs/requirements.txt"}
    patch = Patch(change("setup.cfg") + change("calc.py") + change("docs/requirements.txt"))
    assert check_patch(patch) == "'setup.cfg' configures the tests"
    lifted = Exceptions(named=named)
    assert check_patch(patch, lifted) is None
    assert carried(patch, lifted) == ("setup.cfg", "docs/requirements.txt")
    assert [c.new for c in judged(patch, lifted)] == ["calc.py"]
    assert check_patch(change("requirements.txt"), lifted) is not None


@pytest.mark.parametrize("kind", ["rename", "copy"])
def test_a_named_file_hides_no_change_of_the_product(kind: str) -> None:
    lifted = Exceptions(named=named_in("test_x.py and test_y.py are one too many"))
    for old, new in (("src/core.py", "test_x.py"), ("test_x.py", "src/core.py")):
        patch = change("calc.py") + (
            f"diff --git a/{old} b/{new}\nsimilarity index 100%\n{kind} from {old}\n{kind} to {new}\n"
        )
        reason = check_patch(Patch(patch), lifted)
        assert (
            reason
            == "'src/core.py' is judged and 'test_x.py' is not, so one may not become the other"
        )
        everything = Exceptions(["*"], lifted.named)
        assert check_patch(Patch(patch), everything) is None
    moved = "diff --git a/test_x.py b/test_y.py\nrename from test_x.py\nrename to test_y.py\n"
    both = Patch(change("calc.py") + moved)
    assert check_patch(both, lifted) is None
    assert carried(both, lifted) == ("test_x.py", "test_y.py")


def test_a_patch_of_nothing_but_carried_changes_is_refused() -> None:
    reason = check_patch(change("setup.cfg"), Exceptions(named=named_in("setup.cfg is wrong")))
    assert reason == "'setup.cfg' is judged as it was, and nothing else is changed"


@pytest.mark.parametrize("path", ["sitecustomize.py", "evil.pth", ".github/x.yml", ".gitmodules"])
def test_no_issue_lifts_what_runs_by_itself(path: str) -> None:
    assert check_patch(change(path), Exceptions(named=named_in(f"{path} is wrong"))) is not None


def test_an_issue_lifts_a_name_that_it_is_about_but_never_the_judge() -> None:
    named = named_in("handlers registered with atexit run twice; seen with pytest and _pytest")
    assert check_patch(change("c.py", "import atexit"), Exceptions(named=named)) is None
    assert check_patch(change("c.py", "import ctypes"), Exceptions(named=named)) is not None
    for judge in ("pytest", "_pytest"):
        assert check_patch(change("c.py", f"import {judge}"), Exceptions(named=named)) is not None


def test_code_that_named_the_judge_before_may_go_on_to() -> None:
    hunk = "@@ -1,1 +1,1 @@\n-ctypes.c_int(x)\n+ctypes.c_long(x)\n"
    assert check_patch(Patch("--- a/c.py\n+++ b/c.py\n" + hunk)) is None


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("src/a.ts", "process.exit(0)"), ("src/a.js", "require('vitest')"), ("a.go", "os.Exit(0)"),
        ("src/lib.rs", "std::process::exit(0);"), ("src/main/A.java", "System.exit(0);"),
    ],
)  # fmt: skip
def test_other_languages_have_judges_too(path: str, line: str) -> None:
    assert "refers to" in (check_patch(change(path, line)) or "")


@pytest.mark.parametrize(
    "line",
    [
        "use std::process as ended;", "use std::process::{exit as bye};", "use std::{io, process as p};",
        "use std::process::*;", "use std::process::{self as p, Command};", "use process as p;",
        "use std::{io, process::{Command, exit}};", "std::process::r#exit(0);", "process :: abort();",
        "use libc::*;", "use libc as l;", "libc::_exit(0);", 'extern "C" { fn exit(code: i32) -> !; }',
        "fn _exit(code: i32) -> !;", "use std::os::unix::process::CommandExt;", '#[link_name = "exit"]',
        'core::arch::asm!("syscall");', "macro_rules! assert_eq {", "use crate::holds as assert_eq;",
    ],
)  # fmt: skip
def test_an_end_of_the_process_has_no_other_name_in_rust(line: str) -> None:
    assert "refers to" in (check_patch(change("src/lib.rs", line)) or "")
    before = f"@@ -1,1 +1,2 @@\n {line}\n+let more = 1;\n"
    assert check_patch(Patch(RUST + before)) is None, "it stood there before"


@pytest.mark.parametrize(
    "line",
    [
        "// we process as well, and", "use crate::process::*;", "use std::process::{self, Command};",
        "fn exit(&self);", "fn exit(code: i32) {", "fn abort(self: Box<Self>);", "let size: libc::c_int = 1;",
        "macro_rules! assert_close {", "use super::process as jobs", "let constructors = pre_exit;",
    ],
)  # fmt: skip
def test_everyday_rust_is_no_end_of_the_process(line: str) -> None:
    assert check_patch(change("src/lib.rs", line)) is None


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (r"package org.j\u0075nit;", True), (r"package org.\uu006aunit;", True), (r'"\u00e9t\u0020"', False),
    ],
)  # fmt: skip
def test_a_letter_written_as_an_escape_spells_no_name_in_java(line: str, refused: bool) -> None:
    assert (check_patch(change("src/main/java/A.java", line)) is not None) == refused


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ('import stop "os"', True), ('import . "syscall"', True), ('import "os"', False),
        ('import _ "os"', False), ('case "os":', False), ('name := "os"', False),
    ],
)  # fmt: skip
def test_an_end_of_the_process_has_no_other_name_in_go(line: str, refused: bool) -> None:
    assert (check_patch(change("a.go", line)) is not None) == refused


@pytest.mark.parametrize(
    "path",
    [
        "package.json", "package-lock.json", "vitest.config.ts", "src/a.test.ts", "src/__tests__/a.js", "a_test.go",
        "go.sum", "Cargo.lock", "build.rs", "pom.xml", "src/test/java/ATest.java", ".mvn/jvm.config", "uv.lock",
        "requirements-dev.txt", "setup.py", ".npmrc", "test.js", "test.mjs", "test.cts", "a/test-add.js", "add-test.mjs",
        "add_test.ts", "spec/add.js", "src/tests.rs", "src/add/test.rs", "src/add_test.rs", "src/add_tests.rs",
        "ava.config.js", ".taprc", ".nycrc", ".nycrc.json", "mocha.opts", "vitest.setup.ts", "src/setupTests.js",
    ],
)  # fmt: skip
def test_what_decides_over_other_languages_tests_is_refused_by_name(path: str) -> None:
    assert repr(path) in (check_patch(change(path)) or "")


@pytest.mark.parametrize(
    "path", ["src/latest.js", "src/contest.ts", "src/attest.rs", "src/specs.rs"]
)
def test_names_that_only_resemble_tests_are_product_code(path: str) -> None:
    assert check_patch(change(path)) is None


RUST = "--- a/src/lib.rs\n+++ b/src/lib.rs\n"


@pytest.mark.parametrize(
    "hunk",
    [
        "@@ -9,4 +9,4 @@\n #[cfg(test)]\n mod checks {\n-    assert!(two() == 2);\n+    assert!(true);\n }\n",
        "@@ -9,3 +9,3 @@\n     #[tokio::test]\n     async fn two() {\n-        old();\n+        new();\n",
        "@@ -9,2 +9,2 @@\n mod tests {\n-    use super::*;\n+    use super::other::*;\n",
        "@@ -9,1 +9,1 @@\n-#[test]\n+#[cfg(never)]\n",
        "@@ -9,1 +9,2 @@\n+#[cfg(not(test))]\n fn two() {}\n",
        "@@ -9,1 +9,1 @@\n-    2\n+    if cfg!(test) { 2 } else { 3 }\n",
        "@@ -9,1 +9,2 @@\n+#[cfg_attr(all(unix, test), derive(Debug))]\n struct A;\n",
    ],
)
def test_tests_within_rusts_product_code_are_not_changed(hunk: str) -> None:
    said = "'src/lib.rs' has tests of its own, which the change reaches"
    assert check_patch(Patch(RUST + hunk)) == said
    assert check_patch(Patch(RUST + hunk), Exceptions(["src/*"])) is None


def test_a_hunk_that_begins_within_rusts_tests_gets_through() -> None:
    """The policy sees the diff, not the file; `sandbox.lay`, which has both, refuses it."""
    hunk = "@@ -90,1 +90,1 @@\n-    assert!(two() == 2);\n+    assert!(true);\n"
    assert check_patch(Patch(RUST + hunk)) is None


def test_rusts_test_files_are_carried_where_the_issue_names_them() -> None:
    patch = Patch(change("calc.py") + change("tests/adds.rs", "#[test]"))
    assert check_patch(patch) == "'tests/adds.rs' is a test"
    lifted = Exceptions(named=named_in("tests/adds.rs is wrong"))
    assert check_patch(patch, lifted) is None
    assert carried(patch, lifted) == ("tests/adds.rs",)


def test_product_code_above_rusts_tests_may_be_changed() -> None:
    hunk = "@@ -7,5 +7,5 @@\n fn two() -> i32 {\n-    3\n+    2\n }\n \n #[cfg(test)]\n"
    assert check_patch(Patch(RUST + hunk)) is None
    attested = "@@ -7,1 +7,1 @@\n-    attest(mod_tested);\n+    #[inline] fn latest() {}\n"
    assert check_patch(Patch(RUST + attested)) is None


@given(st.text(max_size=400))
def test_no_text_makes_it_raise(text: str) -> None:
    assert check_patch(Patch(text)) is not None


PIECES = st.sampled_from(
    ["diff --git a/x b/x\n", "--- a/x\n", "+++ b/x\n", "--- /dev/null\n", "@@ -1 +1 @@\n", "+a\n", "-b\n", " c\n",
     "rename from x\n", "rename to ../y\n", "new file mode 120000\n", "+++ b/../x\n", "\\ No newline\n", "\n", "\r"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12))
def test_no_pile_of_diff_lines_makes_it_raise_or_lets_a_path_out(pieces: list[str]) -> None:
    patch = "".join(pieces)
    if check_patch(Patch(patch)) is None:
        assert "../" not in patch.replace("+../", "")


@given(st.text(alphabet=string.ascii_lowercase + "./", min_size=1, max_size=20))
def test_no_path_with_dots_gets_out(path: str) -> None:
    if ".." in path.split("/") or path.startswith("/"):
        assert check_patch(change(path)) is not None
