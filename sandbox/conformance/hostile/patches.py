"""Patches that try to reach what no patch may: refused by name before any box is opened."""

from sandbox.conformance.hostile.attack import BadPatch
from sandbox.policy import PATCH_CHARS

SAME = "similarity index 100%"


def _new(path: str, mode: str = "100644", line: str = "x = 1", named: str | None = None) -> str:
    return (
        f"diff --git a/{named or path} b/{named or path}\nnew file mode {mode}\n--- /dev/null\n"
        f"+++ b/{path}\n@@ -0,0 +1,1 @@\n+{line}\n"
    )


def _head(old: str, new: str, *lines: str) -> str:
    return "".join(f"{line}\n" for line in (f"diff --git a/{old} b/{new}", *lines))


def _change(path: str) -> str:
    return f"--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n-old\n+new\n"


BAD_PATCHES = (
    BadPatch("a path that climbs", _change("../outside.py"), "leads out of the repository"),
    BadPatch("a path that climbs later", _change("a/../../x.py"), "leads out of the repository"),
    BadPatch("an absolute path", _change("/etc/passwd"), "leads out of the repository"),
    BadPatch("a backslash", _change("..\\x.py"), "leads out of the repository"),
    BadPatch(
        "a quoted path that climbs",
        '--- "a/\\056\\056/x.py"\n+++ "b/\\056\\056/x.py"\n@@ -1 +1 @@\n-a\n+b\n',
        "leads out of the repository",
    ),
    BadPatch("git's own directory", _new(".git/hooks/post-checkout"), "git's own directory"),
    BadPatch("git's own directory in capitals", _new(".GIT/config"), "git's own directory"),
    BadPatch("git's directory further down", _new("a/.git/config"), "git's own directory"),
    BadPatch("a submodule", _new("sub", "160000", "Subproject commit " + "0" * 40), "mode 160000"),
    BadPatch("a symbolic link", _new("link", "120000", "/etc/passwd"), "mode 120000"),
    BadPatch(
        "a file that becomes a link",
        _head("x", "x", "old mode 100644", "new mode 120000"),
        "mode 120000",
    ),
    BadPatch("a set-user-id bit", _new("tool", "104755"), "mode 104755"),
    BadPatch("a declared submodule", _new(".gitmodules"), "changes how git reads"),
    BadPatch("git attributes", _new(".gitattributes"), "changes how git reads"),
    BadPatch(
        "a binary bomb",
        _head(
            "x.bin",
            "x.bin",
            "new file mode 100644",
            "index 0..1",
            "GIT binary patch",
            "literal 4294967296",
            "zcmV",
        ),
        "binary file",
    ),
    BadPatch(
        "binary files that differ",
        _head("x", "x", "index 1..2", "Binary files a/x and b/x differ"),
        "binary",
    ),
    BadPatch("a megabyte and more", "x" * (PATCH_CHARS + 1), "larger than"),
    BadPatch("a NUL", _new("x.py", line="x\0y"), "NUL"),
    BadPatch(
        "a newline in a name",
        '--- "a/a\\nb.py"\n+++ "b/a\\nb.py"\n@@ -1 +1 @@\n-a\n+b\n',
        "not a plain path",
    ),
    BadPatch(
        "more lines than announced",
        "--- a/x\n+++ b/x\n@@ -1,1 +1,999999999 @@\n-a\n+b\n",
        "ends in the middle",
    ),
    BadPatch("two paths in one change", _new("x.py", named="tests/x.py"), "names other files"),
    BadPatch(
        "a rename onto a test",
        _head("x.py", "tests/x.py", SAME, "rename from x.py", "rename to tests/x.py"),
        "is a test",
    ),
    BadPatch(
        "a copy of a test over the product",
        _head("tests/test_calc.py", "y.py", SAME, "copy from tests/test_calc.py", "copy to y.py"),
        "is a test",
    ),
    BadPatch("the tests", _change("tests/test_calc.py"), "is a test"),
    BadPatch("a test of node's", _change("test.mjs"), "is a test"),
    BadPatch("a test of cargo's", _change("src/tests.rs"), "is a test"),
    BadPatch("conftest.py", _new("conftest.py"), "configures the tests"),
    BadPatch("pytest.ini", _new("pytest.ini", line="[pytest]"), "configures the tests"),
    BadPatch("sitecustomize.py", _new("sitecustomize.py"), "run by every Python process"),
    BadPatch("a .pth file", _new("x.pth", line="import os"), "run by every Python process"),
    BadPatch("a module called pytest", _new("pytest.py"), "in place of 'pytest'"),
    BadPatch("a module of the standard library's name", _new("random.py"), "in place of 'random'"),
    BadPatch("a plugin's declaration", _new("x.egg-info/entry_points.txt"), "declares plugins"),
    BadPatch("a workflow", _new(".github/workflows/ci.yml"), "continuous integration"),
    BadPatch("a lock file", _new("uv.lock"), "decides what is installed"),
    BadPatch("requirements", _new("requirements.txt"), "decides what is installed"),
)
"""Every one is refused before a box is opened, on every back end."""
