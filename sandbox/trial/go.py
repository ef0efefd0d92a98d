"""Tests of `go test`: a control and one twin, each run by its package and its name."""

import re
from collections.abc import Iterator

from sandbox.contract import TestFile
from sandbox.runner import command_line
from sandbox.trial.showing import Showing, Tree, order_in
from sandbox.twins.go import turned

ID = re.compile(r"(.+?)\.(Test\w*)(?:/.*)?", re.DOTALL)
TEST_FILE = "_test.go"
CONSTRAINED = re.compile(r"^[^\S\n]*//(?:go:build\s|[^\S\n]*\+build\s)", re.MULTILINE)
"""What says in a file that it is compiled under conditions only."""
PLATFORMS = frozenset(
    {"aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux",
     "nacl", "netbsd", "openbsd", "plan9", "solaris", "wasip1", "windows", "zos",
     "386", "amd64", "amd64p32", "arm", "arm64", "armbe", "arm64be", "loong64", "mips", "mips64",
     "mips64le", "mips64p32", "mips64p32le", "mipsle", "ppc", "ppc64", "ppc64le", "riscv",
     "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm"}
)  # fmt: skip
"""Words at the end of a file's name by which Go compiles it for one system or processor only."""
MODULE = re.compile(r"^module\s+\"?([^\s\"]+)", re.MULTILINE)


def showings(tree: Tree, test: str) -> Iterator[Showing]:
    """What is shown of a test; of a subtest, what is shown of the test that holds it.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    match = ID.fullmatch(test)
    module = MODULE.search(tree.read(f"{tree.folder}go.mod") or "")
    if match is None or module is None or order_in(tree.spec.command).get("select") != "go":
        return
    package, name = match.groups()
    holding = tree.holding(f"func {name}(", [TEST_FILE])
    declaring = [path for path in holding if _package(tree, module[1], path) == package]
    if len(declaring) != 1:
        return  # nowhere; or which of them is compiled, it does not say
    (path,) = declaring
    text = tree.read(path)
    found = None if text is None or not _always_built(path, text) else turned(text, name)
    if found is not None:
        argv = command_line(tree.spec.command, [f"{package}.{name}"])
        yield Showing(test, argv, TestFile(path, found.control), turned=False, source=text)
        yield Showing(test, argv, TestFile(path, found.twin), turned=True)


def _package(tree: Tree, module: str, path: str) -> str:
    """The import path of the package that a file of the project lies in."""
    folder = path.removeprefix(tree.folder).rpartition("/")[0]
    return "/".join(filter(None, (module, folder)))


def _always_built(path: str, text: str) -> bool:
    """Whether a test file is compiled wherever it is tested, by its name and what it says."""
    name = path.rpartition("/")[2]
    words = name.removesuffix(TEST_FILE).split("_")[1:]
    return not (name.startswith((".", "_")) or PLATFORMS & set(words) or CONSTRAINED.search(text))
