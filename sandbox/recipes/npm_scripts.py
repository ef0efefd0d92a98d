"""Which runner a JavaScript repository's `test` script starts, and how to make it report."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from sandbox.recipes.npm_manifest import Manifest

RUNNERS = {
    "vitest": "vitest", "jest": "jest", "mocha": "mocha", "_mocha": "mocha", "tape": "tap",
    "tap": "tap", "borp": "node", "ava": "tap", "node": "node",
}  # fmt: skip
BY_DEPENDENCY = ("vitest", "jest", "mocha", "ava", "tape")
BUILDERS = frozenset(
    {"tsc", "rollup", "esbuild", "babel", "tsup", "unbuild", "swc", "webpack", "vite", "mkdir",
     "cp", "rm", "rimraf", "cpy", "shx", "pegjs", "peggy", "pkgroll", "microbundle", "bunchee"}
)  # fmt: skip
ENVIRONMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
CALLS = re.compile(r"^(?:npm|yarn|pnpm|npm-run-posix-or-windows)$")
QUIET = frozenset({"run", "run-script", "--silent", "-s", "--", "--if-present", "exec"})
TAKES_A_VALUE = frozenset(
    {"--reporter", "-R", "--reporter-options", "--reporter-option", "-O", "--coverageReporters",
     "--outputFile", "--test-reporter", "--test-reporter-destination", "--coverageDirectory",
     "--pool", "--reporters", "--timeout-multiplier"}
)  # fmt: skip
DROPPED = re.compile(
    r"--(?:coverage|watch|watchAll|collectCoverage|check-coverage|no-check-coverage|verbose|bail|ci"
    r"|notify|runInBand|silent|experimental-test-coverage|open|ui|typecheck|100|tap|no-coverage"
    r"|forbid-only|parallel|color|colors|exit-code)(?:[.=].*)?|-i|-b|-w|-p|-c|--jobs=.*|-j.*"
)
"""Options that change what is run or shown; a repair needs neither coverage nor a watcher."""
DEPTH = 6
OWNERS = "the owner's command"
"""A name that no script of a repository has that is called by another: it is more than a word."""
MOST_WORDS = 10_000
"""So many words of scripts are read, counted each time that a script is called."""


@dataclass(frozen=True, slots=True)
class Script:
    """A runner and its arguments as the repository writes them, and what it builds before."""

    runner: str
    program: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = ()  # type: ignore[assignment]  # empty is empty
    builds: tuple[tuple[str, ...], ...] = ()
    reason: str = ""

    @property
    def is_program(self) -> bool:
        """Whether it is a program of the repository's own, started by node."""
        return self.program == "node" and self.runner != "node"


@dataclass(frozen=True, slots=True)
class _Step:
    """One command of a script; `before` says that it stands in a `pre` script."""

    words: list[str]
    before: bool


def choose_script(manifest: Manifest, checkout: Path) -> Script | None:
    """What the `test` script comes down to, else the runner that is among the dependencies."""
    script = _first_runner(_steps(manifest.scripts, "pretest", "test"), manifest)
    if script is None:
        return _by_dependency(manifest, checkout)
    return replace(script, builds=(*_missing_build(manifest, checkout), *script.builds))


def read_command(text: str, manifest: Manifest) -> Script | None:
    """What an owner's command comes down to, which may name a script; None for no known runner."""
    scripts = {**manifest.scripts, OWNERS: text}
    return _first_runner(_steps(scripts, OWNERS), manifest)


def _first_runner(steps: Sequence[_Step], manifest: Manifest) -> Script | None:
    """The first command that runs tests, with those before it that build something."""
    builds: list[tuple[str, ...]] = []
    for step in steps:
        script = _script(step.words, manifest)
        # A program that runs before the tests prepares them; it is not the tests.
        prepares = step.before and script is not None and script.is_program
        if script is not None and not prepares:
            return replace(script, builds=tuple(builds))
        if prepares or (step.words[0] in BUILDERS and "--noEmit" not in step.words):
            builds.append(tuple(step.words))
    return None


def _steps(scripts: Mapping[str, str], *names: str) -> list[_Step]:
    """The commands of these scripts, one after another; what stands in a `pre` script is marked."""
    expansion = _Expansion(scripts)
    return [step for name in names for step in expansion.steps(name, before=name.startswith("pre"))]


