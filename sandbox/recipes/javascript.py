"""JavaScript and TypeScript repositories: npm, yarn or pnpm; vitest, jest, mocha, TAP or node."""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes import machine, node_home, npm_packages
from sandbox.recipes.layers import Layer, leads_out, place_in_repository, reported, script
from sandbox.recipes.npm_files import told_apart
from sandbox.recipes.npm_manifest import NAME, allowed, json_of, read_manifest
from sandbox.recipes.npm_scripts import Script, choose_script, read_command
from sandbox.recipes.place import PROJECT_NOTES, REPORT
from sandbox.recipes.steps import HERE, Steps

VERSION = "5"  # raise it when what goes into an image changes
JOINS = frozenset({"&&", ";"})
BIN = "node_modules/.bin"
ENVIRONMENT = {"CI": "1", "NO_COLOR": "1", "FORCE_COLOR": "0", "NODE_ENV": "test"}
BY_FILE: Mapping[str, tuple[str, ...]] = {
    "vitest": ("vitest", "run", "--reporter=json", f"--outputFile={REPORT}", "--maxWorkers=1",
               "--minWorkers=1", "--coverage.enabled=false"),
    "jest": ("jest", "--ci", "-i", "--json", f"--outputFile={REPORT}", "--coverage=false",
             "--watchAll=false", "--cacheDirectory=/tmp/jest"),
    "mocha": ("mocha", "--reporter", "json", "--reporter-options", f"output={REPORT}"),
}  # fmt: skip
"""Runners whose reports name files, so that some tests can be run by theirs."""
NODE = ("node", "--test", "--test-reporter=junit", f"--test-reporter-destination={REPORT}")
BORP = {"borp": ("*.test.js", "test/*.test.js", "test/**/*.test.js"), "node": ()}
TAP = {"ava": ("--tap",), "tap": ("--reporter=tap",)}
PATIENT = {"ava": ("--timeout=1h",)}
"""Ava gives up when no test ends within 10 seconds; compiling alone can take those."""
SCRATCH = {name: f"/tmp/node/{name}" for name in (".vite-temp", ".vite", ".cache")}  # noqa: S108  # in the box
"""What tools write among the packages, where a box lets nobody: vite its compiled configuration,
and caches. Links lead from there to these places, which are made with each run.
"""


class JavaScriptRecipe:
    """See `sandbox.recipes.layers.Recipe`."""

    def applies(self, checkout: Path) -> bool:
        """Whether there is a manifest."""
        return bool(json_of(checkout / "package.json"))

    def toolchain(self, checkout: Path) -> Layer:
        """This machine's node.

        Raises:
            ImageBuildError: there is none.
        """
        del checkout
        node = machine.program("node", "install Node.js 20 or newer (Debian: 'nodejs npm')")
        parts = node_home.parts(node)
        layer = machine.layer(
            machine.Toolchain(
                "node",
                launchers={"node": "node/node"},
                files={"node/node": node, **parts},
                proof=("/opt/env/bin/node", "--version"),
            )
        )
        if not parts:
            return layer

        def lay(target: Path) -> None:
            layer.lay(target)
            node_home.relocate(target)

        # `--version` answers without the parts of itself that are looked for elsewhere.
        return Layer(layer.key, lay, ("/opt/env/bin/node", "--eval", "0"))

    def dependencies(self, checkout: Path, packages: Sequence[str] | None = None) -> Layer:
        """`node_modules`, as the manifest and a lock file say.

        Raises:
            ImageBuildError: a package is none of a registry.
        """
        manifest = read_manifest(checkout)
        wanted = manifest.wanted if packages is None else _asked(packages)
        # npm refuses what is said both by the owners and by a lock, so theirs stands alone.
        overrides = manifest.overrides if packages is None else {}
        key = json.dumps([VERSION, sorted(wanted.items()), manifest.lock, overrides])

        def lay(target: Path) -> None:
            place = target / "opt/project"
            dropped = npm_packages.download(wanted, manifest.lock, place, overrides)
            _link_scratch(place / "node_modules")
            if dropped:
                note = f"npm does not have {', '.join(dropped)}"
                notes = target / PROJECT_NOTES.lstrip("/")
                notes.write_text(note, encoding="utf-8")

        return Layer(key, lay, ("true",))

    def source(self, checkout: Path, path: str = HERE) -> Layer:
        """The repository, with its packages where node looks for them."""
        laid = os.path.lexists(checkout / "node_modules")

        def lay(target: Path) -> None:
            if not laid:
                link = target / place_in_repository(path) / "node_modules"
                if leads_out(link.parent, target):
                    reason = f"{path!r} leads out of the repository; name the folder itself"
                    raise ImageBuildError("copy", reason)
                link.symlink_to("/opt/project/node_modules")

        return Layer(f"{VERSION}\n{laid}\n{path}", lay, script("build_repo.py"))

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """What the `test` script comes down to, made to report.

        Raises:
            ImageBuildError: there is no test script and nothing that looks like tests.
        """
        manifest = read_manifest(checkout)
        if wanted:
            found = read_command(_line(wanted), manifest)
            reason = "the repository's owner set this command"
            if found is None:
                return (TestCommand("command", tuple(wanted), reason),)
            return (command(found, reason, checkout),)
        found = choose_script(manifest, checkout)
        if found is None:
            said = manifest.scripts.get("test", "")
            reason = f"the test script {said!r} starts no runner that is known" if said else (
                "package.json has no test script and no known test runner"
            )  # fmt: skip
            raise ImageBuildError("test command", f"{reason}; set `test_command` in evoscale.yml")
        return (command(found, found.reason, checkout),)

    def found(self, checkout: Path) -> Steps:
        """The packages that the manifest asks for, and what its test script comes down to."""
        manifest = read_manifest(checkout)
        packages = tuple(f"{name}@{wanted}" for name, wanted in sorted(manifest.wanted.items()))
        script = choose_script(manifest, checkout)
        return Steps(packages=packages, test_command=_written(script) if script else "")


