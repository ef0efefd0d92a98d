"""Says which of a repository's files hold a text; runs in a box before any patch is laid.

Standard input holds JSON: the text, and the ends of the names of files to look into. Standard
output is a JSON list of paths, at most MOST.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

REPO = "/repo"
SKIPPED = frozenset({".git", "node_modules", "vendor", "target", ".venv"})
MOST = 20
MOST_BYTES = 1024 * 1024


def holding(text: bytes, ends: tuple[str, ...]) -> Iterator[str]:
    """The paths of such files, relative to the repository, following no link."""
    for parent, directories, names in os.walk(REPO):
        directories[:] = sorted(d for d in directories if d not in SKIPPED)
        for name in sorted(names):
            path = Path(parent, name)
            plain = name.endswith(ends) and not path.is_symlink() and path.is_file()
            if plain and path.stat().st_size <= MOST_BYTES and text in path.read_bytes():
                yield os.path.relpath(path, REPO)


def main() -> None:
    """Print the paths."""
    order = json.load(sys.stdin)
    found: list[str] = []
    for path in holding(order["text"].encode(), tuple(order["ends"])):
        found.append(path)
        if len(found) == MOST:
            break
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
