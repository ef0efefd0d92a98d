"""What a patch may touch, decided before anything runs: tests must not be made to say yes.

Passing tests are evidence only as long as the code under test did not rewrite the judge. No box can
help there, because the tests and the code run in one process; so these changes are refused by name.
"""

import re
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from sandbox.contract import Patch
from sandbox.unified_diff import DiffSyntaxError, FileChange, parse

PATCH_CHARS = 1024 * 1024
PLAIN_MODES = frozenset({"100644", "100755"})
TEST_PLACES = frozenset({"test", "tests"})
TEST_NAMES = ("test_*.py", "*_test.py", "tests.py", "test.py", "*_tests.py")
PROTECTED: tuple[tuple[str, str], ...] = (
    ("conftest.py", "configures the tests"),
    ("pytest.ini", "configures the tests"),
    (".pytest.ini", "configures the tests"),
    ("pytest.toml", "configures the tests"),
    (".pytest.toml", "configures the tests"),
    ("tox.ini", "configures the tests"),
    ("setup.cfg", "configures the tests"),
    ("pyproject.toml", "configures the tests"),
    ("noxfile.py", "configures the tests"),
    (".coveragerc", "configures the tests"),
    ("sitecustomize.py", "is run by every Python process"),
    ("usercustomize.py", "is run by every Python process"),
    ("*.pth", "is run by every Python process"),
    ("entry_points.txt", "declares plugins"),
    (".gitattributes", "changes how git reads the repository"),
    (".gitmodules", "changes how git reads the repository"),
    (".gitlab-ci.yml", "configures continuous integration"),
    (".travis.yml", "configures continuous integration"),
    ("azure-pipelines.yml", "configures continuous integration"),
    ("Jenkinsfile", "configures continuous integration"),
)
PROTECTED_PLACES: tuple[tuple[str, str], ...] = (
    (".github", "configures continuous integration"),
    (".circleci", "configures continuous integration"),
    (".ci", "configures continuous integration"),
    ("*.egg-info", "declares plugins"),
    ("*.dist-info", "declares plugins"),
)
JUDGES = frozenset(
    {"pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments", "xdist"}
)
SOURCE_ROOTS = frozenset({"src", "lib"})
PROSE = frozenset({".md", ".rst", ".txt", ".adoc"})
TAMPERING = re.compile(
    r"\b(_pytest|pytest|unittest\.(?:runner|result|case|main)|os\._exit|sys\.settrace|sys\.setprofile"
    r"|threading\.settrace|PYTEST_CURRENT_TEST|gc\.get_objects|gc\.get_referrers|sys\._getframe"
    r"|atexit|ctypes|evoscale)\b"
)


def check_patch(patch: Patch, *, allowed: Sequence[str] = ()) -> str | None:
    """Why a patch must not be run, in one sentence that names the file; None when it may.

    `allowed` holds globs of paths whose protection is lifted, such as tests that a repair was asked
    to change; what could leave the repository stays refused. Never raises.
    """
    if len(patch) > PATCH_CHARS:
        return f"the patch is larger than {PATCH_CHARS} characters"
    if "\0" in patch:
        return "the patch holds a NUL character; only text can be patched"
    try:
        changes = parse(patch)
    except DiffSyntaxError as error:
        return f"the patch cannot be read: {error}"
    reasons = (_refusal(change, allowed) for change in changes)
    return next((reason for reason in reasons if reason is not None), None)


def _refusal(change: FileChange, allowed: Sequence[str]) -> str | None:
    for path in change.paths:
        reason = _leaves(path)
        if reason is not None:
            return f"{path!r} {reason}"
    if change.mode is not None and change.mode not in PLAIN_MODES:
        return f"{change.paths[-1]!r} would be no plain file (mode {change.mode})"
    for path in change.paths:
        if any(fnmatchcase(path, glob) for glob in allowed):
            continue
        reason = _protected(path) or (_shadows(path) if path != change.old else None)
        reason = reason or _tampers(path, change)
        if reason is not None:
            return f"{path!r} {reason}"
    return None


def _leaves(path: str) -> str | None:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\\" in path:
        return "leads out of the repository"
    if any(part.lower() == ".git" for part in parts):
        return "lies in git's own directory"
    if any(not part or part == "." for part in parts) or any(ord(c) < ord(" ") for c in path):
        return "is not a plain path"
    return None


def _protected(path: str) -> str | None:
    *places, name = path.split("/")
    if TEST_PLACES & set(places) or any(fnmatchcase(name, glob) for glob in TEST_NAMES):
        return "is a test"
    for glob, reason in PROTECTED:
        if fnmatchcase(name, glob):
            return reason
    for glob, reason in PROTECTED_PLACES:
        if any(fnmatchcase(place, glob) for place in places):
            return reason
    return None


def _shadows(path: str) -> str | None:
    """Whether a new file is a module that would be imported instead of Python's or pytest's own."""
    parts = list(PurePosixPath(path).parts)
    if parts[0] in SOURCE_ROOTS:
        parts = parts[1:]
    if parts[-1:] == ["__init__.py"]:
        parts = parts[:-1]
    if len(parts) != 1:
        return None
    module = parts[0].split(".")[0]
    if module in JUDGES or module in sys.stdlib_module_names:
        return f"would be imported in place of {module!r}"
    return None


def _tampers(path: str, change: FileChange) -> str | None:
    if PurePosixPath(path).suffix in PROSE:
        return None
    for hunk in change.hunks:
        for line in hunk.added:
            found = TAMPERING.search(line)
            if found:
                return f"refers to {found[0]!r}, through which code can change what tests report"
    return None
