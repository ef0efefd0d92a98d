"""Tests of Maven and Gradle: a control and one twin, each run by its class and its name."""

import re
from collections.abc import Iterator, Sequence

from sandbox.contract import TestCommand, TestFile
from sandbox.runner import command_line
from sandbox.trial.showing import Showing, Tree, order_in, with_order, words_of
from sandbox.twins.java import Wanted, turned

RUNNERS = ("maven", "gradle")
ID = re.compile(r"((?:\w+\.)*)(\w+(?:\$\w+)*) > (\w+)(?:\(\))?")
NOTHING_RAN = "-Dsurefire.failIfNoSpecifiedTests=false"
SETTINGS = ("settings.gradle", "settings.gradle.kts")


def showings(tree: Tree, test: str) -> Iterator[Showing]:
    """What is shown of a test; nothing where it has no twin.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    match = ID.fullmatch(test)
    if match is None:
        return
    package, classes, name = match[1].rstrip("."), match[2].split("$"), match[3]
    file = f"{classes[0]}.java"
    end = "/".join([*package.split("."), file]) if package else file
    holding = tree.holding(f"class {classes[0]}", [file])
    paths = [path for path in holding if f"/{path}".endswith(f"/{end}")]
    if len(paths) != 1 or not paths[0].startswith(tree.folder):
        return  # nowhere; or which of them is compiled, it does not say
    (path,) = paths
    text = tree.read(path) or ""
    made = turned(text, Wanted(package, tuple(classes), name))
    argv = _argv(tree, f"{match[1]}{match[2]}", name, path.removesuffix(end))
    if made is not None and argv is not None:
        yield Showing(test, argv, TestFile(path, made.control), turned=False, source=text)
        for twin in made.twins:
            yield Showing(test, argv, TestFile(path, twin), turned=True)


def _argv(tree: Tree, owner: str, name: str, sources: str) -> tuple[str, ...] | None:
    """The recipe's command for one test; None where its project is not known by its place."""
    command = tree.spec.command
    words = words_of(order_in(command), "argv")
    if command.runner == "maven":
        own = [word for word in words if not word.startswith("-Dtest=")]
        return _command(command, [*own, NOTHING_RAN, f"-Dtest={owner}#{name}"])
    settings = "".join(tree.read(f"{tree.folder}{each}") or "" for each in SETTINGS)
    project = sources.removeprefix(tree.folder).removesuffix("src/test/java/")
    elsewhere = project.endswith("/java/") or "projectDir" in settings
    if words[-1:] != ["test"] or elsewhere or "$" in owner:  # of a class within, not tried here
        return None
    task = ":".join(["", *project.split("/")[:-1], "test"])
    return _command(command, [*words[:-1], task, "--tests", f"{owner}.{name}"])


def _command(command: TestCommand, words: Sequence[str]) -> tuple[str, ...]:
    order = {**order_in(command), "argv": list(words), "select": "none"}
    return command_line(with_order(command, order), [])
