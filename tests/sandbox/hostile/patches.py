"""Patches that try to reach what no patch may: refused by name before any box is opened."""

from sandbox.policy import PATCH_CHARS
from tests.sandbox.hostile.attack import BadPatch


def _new(path: str, mode: str = "100644", line: str = "x = 1", named: str | None = None) -> str:
    return (
        f"diff --git a/{named or path} b/{named or path}\nnew file mode {mode}\n--- /dev/null\n"
        f"+++ b/{path}\n@@ -0,0 +1,1 @@\n+{line}\n"
    )


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
    BadPatch("a file that becomes a link", "diff --git a/x b/x\nold mode 100644\nnew mode 120000\n", "mode 120000"),
    BadPatch("a set-user-id bit", _new("tool", "104755"), "mode 104755"),
    BadPatch("a declared submodule", _new(".gitmodules"), "changes how git reads"),
    BadPatch("git attributes", _new(".gitattributes"), "changes how git reads"),
    BadPatch(
        "a binary bomb",
        "diff --git a/x.bin b/x.bin\nnew file mode 100644\nindex 0..1\nGIT binary patch\nliteral 4294967296\nzcmV\n",
        "binary file",
    ),
    BadPatch("binary files that differ", "diff --git a/x b/x\nindex 1..2\nBinary files a/x and b/x differ\n", "binary"),
    BadPatch("a megabyte and more", "x" * (PATCH_CHARS + 1), "larger than"),
    BadPatch("a NUL", _new("x.py", line="x\0y"), "NUL"),
    BadPatch("a newline in a name", '--- "a/a\\nb.py"\n+++ "b/a\\nb.py"\n@@ -1 +1 @@\n-a\n+b\n', "no plain path|not a plain path"),
    BadPatch("more lines than announced", "--- a/x\n+++ b/x\n@@ -1,1 +1,999999999 @@\n-a\n+b\n", "ends in the middle"),
    BadPatch("two paths in one change", _new("x.py", named="tests/x.py"), "names other files"),
    BadPatch(
        "a rename onto a test",
        "diff --git a/x.py b/tests/x.py\nsimilarity index 100%\nrename from x.py\nrename to tests/x.py\n",
        "is a test",
    ),
    BadPatch(
        "a copy of a test over the product",
        "diff --git a/tests/test_calc.py b/y.py\nsimilarity index 100%\ncopy from tests/test_calc.py\ncopy to y.py\n",
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
)  # fmt: skip
"""Every one is refused before a box is opened, on every back end."""
