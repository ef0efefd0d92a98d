"""How tests of ours get into a run of `node --test`, jest, vitest, mocha, `go test`, `cargo test`.

Test files of JavaScript are apart from each other (processes, contexts, workers), so each gets
canaries of its own, where its product code is; mocha reads all files into one process and has one
set, and each of Go's packages and of cargo's test targets is a program with a set of its own.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from sandbox.planted import text_of

FAILING = ("test_fails", "test_differs", "test_raises")
FILES: Mapping[str, tuple[str, ...]] = {
    "node": ("canary_node.cjs", "canary_node_reporter.mjs"),
    "jest": ("canary_jest.cjs", "canary_jest_tests.cjs", "canary_jest_reporter.cjs"),
    "vitest": ("canary_vitest.mjs", "canary_vitest_runner.mjs"),
    "mocha": ("canary_mocha.cjs",),
    "go": ("canary_go.py",),
    "cargo": ("canary_cargo.py",),
}
REPLACED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "node": ("--test-reporter=junit", ("--test-reporter={place}/canary_node_reporter.mjs",)),
    "jest": (
        "jest",
        ("jest", "--testRunner={place}/canary_jest.cjs",
         "--reporters={place}/canary_jest_reporter.cjs", "--bail=0"),
    ),
    "vitest": ("vitest", ("node", "{place}/canary_vitest.mjs")),
    "mocha": ("mocha", ("mocha", "--require={place}/canary_mocha.cjs")),
    "go": ("go", ("python3", "-I", "-S", "{place}/canary_go.py")),
    "cargo": ("cargo", ("python3", "-I", "-S", "{place}/canary_cargo.py")),
}  # fmt: skip
"""By runner, the word of the recipe's command line that makes way, and what comes in its place."""
PRELOAD = "--require={place}/canary_node.cjs"
OPTIONS = "NODE_OPTIONS"
PLACES: Mapping[str, re.Pattern[str]] = {
    "jest": re.compile(r"(.+?) > ", re.DOTALL),
    "vitest": re.compile(r"(.+?) > ", re.DOTALL),
    "go": re.compile(r"(.+?)\.(?:Test|Example|Fuzz)", re.DOTALL),
    "cargo": re.compile(r"(?!doc )(.+?)::", re.DOTALL),
}
"""What ids begin with: a file, or a package; one that was not even loaded has no more than that."""
COUNTING: Mapping[str, re.Pattern[bytes]] = {
    "cargo": re.compile(
        rb"running \d+ tests?$|test result: |error: (?:test failed, to rerun|\d+ targets? failed)"
    ),
}
"""Lines in which a runner counts the canaries too: they are kept from people and models."""


def files(runner: str, token: str, place: str) -> dict[str, str]:
    """The programs that a run needs, by where they go."""
    return {f"{place}/{name}": text_of(name).replace("TOKEN", token) for name in FILES[runner]}


def command_line(runner: str, place: str, argv: Sequence[str]) -> tuple[str, ...]:
    """A recipe's command line with the canaries; as it was where it is none of a recipe's."""
    words = list(argv)
    for at, word in enumerate(words):
        order = order_of(word)
        if order is not None:
            words[at] = json.dumps(_with_canaries(runner, place, order), sort_keys=True)
            break
    return tuple(words)


def order_of(word: str) -> dict[str, object] | None:
    """What a recipe tells the program that runs its command."""
    if not word.startswith("{"):
        return None
    try:
        order = json.loads(word)
    except ValueError:
        return None
    return order if isinstance(order.get("argv"), list) else None


def _with_canaries(runner: str, place: str, order: Mapping[str, object]) -> dict[str, object]:
    wanted, instead = REPLACED[runner]
    argv: list[str] = []
    words, env = order["argv"], order.get("env", {})
    assert isinstance(words, list)  # noqa: S101  # `order_of` looked
    assert isinstance(env, dict)  # noqa: S101  # recipes write nothing else
    for word in words:
        argv += [each.format(place=place) for each in instead] if word == wanted else [word]
    if runner == "node":
        own = PRELOAD.format(place=place)
        env = {**env, OPTIONS: " ".join(filter(None, (env.get(OPTIONS, ""), own)))}
    return {**order, "argv": argv, "env": env}


def expected_exit_code(runner: str) -> int:
    """The exit code of a run in which nothing but the canaries failed."""
    return {"mocha": len(FAILING), "cargo": 101}.get(runner, 1)


def places(runner: str, tests: Iterable[str]) -> set[str] | None:
    """Where there have to be canaries for these tests; None where their ids do not tell."""
    if runner not in PLACES:
        return None
    found = (PLACES[runner].match(test) for test in tests)
    return {match[1] for match in found if match}


def place_and_name(runner: str, test: str, token: str) -> tuple[str, str]:
    """Where a canary is, as far as its id says, and which it is."""
    before, _, name = test.partition(token)
    match = PLACES[runner].match(test) if runner in PLACES else None
    place = match[1] if match else before.split(" > ")[0]
    return place, name.lstrip(" >_:")