def _link_scratch(packages: Path) -> None:
    packages.mkdir(exist_ok=True)
    for name, place in SCRATCH.items():
        if not os.path.lexists(packages / name):
            (packages / name).symlink_to(place)


def _line(wanted: Sequence[str]) -> str:
    """An owner's command as one line, without the place for the tests that are chosen."""
    words = (word if word in JOINS else shlex.quote(word) for word in wanted if word != "{tests}")
    return " ".join(words)


def _asked(packages: Sequence[str]) -> dict[str, str]:
    """Names and ranges out of `name@range`.

    Raises:
        ImageBuildError: one is no package of a registry.
    """
    asked: dict[str, str] = {}
    for text in packages:
        scope, name, wanted = re.fullmatch(r"(@?)([^@]*)@?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # it matches every text
        if not NAME.fullmatch(scope + name) or not allowed(wanted):
            reason = f"{text!r} is no package of a registry; write 'name@range', for example 'a@^1'"
            raise ImageBuildError("packages", reason)
        asked[scope + name] = wanted or npm_packages.ANY
    return asked


def _written(found: Script) -> str:
    """A script as one command line that comes down to the same."""
    own = [f"{key}={value}" for key, value in dict(found.environment).items()]
    words = [*own, found.program, *found.arguments]
    if found.runner == "node" and "--test" not in found.arguments and found.program == "node":
        words = [*own, "node", "--test", *found.arguments]
    steps = [shlex.join(step) for step in found.builds]
    return " && ".join([*steps, " ".join(_quoted(word) for word in words)])


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    plain = equals and key.isidentifier()
    return f"{key}={shlex.quote(value)}" if plain else shlex.quote(word)


def command(found: Script, reason: str, checkout: Path) -> TestCommand:
    """A runner's command line with the options that make it report."""
    argv, order = _runner(found, checkout)
    order |= {
        "argv": _after_builds(found, argv),
        "env": {**ENVIRONMENT, **dict(found.environment)},
        "path": [BIN],
        "scratch": list(SCRATCH.values()),
    }
    return reported(found.runner, order, reason)


def _after_builds(found: Script, argv: list[str]) -> list[str]:
    if not found.builds:
        return argv
    steps = " && ".join(shlex.join(words) for words in found.builds)
    return ["sh", "-c", f'{steps} && exec "$@"', "sh", *argv]


def _runner(found: Script, checkout: Path) -> tuple[list[str], dict[str, object]]:
    """The argv and, for the program that runs it, how ids and the report are handled."""
    own = [word for word in found.arguments if word not in {"run", "{tests}"}]
    if found.runner in BY_FILE:
        return _by_file(found.runner, own, checkout)
    order: dict[str, object] = {"select": "none", "all": own, "expand": True}
    if found.runner == "node":
        order["all"] = [word for word in own if word != "--test"] or list(BORP[found.program])
        return list(NODE), order
    if found.runner == "tap":
        limited = any(word.partition("=")[0] in {"--timeout", "-T"} for word in own)
        patient = () if limited else PATIENT.get(found.program, ())
        argv = [found.program, *TAP.get(found.program, ()), *patient]
        return argv, {**order, "output": "tap"}
    return [found.program], order


def _by_file(runner: str, own: list[str], checkout: Path) -> tuple[list[str], dict[str, object]]:
    """The argv and the order of a runner whose ids name files.

    Chosen files stand in the place of those that the script names (`all`), or beside them where
    these cannot be told from its options (no `alone`).
    """
    order: dict[str, object] = {"select": "files", "output": "json" if runner == "mocha" else ""}
    apart = told_apart(runner, own, checkout)
    if apart is None:
        return [*BY_FILE[runner], *own], order
    options, files = apart
    return [*BY_FILE[runner], *options], {**order, "all": files, "alone": True}
