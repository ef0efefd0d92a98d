"""Tests of pytest and unittest: each as it is, and once for each of its twins."""

from collections.abc import Iterator, Sequence

from sandbox.contract import TestFile
from sandbox.policy import protected
from sandbox.runner import command_line
from sandbox.trial.showing import Showing, Tree
from sandbox.twins.python import twins


def showings(tree: Tree, test: str) -> Iterator[Showing]:
    """What is shown of a test; nothing where it has no twin.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    command = tree.spec.command
    path, names = place_of(test, command.runner)
    # Ids are relative to where pytest finds its settings, which may be the project's folder.
    for place in dict.fromkeys([path, f"{tree.folder}{path}"]):
        text = tree.read(place) if place.endswith(".py") and names else None
        turned = twins(_in_utf8(text), names) if text else ()
        if turned and text:
            argv = command_line(command, [test])
            # Laid as its twins are, or its age would tell; but not over what a patch may change.
            laid = TestFile(place, text) if protected(place) is not None else None
            yield Showing(test, argv, laid, turned=False)
            for twin in turned:
                yield Showing(test, argv, TestFile(place, twin), turned=True)
            return


def _in_utf8(text: str) -> str:
    """A text as Python reads one: without surrogates, which stand for bytes of another encoding."""
    return text.encode("utf-8", "surrogateescape").decode(errors="replace")


def place_of(test: str, runner: str) -> tuple[str, Sequence[str]]:
    """The file that a test id leads to, and the names inside it; empty where it does not say."""
    if runner == "pytest":
        path, *names = test.split("[", maxsplit=1)[0].split("::")
        return path, names
    *module, owner, name = test.split(".") if test.count(".") > 1 else ("", "", "")
    return "/".join(module) + ".py", (owner, name)
