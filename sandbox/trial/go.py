"""Tests of `go test`: a control and one twin, each run by its package and its name."""

import re
from collections.abc import Iterator

from sandbox.contract import TestFile
from sandbox.runner import command_line
from sandbox.trial.showing import Showing, Tree, order_in
from sandbox.twins.go import turned

ID = re.compile(r"(.+?)\.(Test\w*)(?:/.*)?", re.DOTALL)
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
    for path in tree.holding(f"func {name}(", ["_test.go"]):
        directory = path.removeprefix(tree.folder).rpartition("/")[0]
        if "/".join(filter(None, (module[1], directory))) != package:
            continue
        found = turned(tree.read(path) or "", name)
        if found is not None:
            argv = command_line(tree.spec.command, [f"{package}.{name}"])
            yield Showing(test, argv, TestFile(path, found.control), turned=False)
            yield Showing(test, argv, TestFile(path, found.twin), turned=True)
            return
