"""Says which of a repository's trusted files are not what they were; runs in a box after the tests.

Standard input holds JSON: names and places to look at as globs, files that the host laid itself
with their SHA-256, and paths not to look at. Standard output is a JSON list of paths, at most MOST.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

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


def trusted(path: str, names: list[str], places: list[str]) -> bool:
    """Whether a path is one of those that decide what the tests say."""
    *parents, name = path.split("/")
    if any(fnmatchcase(name, glob) for glob in names):
        return True
    return os.path.splitext(name)[1] in CODE and bool(set(places) & set(parents))  # noqa: PTH122  # text in, text out


def beside_trusted(path: str) -> bool:
    """Whether a new file lies in a directory of the repository's: in others it decides nothing."""
    directory = os.path.dirname(path)  # noqa: PTH120  # speed
    if os.path.basename(directory) == "__pycache__":  # noqa: PTH119  # text in, text out
        directory = os.path.dirname(directory)  # noqa: PTH120  # text in, text out
    return os.path.isdir(f"{PRISTINE}/{directory}")  # noqa: PTH112  # speed


def digest(path: str) -> str | None:
    """A regular file's hash; None for anything else."""
    file = Path(path)
    if file.is_symlink() or not file.is_file():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()


def changed(order: dict[str, object]) -> Iterator[str]:
    """The trusted files that were changed, removed or made, compiled ones included.

    Python and pytest take a compiled file for its source where size and time agree.
    """
    laid: dict[str, str] = order["laid"]  # type: ignore[assignment]  # JSON that the host made
    names: list[str] = order["names"]  # type: ignore[assignment]  # JSON that the host made
    places: list[str] = order["places"]  # type: ignore[assignment]  # JSON that the host made
    ignored = set(order["ignored"])  # type: ignore[call-overload]  # JSON that the host made
    for path, wanted in laid.items():
        if digest(f"{REPO}/{path}") != wanted:
            yield path
    for path in files(PRISTINE):
        if path not in laid and path not in ignored and trusted(path, names, places):
            link = os.path.islink(f"{PRISTINE}/{path}")  # noqa: PTH114  # speed
            if not link and digest(f"{REPO}/{path}") != digest(f"{PRISTINE}/{path}"):
                yield path
    for path in files(REPO):
        known = path in laid or path in ignored or os.path.lexists(f"{PRISTINE}/{path}")
        if not known and beside_trusted(path) and trusted(path, [*names, *COMPILED], []):
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
