"""Writes down what each script of a repository imports, as it is spelt there; runs in a box."""

import json
import os
import re
import sys
from pathlib import Path

ROOT = Path("/repo")
SCRIPTS = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")
MOST_FILES = 20_000
MOST_CHARS = 1024 * 1024
IMPORT = re.compile(
    r"""\b(?:from|import|require|resolve|mock|importActual)\b\s*\(?\s*["'`]([^"'`\n]{1,300})["'`]"""
)


def main() -> None:
    """Write `path: [what it imports]` to the file that is named."""
    found: dict[str, list[str]] = {}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "node_modules" and name[0] != "."]
        for name in names:
            place = Path(folder, name)
            if not name.endswith(SCRIPTS) or place.is_symlink() or not place.is_file():
                continue
            with place.open(encoding="utf-8", errors="replace") as file:
                found[str(place.relative_to(ROOT))] = IMPORT.findall(file.read(MOST_CHARS))
            if len(found) >= MOST_FILES:
                break
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"files": found}), encoding="utf-8")


main()
