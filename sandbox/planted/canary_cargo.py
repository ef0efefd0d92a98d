"""Runs `cargo test` with canaries in every test program; the tree itself stays as it is.

Arguments: those of `cargo`, or, as its wrapper of the compiler, those of the compiler: the file
that begins a test program is compiled from a copy beside it that also holds the canaries.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__)
WRAPPER = "build.rustc-workspace-wrapper"
TEST = "test"
ON = "--no-fail-fast"
TESTS = """
#[cfg(test)]
mod zz_TOKEN {
    #[test]
    fn test_fails() {
        panic!("canary TOKEN");
    }

    #[test]
    fn test_differs() {
        assert_eq!("canary TOKEN", "not canary TOKEN");
    }

    #[test]
    fn test_raises() {
        let none: Result<(), &str> = Err("canary TOKEN");
        none.unwrap();
    }

    #[test]
    fn test_holds() {}
}
"""


def with_canaries(root: Path) -> Path:
    """A copy of a program's first file, in its folder because modules are looked for there."""
    copy = root.with_name(f".TOKEN_{root.name}")
    copy.write_bytes(root.read_bytes() + TESTS.encode())
    return copy


def compile_tests(words: Sequence[str], at: int) -> int:
    """Compile a test program from a copy that keeps its name in messages; the exit code."""
    root = Path(words[at])
    copy = with_canaries(root)
    name = f"--remap-path-prefix={copy}={root}"
    try:
        argv = [*words[:at], str(copy), *words[at + 1 :], name]
        return subprocess.run(argv, check=False, close_fds=False).returncode  # cargo's job server
    finally:
        copy.unlink()


def wrap(words: Sequence[str]) -> int:
    """Compile as asked; with canaries where it is a test program."""
    roots = [at for at, word in enumerate(words) if word.endswith(".rs") and word[0] != "-"]
    if "--test" not in words or len(roots) != 1:
        os.execvp(words[0], list(words))  # noqa: S606  # the compiler, as cargo calls it
    return compile_tests(words, roots[0])


def main() -> None:
    """Become `cargo test`, or the compiler."""
    command, *words = sys.argv[1:]
    if command != TEST:
        sys.exit(wrap([command, *words]))
    HERE.write_text(f"#!{sys.executable} -IS\n{HERE.read_text()}", encoding="utf-8")
    HERE.chmod(0o755)
    going_on = words if ON in words else [ON, *words]  # after a program in which tests failed
    argv = ["cargo", "--config", f'{WRAPPER}="{HERE}"', TEST, *going_on]
    os.execvp("cargo", argv)  # noqa: S606  # argv is ours and the recipe's


if __name__ == "__main__":
    main()
