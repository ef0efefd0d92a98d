"""What is shown to a winner in one box, and the tree in which tests are looked for to make it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from sandbox.contract import Box, TestCommand, TestFile, TestSpec
from sandbox.planted import text_of
from sandbox.planted.files_holding import MOST
from sandbox.recipes.layers import program
from sandbox.reported_canaries import order_of
from sandbox.unified_diff import FileChange, Hunk

SOURCE_BYTES = 128 * 1024
"""A larger file is not read: reading is done where no limit of a box holds."""
LOOK_S = 60.0
PATHS = TypeAdapter(list[str])


@dataclass(frozen=True, slots=True)
class Showing:
    """One test in one box: as it is, or turned around, in which case it has to fail.

    `file` takes the place of the test's own file, which held `source`; None leaves that as it is.
    Where tests lie within the product, `own` is that file's text as well, and the patch goes over
    `file` and not the other way.
    """

    test: str
    argv: tuple[str, ...]
    file: TestFile | None
    turned: bool
    own: str | None = None
    source: str | None = None

    def unedited(self) -> "Showing | None":
        """The same with the file's own text, laid as the edited one is; None where none is laid.

        So nothing about the file but what it holds tells which of the two is shown.
        """
        if self.file is None or self.source is None:
            return None
        return replace(self, file=replace(self.file, text=self.source))

    def fitted(self, changes: Sequence[FileChange]) -> tuple[FileChange, ...]:
        """Changes made to fit the file in which some lines are edited that they leave as they are.

        One that has such a line removed, or one that is like it, no longer applies.
        """
        if self.file is None or self.own is None:
            return tuple(changes)
        pairs = zip(_lines(self.own), _lines(self.file.text), strict=True)
        edits = {own: edited for own, edited in pairs if own != edited}
        return tuple(
            replace(change, hunks=tuple(_fitted(hunk, edits) for hunk in change.hunks))
            if change.old == self.file.path
            else change
            for change in changes
        )


def _lines(text: str) -> list[str]:
    """Lines as a diff sees them: only a line feed ends one."""
    return [f"{line}\n" for line in text.split("\n")]


def _fitted(hunk: Hunk, edits: Mapping[str, str]) -> Hunk:
    old, new = (tuple(edits.get(line, line) for line in lines) for lines in (hunk.old, hunk.new))
    return replace(hunk, old=old, new=new)


@dataclass(frozen=True, slots=True)
class Tree:
    """The repository as its tests see it, in a box that no candidate has touched."""

    box: Box
    spec: TestSpec

    @property
    def folder(self) -> str:
        """The project's folder with a slash at its end; empty for the whole repository."""
        argv = self.spec.command.argv
        mover = program("in_folder.py")
        return argv[argv.index(mover) + 1] if mover in argv else ""

    def read(self, path: str) -> str | None:
        """A file's text; None where it is absent, too large, or outside.

        Bytes that are no UTF-8 are surrogates in it, so that it can be laid as it was.

        Raises:
            SandboxUnavailableError: the box failed.
        """
        laid = {file.path: file.text for file in self.spec.files}
        if path in laid:
            return laid[path]
        if not path or path.startswith("/") or ".." in path.split("/"):
            return None
        data = self.box.read_file(path, SOURCE_BYTES)
        return None if data is None else data.decode("utf-8", errors="surrogateescape")

    def holding(self, text: str, ends: Sequence[str]) -> list[str]:
        """The paths of files that hold a text; none where there are many, or nothing plain is said.

        Raises:
            SandboxUnavailableError: the box failed.
        """
        argv = ["python3", "-I", "-S", "-c", text_of("files_holding.py")]
        order = json.dumps({"text": text, "ends": list(ends)}).encode()
        result = self.box.exec(argv, stdin=order, wall_clock_s=LOOK_S)
        try:
            found = PATHS.validate_json(result.output) if result.exit_code == 0 else []
        except ValidationError:
            return []
        return found if len(found) < MOST else []  # of which it is not known that they are all


def order_in(command: TestCommand) -> Mapping[str, object]:
    """What a recipe tells the program that runs its command; empty where it is of no recipe."""
    orders = (order_of(word) for word in command.argv)
    return next((order for order in orders if order is not None), {})


def with_order(command: TestCommand, order: Mapping[str, object]) -> TestCommand:
    """A recipe's command with another order."""
    told = json.dumps(order, sort_keys=True)
    words = (word if order_of(word) is None else told for word in command.argv)
    return replace(command, argv=tuple(words))


def words_of(order: Mapping[str, object], key: str) -> list[str]:
    """A list of words in an order; empty where there is none."""
    found = order.get(key)
    return [str(word) for word in found] if isinstance(found, list) else []
