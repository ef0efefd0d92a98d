"""Runs `go test` with canaries in every package that has tests; the tree itself stays as it is.

Arguments: those of `go`. A test that panics ends its package, so the canaries come first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
LISTED = "{{.Dir}}\t{{.Name}}\t{{len .TestGoFiles}}\t{{len .XTestGoFiles}}"
FIELDS = 4
NAMED = ")$"
TESTS = """package NAME

import "testing"

func Test_TOKEN_test_fails(t *testing.T) { t.Fatal("canary TOKEN") }

func Test_TOKEN_test_differs(t *testing.T) { t.Error("canary TOKEN") }

func Test_TOKEN_test_raises(t *testing.T) {
	t.Run("inner", func(t *testing.T) { t.Fatal("canary TOKEN") })
	t.Log("canary TOKEN")
}

func Test_TOKEN_test_holds(t *testing.T) {}
"""


def packages() -> dict[str, str]:
    """The directories of packages with tests, and the packages' names."""
    argv = ["go", "list", "-e", "-f", LISTED, "./..."]
    listed = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    rows = [line.split("\t") for line in listed.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == FIELDS and row[2:] != ["0", "0"]}


def overlay() -> Path:
    """A file that tells the compiler of one more test file in each of these directories."""
    more: dict[str, str] = {}
    for number, (directory, name) in enumerate(packages().items()):
        source = HERE / f"{number}_test.go"
        source.write_text(TESTS.replace("NAME", name), encoding="utf-8")
        more[f"{directory}/0_TOKEN_test.go"] = str(source)
    file = HERE / "overlay.json"
    file.write_text(json.dumps({"Replace": more}), encoding="utf-8")
    return file


def also_ours(words: Sequence[str]) -> list[str]:
    """The arguments, with the canaries among the tests that they name."""
    found = list(words)
    for at, word in enumerate(found[:-1]):
        if word == "-run" and found[at + 1].endswith(NAMED):
            found[at + 1] = f"{found[at + 1][: -len(NAMED)]}|Test_TOKEN_.*{NAMED}"
    return found


def main() -> None:
    """Become `go test`."""
    command, *words = sys.argv[1:]
    os.execvp("go", ["go", command, f"-overlay={overlay()}", *also_ours(words)])  # noqa: S606  # argv is ours and the recipe's


if __name__ == "__main__":
    main()
