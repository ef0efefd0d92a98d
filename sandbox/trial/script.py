"""Tests of JavaScript's runners: a control and the twins, each run by its file and its name."""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sandbox.contract import REPO, TestCommand, TestFile
from sandbox.runner import command_line
from sandbox.trial.showing import Showing, Tree, order_in, with_order, words_of
from sandbox.twins.script import Turned, Wanted, titles_alone, turned

BY_NAME: Mapping[str, str] = {"jest": "-t", "vitest": "-t", "mocha": "--grep"}
"""By runner, the option that chooses tests by a pattern for their suites' titles and their own."""
NODE = "node"
RUNNERS = frozenset({*BY_NAME, NODE})
JOINTS: Mapping[str, str] = {"mocha": " "}
ENDS = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx")
TYPED = (".ts", ".mts", ".cts", ".tsx")
SPECIAL = re.compile(r"[\\^$.*+?()\[\]{}|/]")
TAKES_A_VALUE = frozenset(
    {"--import", "--require", "-r", "--loader", "--experimental-loader", "--conditions", "-C"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """A file and the test in it that an id means."""

    path: str
    text: str
    wanted: Wanted


def showings(tree: Tree, test: str) -> Iterator[Showing]:
    """What is shown of a test; nothing where it has no twin.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    made = [
        (place, found)
        for place in _places(tree, test)
        if (found := turned(place.text, place.wanted))
    ]
    if len(made) != 1:
        return  # nowhere, or in two files under one name
    ((place, found),) = made
    argv = _argv(tree.spec.command, place, test, found.titles)
    if argv is not None:
        yield from _shown(test, argv, place, found)


def _shown(test: str, argv: tuple[str, ...], place: Place, found: Turned) -> Iterator[Showing]:
    control = TestFile(place.path, found.control)
    yield Showing(test, argv, control, turned=False, source=place.text)
    for twin in found.twins:
        yield Showing(test, argv, TestFile(place.path, twin), turned=True)


def _places(tree: Tree, test: str) -> Iterator[Place]:
    """Where a test may be: ids name its file, but for those of node's own runner."""
    runner = tree.spec.command.runner
    file, _, titles = test.partition(" > ")
    if runner == NODE:
        titles, paths = test, tree.holding(test.rpartition(" > ")[2], ENDS)
    else:
        paths = [file] if file.endswith(ENDS) else []
    for path in paths:
        text = tree.read(path)
        if text is not None and path.startswith(tree.folder):
            wanted = Wanted(
                titles,
                JOINTS.get(runner, " > "),
                secrets.token_hex(8),
                typed=path.endswith(TYPED),
                context=runner == NODE,
            )
            yield Place(path, text, wanted)


def _argv(
    command: TestCommand, place: Place, test: str, titles: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The recipe's command for one test; None where it is none of a recipe's."""
    order = dict(order_in(command))
    words = words_of(order, "argv")
    if command.runner == NODE:
        names = titles_alone(place.text, place.wanted)
        if "--test" not in words or not names:
            return None
        order["argv"] = [*words, *(f"--test-name-pattern=^{_escaped(name)}$" for name in names)]
        order["all"] = [*_options(words_of(order, "all")), f"{REPO}/{place.path}"]
        return command_line(with_order(command, order), [])
    if order.get("select") != "files":
        return None
    # Not out of the id: a title may hold what ids join titles with.
    order["argv"] = [*words, BY_NAME[command.runner], f"^{_escaped(' '.join(titles))}$"]
    return command_line(with_order(command, order), [test])


def _escaped(title: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", title)


def _options(words: list[str]) -> list[str]:
    """The options among a command's words, without the files."""
    kept: list[str] = []
    for at, word in enumerate(words):
        if word.startswith("-") or (at and words[at - 1] in TAKES_A_VALUE):
            kept.append(word)
    return kept
