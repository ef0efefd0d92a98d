"""Tests of `cargo test`: a control and the twins, each run by its target and its name.

Tests lie within the product too, and documentation's always do: there the twin is made of the file
as it was, and the patch is laid over it.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence

from sandbox.contract import TestCommand, TestFile
from sandbox.policy import protected
from sandbox.runner import command_line
from sandbox.trial.showing import Showing, Tree, order_in, with_order, words_of
from sandbox.twins.compiled import Turned
from sandbox.twins.rust import LIBRARY, OLD_LIBRARY, Wanted, turned
from sandbox.twins.rust_docs import FENCE, fences_of, turned_example

ID = re.compile(r"([\w./-]+\.rs)::([\w:]+)", re.ASCII)
EXAMPLE = re.compile(r"doc \w+::([\w./-]+\.rs) - .*\(line (\d{1,6})\)", re.ASCII)
ONE_TARGET = re.compile(r"(\w[\w-]*)(?:/main)?\.rs", re.ASCII)
OLD = re.compile(r"^edition\s*=\s*['\"]?2015", re.MULTILINE)
EDITION = re.compile(r"^edition\b", re.MULTILINE)
OPTIONS = frozenset(
    {"--offline", "--locked", "--frozen", "--workspace", "--all", "--no-fail-fast", "--release",
     "-r", "--all-features", "--no-default-features", "--quiet", "-q", "--verbose", "-v"}
)  # fmt: skip
WITH_A_VALUE = frozenset(
    {"--features", "-F", "--package", "-p", "--exclude", "--profile", "--manifest-path"}
)
TARGETS = frozenset({"--all-targets", "--lib", "--bins", "--tests", "--examples", "--benches"})


def showings(tree: Tree, test: str) -> Iterator[Showing]:
    """What is shown of a test; nothing where it has no twin.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    example = EXAMPLE.fullmatch(test)
    match = ID.fullmatch(test)
    if example is not None:
        found = _example(tree, example[1], int(example[2]))
        chosen = ["--doc", "--", f"{int(example[2])})"]
    elif match is not None:
        found = _test(tree, match[1], match[2])
        chosen = [*_targets(match[1]), "--", "--exact", match[2]]
    else:
        return
    argv = _argv(tree.spec.command, chosen)
    if argv is None or len(found) != 1:
        return
    ((path, made),) = found.items()
    laid = any(file.path == path for file in tree.spec.files)
    text = tree.read(path)
    own = None if laid or protected(path) is not None else text
    yield Showing(test, argv, TestFile(path, made.control), turned=False, own=own, source=text)
    for twin in made.twins:
        yield Showing(test, argv, TestFile(path, twin), turned=True, own=own)


def _example(tree: Tree, place: str, line: int) -> Mapping[str, Turned]:
    """The files in which an example of documentation begins at this line, by path.

    None where others may be run with it: cargo knows examples by a word of their names at best.
    """
    found: dict[str, Turned] = {}
    for path in tree.holding(FENCE, [".rs"]):
        text = tree.read(path)
        if text is None:
            return {}
        fences = [number for number in fences_of(text) if f"{number}".endswith(f"{line}")]
        if not fences or not path.startswith(tree.folder):
            continue
        package = _package_of(path, place)
        library = None if package is None else _library_of(tree, package)
        if library is None or found or fences != [line]:
            return {}
        made = turned_example(text, line, library)
        if made is None:
            return {}
        found[path] = made
    return found


def _package_of(path: str, place: str) -> str | None:
    """The folder of the package that an example's file lies in, with a slash at its end.

    In a workspace cargo may name the file from the workspace on or from the package on.
    """
    if not f"/{path}".endswith(f"/{place}") or "src/" not in place:
        return None
    return path[: path.rindex("src/")]


def _test(tree: Tree, target: str, name: str) -> Mapping[str, Turned]:
    """The files in which the module of a test lies and holds it, by path."""
    *modules, own = name.split("::")
    root = target if target.startswith("src/") else f"tests/{target}"
    places = dict(_places(root, modules))
    stranger = secrets.token_hex(8)
    found: dict[str, Turned] = {}
    for path in tree.holding(f"fn {own}(", [".rs"]):
        fits = [end for end in places if f"/{path}".endswith(f"/{end}")]
        if len(fits) != 1 or not path.startswith(tree.folder):
            continue
        library = _library_of(tree, path.removesuffix(fits[0]), root)
        if library is None:
            continue
        made = turned(tree.read(path) or "", Wanted(places[fits[0]], own, stranger, library))
        if made is not None:
            found[path] = made
    return found


def _places(root: str, modules: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The files of a target where a module may be, and the modules that are then within it."""
    yield root, tuple(modules)
    folder = root.rpartition("/")[0]
    for count in range(1, len(modules) + 1):
        place, inner = "/".join([folder, *modules[:count]]), tuple(modules[count:])
        yield f"{place}.rs", inner
        yield f"{place}/mod.rs", inner


def _library_of(tree: Tree, folder: str, root: str = "") -> str | None:
    """Where the package in a folder finds Rust's own names; None where there is no package.

    Neither for one that names this file of tests, as it may give it another name than the file's.
    """
    manifest = tree.read(f"{folder}Cargo.toml") or ""
    named = root.startswith("tests/") and root in manifest
    if "[package]" not in manifest or named:
        return None
    return OLD_LIBRARY if OLD.search(manifest) or not EDITION.search(manifest) else LIBRARY


def _targets(target: str) -> list[str]:
    """The options that choose a target by its first file; empty where that does not tell."""
    if target.startswith("src/"):
        names = {"src/lib.rs": ["--lib"], "src/main.rs": ["--bins"]}
        return names.get(target, ["--bins"] if target.startswith("src/bin/") else [])
    match = ONE_TARGET.fullmatch(target)
    return [] if match is None else ["--test", match[1]]


def _argv(command: TestCommand, chosen: Sequence[str]) -> tuple[str, ...] | None:
    """The recipe's command for one test; None where it asks for what is not known here."""
    order = dict(order_in(command))
    words = words_of(order, "argv")
    if words[:2] != ["cargo", "test"] or chosen[:1] == ["--"]:
        return None
    kept = _options(words[2 : words.index("--")] if "--" in words else words[2:])
    if kept is None:
        return None
    order["argv"] = ["cargo", "test", *kept, *chosen]
    return command_line(with_order(command, order), [])


def _options(words: Sequence[str]) -> list[str] | None:
    """The options without those that choose targets; None where one is not known."""
    kept: list[str] = []
    for at, word in enumerate(words):
        valued = at > 0 and words[at - 1] in WITH_A_VALUE
        known = word in OPTIONS | WITH_A_VALUE or word.split("=")[0] in WITH_A_VALUE
        if valued or known:
            kept.append(word)
        elif word not in TARGETS:
            return None
    return kept
