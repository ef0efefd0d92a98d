"""Says which of a repository's trusted files are not what they were; runs in a box after the tests.

Standard input holds JSON: names and places to look at as globs, files that the host laid itself
with their text, and paths not to look at. Standard output is a JSON list of paths, at most MOST. A
verdict waits for this program, so it imports little and compiles few patterns.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate

PRISTINE = "/opt/repo"
REPO = "/repo"
SKIPPED = frozenset({".git", "node_modules", "target", ".tox", ".venv"})
CODE = frozenset(
    {".py", ".cfg", ".ini", ".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs", ".go", ".rs", ".java"}
)
COMPILED = ("test_*.pyc", "*_test.*.pyc", "conftest.*.pyc")
MOST = 20


def files(root: str) -> Iterator[str]:
    """Every file below a directory, relative to it, following no link."""
    for parent, directories, names in os.walk(root):
        directories[:] = [d for d in directories if d not in SKIPPED]
        for name in names:
            yield os.path.relpath(os.path.join(parent, name), root)  # noqa: PTH118  # speed


def matching(globs: Iterable[str]) -> Callable[[str], bool]:
    """A test whether a name is matched by one of these globs, as `fnmatchcase` would."""
    names = set()
    halves = []
    patterns = []
    for glob in globs:
        head, star, tail = glob.partition("*")
        if set("*?[") & {*head, *tail}:
            patterns.append(translate(glob))
        elif star:
            halves.append((head, tail))
        else:
            names.add(glob)
    pattern = re.compile("|".join(patterns or ["(?!)"]))

    def matches(name: str) -> bool:
        for head, tail in halves:
            whole = len(name) >= len(head) + len(tail)
            if whole and name.startswith(head) and name.endswith(tail):
                return True
        return name in names or bool(pattern.match(name))

    return matches


def trusted(path: str, named: Callable[[str], bool], places: set[str]) -> bool:
    """Whether a path is one of those that decide what the tests say."""
    *parents, name = path.split("/")
    if named(name):
        return True
    return os.path.splitext(name)[1] in CODE and not places.isdisjoint(parents)  # noqa: PTH122  # text in, text out


def beside_trusted(path: str) -> bool:
    """Whether a new file lies in a directory of the repository's: in others it decides nothing."""
    directory = os.path.dirname(path)  # noqa: PTH120  # speed
    if os.path.basename(directory) == "__pycache__":  # noqa: PTH119  # text in, text out
        directory = os.path.dirname(directory)  # noqa: PTH120  # text in, text out
    return os.path.isdir(f"{PRISTINE}/{directory}")  # noqa: PTH112  # speed


def content(path: str) -> bytes | None:
    """What a regular file holds; None for anything else."""
    if os.path.islink(path) or not os.path.isfile(path):  # noqa: PTH113, PTH114  # speed
        return None
    with open(path, "rb") as file:  # noqa: PTH123  # speed
        return file.read()


def changed(order: dict[str, object]) -> Iterator[str]:
    """The trusted files that were changed, removed or made, compiled ones included.

    Python and pytest take a compiled file for its source where size and time agree.
    """
    laid: dict[str, str] = order["laid"]  # type: ignore[assignment]  # JSON that the host made
    names: list[str] = order["names"]  # type: ignore[assignment]  # JSON that the host made
    places = set(order["places"])  # type: ignore[call-overload]  # JSON that the host made
    ignored = set(order["ignored"])  # type: ignore[call-overload]  # JSON that the host made
    named, made = matching(names), matching([*names, *COMPILED])
    for path, text in laid.items():
        if content(f"{REPO}/{path}") != text.encode("utf-8", "surrogateescape"):
            yield path
    for path in files(PRISTINE):
        if path not in laid and path not in ignored and trusted(path, named, places):
            link = os.path.islink(f"{PRISTINE}/{path}")  # noqa: PTH114  # speed
            if not link and content(f"{REPO}/{path}") != content(f"{PRISTINE}/{path}"):
                yield path
    for path in files(REPO):
        known = path in laid or path in ignored or os.path.lexists(f"{PRISTINE}/{path}")
        if not known and beside_trusted(path) and trusted(path, made, set()):
            yield path


def main() -> None:
    """Print what is not as it was."""
    found: list[str] = []
    for path in changed(json.load(sys.stdin)):
        if path not in found:
            found.append(path)
        if len(found) == MOST:
            break
    sys.stdout.write(json.dumps(sorted(found)))


if __name__ == "__main__":
    main()
