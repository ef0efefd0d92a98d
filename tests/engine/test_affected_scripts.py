"""JavaScript's affected tests first, with real runners in real boxes."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from engine.evaluate import Bench, Verdict, graded, suite_spec, try_patch
from engine.testspec import Baseline, learn
from sandbox.backends import open_sandbox
from sandbox.contract import Box, Limits, Patch, Sandbox
from sandbox.errors import ImageBuildError
from sandbox.images import prepare
from sandbox.impact import learn_impact
from sandbox.settings import SandboxSettings

SETTINGS = SandboxSettings(kind="bubblewrap")
LIMITS = SETTINGS.limits()
ISSUE = "Doubling gives too little\n\nIt should be twice as much."
GLOBAL = "global.expect = require('assert').strictEqual\n"
"""What only a run of all files loads before the tests that need it."""
EQUAL = {
    "mocha": "const { strictEqual: equal } = require('assert')\n",
    "jest": "const equal = (found, wanted) => expect(found).toBe(wanted)\n",
    "vitest": "const equal = (found, wanted) => expect(found).toBe(wanted)\n",
}
SOURCES = {
    "src/double.js": "exports.double = x => x + x + 1\nexports.half = x => x / 2\n",
    "src/other.js": "exports.other = x => x\n",
}
FIX = Patch(
    "--- a/src/double.js\n+++ b/src/double.js\n@@ -1,1 +1,1 @@\n"
    "-exports.double = x => x + x + 1\n+exports.double = x => x + x\n"
)
BREAKS = Patch(
    "--- a/src/double.js\n+++ b/src/double.js\n@@ -1,2 +1,2 @@\n"
    "-exports.double = x => x + x + 1\n-exports.half = x => x / 2\n"
    "+exports.double = x => x + x\n+exports.half = x => x / 3\n"
)


class Counting:
    """The real sandbox, which counts its boxes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.opened = sandbox, 0

    def open(self, image: str, limits: Limits) -> AbstractContextManager[Box]:
        self.opened += 1
        return self.sandbox.open(image, limits)

    def __getattr__(self, name: str) -> object:
        return getattr(self.sandbox, name)


def files_with(equal: str, before: str) -> dict[str, str]:
    """Three files of tests; a red one and a green one are affected by the change."""
    cases = {
        "double": f"it('doubles', () => {equal}(double(2), 4))\n"
        f"it('halves', () => {equal}(half(4), 2))\n",
        "other": "".join(f"it('gives {n}', () => {equal}(other({n}), {n}))\n" for n in range(3)),
    }
    names = {"double": "double, half", "other": "other"}
    return {
        f"test/{name}.test.js": f"{before}const {{ {names[name]} }} = require('../src/{name}.js')\n"
        f"describe('{name}', () => {{\n{text}}})\n"
        for name, text in cases.items()
    }


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox("bubblewrap", SETTINGS)


@pytest.fixture
def based(sandbox: Sandbox, tmp_path: Path) -> Callable[[Mapping[str, str]], Baseline]:
    """What is learnt of a repository as if its suite took long."""

    def learnt(files: Mapping[str, str]) -> Baseline:
        for path, text in files.items():
            place = tmp_path / "repo" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        try:
            found = prepare(sandbox, tmp_path / "repo", test_command=None, settings=SETTINGS)
        except ImageBuildError as error:
            if error.step != "toolchain":
                raise
            pytest.skip(str(error))
        baseline = learn(sandbox, found, ISSUE, LIMITS)
        assert isinstance(baseline, Baseline), baseline
        spec = suite_spec(baseline)
        impact = learn_impact(sandbox, spec, tuple(baseline.before), LIMITS)
        return baseline.model_copy(update={"impact": impact})

    return learnt


def package(script: str, version: str) -> dict[str, str]:
    runner = script.split(maxsplit=1)[0]
    manifest = {"name": "x", "scripts": {"test": script}, "devDependencies": {runner: version}}
    return {"package.json": json.dumps(manifest), **SOURCES}


def tried(sandbox: Sandbox, baseline: Baseline, patch: Patch) -> tuple[Verdict, int]:
    counting = Counting(sandbox)
    return try_patch(Bench(counting, baseline, LIMITS), patch), counting.opened  # type: ignore[arg-type]  # as much of a sandbox as is used


@pytest.mark.network
@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("mocha --recursive 'test/**/*.js'", "^11.0.0"),
        ("jest test src", "^29.0.0"),
        ("vitest run --globals test src", "^3.0.0"),
    ],
)
def test_a_bad_candidate_is_spared_the_suite_and_a_good_one_passes_it(
    sandbox: Sandbox, based: Callable[[Mapping[str, str]], Baseline], script: str, version: str
) -> None:
    runner = script.split(maxsplit=1)[0]
    baseline = based({**package(script, version), **files_with("equal", EQUAL[runner])})
    assert baseline.impact is not None
    halves = [test for test in baseline.pass_to_pass if test.endswith("halves")]
    verdict, opened = tried(sandbox, baseline, BREAKS)
    assert list(verdict.broke_first) == halves
    assert {test.split(" > ")[0] for test in verdict.statuses} == {"test/double.test.js"}
    assert opened == 3, "what it affects twice, and once without it"
    verdict, opened = tried(sandbox, baseline, FIX)
    assert graded(baseline, verdict).resolved
    assert {test.split(" > ")[0] for test in verdict.statuses} > {"test/double.test.js"}
    assert opened == 2, "what it affects, the suite"


@pytest.mark.network
def test_files_that_need_what_another_sets_up_reject_no_good_candidate(
    sandbox: Sandbox, based: Callable[[Mapping[str, str]], Baseline]
) -> None:
    files = {**package("mocha", "^11.0.0"), "test/setup.js": GLOBAL, **files_with("expect", "")}
    baseline = based(files)
    assert baseline.impact is not None
    verdict, opened = tried(sandbox, baseline, FIX)
    assert verdict.broke_first == ()
    assert graded(baseline, verdict).resolved
    assert opened == 4, "what it affects twice, and once without it; the suite"
    verdict, _ = tried(sandbox, baseline, BREAKS)
    broken = graded(baseline, verdict).broken
    assert [test.rpartition(" ")[2] for test in broken] == ["halves"]
