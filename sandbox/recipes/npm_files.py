"""Which words of a JavaScript runner's command name test files, and which are its options.

A runner that is told of files besides those runs all of them. So where some files are to be run by
themselves, the words that name others have to go, and nothing else may.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from sandbox.recipes.declared import table, text_of
from sandbox.recipes.npm_manifest import json_of

VALUED: Mapping[str, frozenset[str]] = {
    "mocha": frozenset(
        {"--extension", "--file", "--global", "--globals", "--ignore", "--exclude", "--require",
         "-r", "--node-option", "-n", "--retries", "--jobs", "-j", "--fgrep", "-f", "--grep", "-g",
         "--ui", "-u", "--slow", "-s", "--timeout", "--timeouts", "-t"}
    ),
    "jest": frozenset(
        {"--config", "--env", "--maxConcurrency", "--maxWorkers", "--preset", "--resolver",
         "--rootDir", "--runner", "--seed", "--testEnvironment", "--testNamePattern", "-t",
         "--testTimeout"}
    ),
    "vitest": frozenset(
        {"--config", "--dir", "--environment", "--exclude", "--hookTimeout", "--maxWorkers",
         "--minWorkers", "--mode", "--project", "--retry", "--root", "-r", "--testNamePattern",
         "-t", "--testTimeout", "--workspace"}
    ),
}  # fmt: skip
"""By runner, the options that take the next word and no more."""
FLAGS: Mapping[str, frozenset[str]] = {
    "mocha": frozenset(
        {"--allow-uncaught", "--async-only", "-A", "--check-leaks", "--delay", "--diff", "--exit",
         "--fail-zero", "--forbid-pending", "--full-trace", "--inline-diffs", "--recursive",
         "--sort", "-S"}
    ),
    "jest": frozenset(
        {"--clearMocks", "--detectOpenHandles", "--errorOnDeprecated", "--expand", "--forceExit",
         "--injectGlobals", "--logHeapUsage", "--passWithNoTests", "--randomize", "--resetMocks",
         "--resetModules", "--restoreMocks", "--runTestsByPath", "--useStderr"}
    ),
    "vitest": frozenset(
        {"--allowOnly", "--dangerouslyIgnoreUnhandledErrors", "--dom", "--expandSnapshotDiff",
         "--globals", "--hideSkippedTests", "--isolate", "--logHeapUsage", "--passWithNoTests",
         "--run"}
    ),
}  # fmt: skip
"""By runner, the options that take no word."""
NAMING = frozenset({"--spec", "--testPathPattern", "--testPathPatterns", "--findRelatedTests"})
MOCHA_FILES = tuple(
    f".mocharc.{end}" for end in ("js", "cjs", "mjs", "yaml", "yml", "jsonc", "json")
)
MOCHA_OPTS = "test/mocha.opts"
NAMES_FILES = re.compile(r"""(?<!["'])\b(?:spec|extends)\b\s*[:,}]|["'](?:spec|extends)["']\s*:""")
"""What a configuration has mocha run besides, or another configuration, which is not read."""


def told_apart(
    runner: str, words: Sequence[str], checkout: Path
) -> tuple[list[str], list[str]] | None:
    """The options with their values, and the words that name files; None where it cannot be told.

    That is so too where mocha's configuration names files: no word takes those away.
    """
    if runner == "mocha" and _configured(checkout):
        return None
    return _apart(runner, words)


def _apart(runner: str, words: Sequence[str]) -> tuple[list[str], list[str]] | None:
    options: list[str] = []
    files: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, _ = word.partition("=")
        if not word.startswith("-"):
            files.append(word)
            continue
        options.append(word)
        if name in NAMING:
            return None
        if not equals and name in VALUED[runner]:
            options += islice(left, 1)
        elif not equals and name not in FLAGS[runner] and not name.startswith("--no-"):
            return None  # it may take the next word
    return options, files


def _configured(checkout: Path) -> bool:
    """Whether mocha's configuration names files, or may do so."""
    own = table(json_of(checkout / "package.json"), "mocha")
    older = text_of(checkout / MOCHA_OPTS)
    apart = _apart("mocha", older.split())
    return (
        bool({"spec", "extends"} & own.keys())
        or any(NAMES_FILES.search(text_of(checkout / name)) for name in MOCHA_FILES)
        or apart is None
        or bool(apart[1])
    )