class _Expansion:
    """Scripts with those that they call in their places, as far as `MOST_WORDS` reach.

    The manifest may be hostile: scripts that call each other several times grow without bounds.
    """

    def __init__(self, scripts: Mapping[str, str]) -> None:
        self._scripts = scripts
        self._parsed: dict[str, list[list[str]]] = {}
        self._left = MOST_WORDS

    def steps(self, name: str, *, before: bool, within: tuple[str, ...] = ()) -> list[_Step]:
        """A script's commands; none where it is missing, or calls itself by way of `within`.

        What follows a `cd` is left out: it belongs to another folder.
        """
        if name not in self._scripts or name in within or len(within) > DEPTH:
            return []
        found: list[_Step] = []
        for words in takewhile(lambda words: words[0] != "cd", self._commands(name)):
            self._left -= len(words)
            if self._left < 0:
                break
            found += self._expanded(words, (*within, name), before=before)
        return found

    def _expanded(self, words: list[str], within: tuple[str, ...], *, before: bool) -> list[_Step]:
        """What a command comes down to: itself, or the script that it calls with its arguments."""
        called = _called(words, self._scripts)
        if called is None:
            return [_Step(words, before)]
        inner, more = called
        prepares = self.steps(f"pre{inner}", before=True, within=within)
        own = self.steps(inner, before=before, within=within)
        last = [_Step([*step.words, *more], step.before) for step in own[-1:]]
        return prepares + own[:-1] + last

    def _commands(self, name: str) -> list[list[str]]:
        if name not in self._parsed:
            self._parsed[name] = _commands(self._scripts[name])
        return self._parsed[name]


def _commands(text: str) -> list[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if set(word) <= set(";&|"):
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:
        return []
    return [words for words in commands if words]


def _called(words: Sequence[str], scripts: Mapping[str, str]) -> tuple[str, list[str]] | None:
    if not CALLS.match(words[0]):
        return None
    rest = list(words[1:])
    while rest and rest[0] in QUIET:
        rest.pop(0)
    if not rest:
        return None
    name = {"t": "test", "tst": "test"}.get(rest[0], rest[0])
    return (name, [w for w in rest[1:] if w != "--"]) if name in scripts else None


def _script(words: Sequence[str], manifest: Manifest) -> Script | None:
    environment: dict[str, str] = {}
    for index, word in enumerate(words):
        name = word.rpartition("/")[2].removesuffix(".js").removesuffix(".mjs")
        if ENVIRONMENT.fullmatch(word):
            key, _, value = word.partition("=")
            environment[key] = value
        elif name == "node":
            return _node(list(words[index + 1 :]), environment, manifest)
        elif name in RUNNERS:
            arguments = _kept(words[index + 1 :])
            reason = f"the test script starts {name}"
            return Script(RUNNERS[name], name, arguments, environment, (), reason)
    return None


def _node(words: list[str], environment: dict[str, str], manifest: Manifest) -> Script | None:
    """`node` with its own runner, with another runner's file, or with a plain program."""
    if "--test" in words:
        reason = "the test script starts node's own runner"
        return Script("node", "node", _kept(words), environment, (), reason)
    for index, word in enumerate(words):
        name = word.rpartition("/")[2].removesuffix(".js").removesuffix(".mjs")
        if "node_modules" in word and RUNNERS.get(name, "node") != "node":
            reason = f"the test script starts {name}"
            options = shlex.join(words[:index])
            environment = {**environment, "NODE_OPTIONS": options} if options else environment
            return Script(RUNNERS[name], name, _kept(words[index + 1 :]), environment, (), reason)
    if not any(not word.startswith("-") for word in words):
        return None
    prints_tap = bool({"tape", "tap"} & manifest.declared)
    runner = "tap" if prints_tap else "command"
    reason = "the test script runs a program" + (" that prints TAP" if prints_tap else "")
    return Script(runner, "node", tuple(words), environment, (), reason)


def _kept(words: Sequence[str]) -> tuple[str, ...]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in {">", "<", ">>"}:
            break
        elif word.partition("=")[0] in TAKES_A_VALUE:
            skip = "=" not in word
        elif not DROPPED.fullmatch(word):
            kept.append(word)
    return tuple(kept)


def _missing_build(manifest: Manifest, checkout: Path) -> tuple[tuple[str, ...], ...]:
    """The `build` script's commands where what users would load has not been built yet."""
    main = manifest.main
    if not main or main.startswith("/") or ".." in main.split("/"):
        return ()
    places = (checkout / (main + end) for end in ("", ".js", ".cjs", "/index.js"))
    if any(place.exists() for place in places):
        return ()
    steps = _steps(manifest.scripts, "build")
    words = (step.words for step in steps)
    return tuple(tuple(each) for each in words if each[0] in BUILDERS or each[0] == "node")


def _by_dependency(manifest: Manifest, checkout: Path) -> Script | None:
    for name in BY_DEPENDENCY:
        if name in manifest.declared:
            arguments = ("test/**/*.js",) if RUNNERS[name] == "tap" and name == "tape" else ()
            reason = f"{name} is among the dependencies"
            return Script(RUNNERS[name], name, arguments, {}, (), reason)
    looks = ("test", "tests")
    named = any(checkout.glob("*.test.?js")) or any(checkout.glob("*.test.js"))
    if named or any((checkout / place).is_dir() for place in looks):
        return Script("node", "node", ("--test",), {}, (), "node's own runner finds test files")
    return None
