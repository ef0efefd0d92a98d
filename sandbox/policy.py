"""What a patch may touch, decided before anything runs: tests must not be made to say yes.

Passing tests are evidence only as long as the code under test did not rewrite the judge. No box can
help there, because the tests and the code run in one process; so these changes are refused by name.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from sandbox.contract import Patch
from sandbox.protected import (
    CARRIED,
    INLINE_TEST,
    JUDGE_WORDS,
    JUDGES,
    NAMES,
    NEVER_LIFTED,
    PLACES,
    PROSE,
    PYTHON,
    SOURCE_ROOTS,
    TEST_NAMES,
    TEST_PLACES,
    Kind,
)
from sandbox.unified_diff import DiffSyntaxError, FileChange, Hunk, parse

PATCH_CHARS = 1024 * 1024
PLAIN_MODES = frozenset({"100644", "100755"})
ISSUE_WORD = re.compile(r"[\w.][\w./-]*\w")
MAX_NAMED = 2_000


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What one run lifts.

    `allowed` are globs of paths that may be changed and are judged as changed: for a caller that
    knows what it does. `named` are the words of an issue's text (`named_in`): a protected file
    named there may be changed, but the change is carried along and never judged, and a name of the
    judge's that stands there may be used.
    """

    allowed: Sequence[str] = ()
    named: frozenset[str] = frozenset()


NO_EXCEPTIONS = Exceptions()


def named_in(issue: str) -> frozenset[str]:
    """The words of an issue's text that could name a protected file or a name of the judge's."""
    found: set[str] = set()
    for match in ISSUE_WORD.finditer(issue):
        word = match[0].strip("./-")
        if len(found) == MAX_NAMED:
            break
        if protected(word) in CARRIED or any(p.fullmatch(word) for p in _patterns()):
            found.add(word)
    return frozenset(found)


def _patterns() -> tuple[re.Pattern[str], ...]:
    return (PYTHON, *dict.fromkeys(JUDGE_WORDS.values()))


def check_patch(patch: Patch, exceptions: Exceptions = NO_EXCEPTIONS) -> str | None:
    """Why a patch must not be run, in one sentence that names the file; None when it may.

    What could leave the repository stays refused, whatever is excepted. Never raises.
    """
    if len(patch) > PATCH_CHARS:
        return f"the patch is larger than {PATCH_CHARS} characters"
    if "\0" in patch:
        return "the patch holds a NUL character; only text can be patched"
    try:
        changes = parse(patch)
    except DiffSyntaxError as error:
        return f"the patch cannot be read: {error}"
    reasons = (_refusal(change, exceptions) for change in changes)
    reason = next((reason for reason in reasons if reason is not None), None)
    if reason is None and all(_carried(change, exceptions) for change in changes):
        return f"{changes[0].paths[-1]!r} is judged as it was, and nothing else is changed"
    return reason


def carried(patch: Patch, exceptions: Exceptions) -> tuple[str, ...]:
    """The paths of a patch that passed whose change is carried along and not judged."""
    held = [change for change in parse(patch) if _carried(change, exceptions)]
    return tuple(dict.fromkeys(path for change in held for path in change.paths))


def judged(patch: Patch, exceptions: Exceptions) -> tuple[FileChange, ...]:
    """The changes of a patch that passed under which its tests are run."""
    return tuple(change for change in parse(patch) if not _carried(change, exceptions))


def _carried(change: FileChange, exceptions: Exceptions) -> bool:
    return any(_never_judged(path, exceptions) for path in change.paths)


def _never_judged(path: str, exceptions: Exceptions) -> bool:
    return protected(path) is not None and not _allowed(path, exceptions)


def _allowed(path: str, exceptions: Exceptions) -> bool:
    return any(fnmatchcase(path, glob) for glob in exceptions.allowed)


def _refusal(change: FileChange, exceptions: Exceptions) -> str | None:
    for path in change.paths:
        reason = _leaves(path)
        if reason is not None:
            return f"{path!r} {reason}"
    if change.mode is not None and change.mode not in PLAIN_MODES:
        return f"{change.paths[-1]!r} would be no plain file (mode {change.mode})"
    for path in change.paths:
        if _allowed(path, exceptions):
            continue
        reason = _held_back(path, change, exceptions) or _tampers(path, change, exceptions)
        if reason is not None:
            return f"{path!r} {reason}"
    return _half_judged(change, exceptions)


def _half_judged(change: FileChange, exceptions: Exceptions) -> str | None:
    """A file that moves between what is judged and what is only carried along: neither is true."""
    held = [path for path in change.paths if _never_judged(path, exceptions)]
    other = next((path for path in change.paths if path not in held), None)
    if not held or other is None:
        return None
    return f"{other!r} is judged and {held[0]!r} is not, so one may not become the other"


def _leaves(path: str) -> str | None:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\\" in path:
        return "leads out of the repository"
    if any(part.lower() == ".git" for part in parts):
        return "lies in git's own directory"
    if any(not part or part == "." for part in parts) or any(ord(c) < ord(" ") for c in path):
        return "is not a plain path"
    return None


def protected(path: str) -> Kind | None:
    """Why a path is protected, or None."""
    *places, name = path.split("/")
    for kind, globs in NAMES.items():
        if any(fnmatchcase(name, glob) for glob in globs):
            return kind
    if TEST_PLACES & set(places) or any(fnmatchcase(name, glob) for glob in TEST_NAMES):
        return Kind.TEST
    for kind, globs in PLACES.items():
        if any(fnmatchcase(place, glob) for place in places for glob in globs):
            return kind
    return None


def _held_back(path: str, change: FileChange, exceptions: Exceptions) -> str | None:
    """A protected path that the issue is not about, or a new file that stands in for another."""
    kind = protected(path)
    if kind is not None:
        named = {path, path.rpartition("/")[2]} & exceptions.named
        return None if kind in CARRIED and named else kind.value
    return _shadows(path) if path != change.old else None


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


def _tampers(path: str, change: FileChange, exceptions: Exceptions) -> str | None:
    """Whether a change makes product code name the judge more often than it did."""
    suffix = PurePosixPath(path).suffix
    if suffix in PROSE:
        return None
    if suffix == ".rs" and protected(path) is None and any(map(_reaches_tests, change.hunks)):
        return "has tests of its own, which the change reaches"
    words = JUDGE_WORDS.get(suffix, PYTHON)
    for hunk in change.hunks:
        for found in _more_often(hunk, words):
            if found not in exceptions.named or NEVER_LIFTED.fullmatch(found):
                return f"refers to {found!r}, through which code can change what tests report"
    return None


def _reaches_tests(hunk: Hunk) -> bool:
    """Whether a hunk changes a line that begins tests, or one after it."""
    same = 0
    for old, new in zip(reversed(hunk.old), reversed(hunk.new), strict=False):
        if old != new:
            break
        same += 1
    reached = (*hunk.old[: len(hunk.old) - same], *hunk.new[: len(hunk.new) - same])
    return any(INLINE_TEST.search(line) for line in reached)


def _more_often(hunk: Hunk, words: re.Pattern[str]) -> list[str]:
    before, after = words.findall("".join(hunk.old)), words.findall("".join(hunk.new))
    return [word for word in dict.fromkeys(after) if after.count(word) > before.count(word)]
