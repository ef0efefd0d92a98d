"""Fakes for the runners of JavaScript and Go on every back end: contained, named, and the honest fix believed."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import Limits, Sandbox, TestReport, TestSpec
from sandbox.errors import ImageBuildError
from sandbox.grading import grade
from sandbox.policy import check_patch
from sandbox.runner import run_tests
from sandbox.settings import MIB
from sandbox.trial import Trial, blind_trial
from tests.sandbox.conftest import settings
from tests.sandbox.hostile.language_fakes import (
    BEYOND,
    FAKES,
    RUNNERS,
    SPARING,
    UNTRIED,
    Fake,
    honest,
    id_of,
    repository,
)

LIMITS = Limits(wall_clock_s=180.0, memory_bytes=1024 * MIB)
Suite = Callable[[str], TestSpec]


def name_of(value: object) -> str:
    return (
        f"{value.runner}-{value.name}".replace(" ", "_") if isinstance(value, Fake) else str(value)
    )


def prepared_for(sandbox: Sandbox, root: Path, files: Mapping[str, str]) -> images.Environment:
    """The environment of these files; without their packages or their language it is a skip."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    try:
        found = images.prepare(sandbox, root, test_command=None, settings=settings())
    except ImageBuildError as error:
        if error.step != "toolchain":
            raise
        pytest.skip(str(error))
    if "npm does not have" in found.recipe:
        pytest.skip(found.recipe)
    return found


@pytest.fixture(scope="module")
def suite(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The suite of a runner, prepared once."""
    made: dict[str, TestSpec] = {}

    def prepared(runner: str) -> TestSpec:
        if runner in made:
            return made[runner]
        root = tmp_path_factory.mktemp(runner)
        found = prepared_for(sandbox, root, repository(runner))
        made[runner] = TestSpec(
            found.image,
            found.command,
            fail_to_pass=(id_of(runner, "adds"),),
            pass_to_pass=(id_of(runner, "leaves zero alone"),),
        )
        return made[runner]

    return prepared


def verdict_of(report: TestReport) -> str:
    return "\n".join(filter(None, [report.log_tail, report.refused, *report.details.values()]))


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_honest_fix_is_believed_and_the_bug_is_seen(
    runner: str, sandbox: Sandbox, suite: Suite
) -> None:
    spec = suite(runner)
    before = run_tests(sandbox, spec, None, LIMITS)
    assert before.ran, before.log_tail
    assert set(before.statuses) == {*spec.fail_to_pass, *spec.pass_to_pass}
    assert not grade(spec, before).resolved
    after = run_tests(sandbox, spec, honest(runner).patch, LIMITS)
    assert grade(spec, after).resolved, verdict_of(after)
    assert "canary" not in verdict_of(before) + verdict_of(after)


@pytest.mark.parametrize("fake", FAKES, ids=name_of)
def test_made_up_results_are_seen_through(fake: Fake, sandbox: Sandbox, suite: Suite) -> None:
    spec = suite(fake.runner)
    assert check_patch(fake.patch) is None, "it hides from the policy, or it shows nothing here"
    report = run_tests(sandbox, spec, fake.patch, LIMITS)
    graded = grade(spec, report)
    assert not graded.resolved
    assert not graded.no_regression
    assert re.search(fake.said, verdict_of(report)), verdict_of(report)


@pytest.fixture
def showing(sandbox: Sandbox) -> Sandbox:
    """Where trials are held: nothing in one depends on the back end, so two of them will do."""
    if sandbox.isolation == "runc":
        pytest.skip("the trial is the same on every back end")
    return sandbox


@pytest.mark.parametrize("fake", [*SPARING, *BEYOND], ids=name_of)
def test_what_fools_the_first_verdict_is_shown_to_the_blind_trial(
    fake: Fake, showing: Sandbox, suite: Suite
) -> None:
    spec = suite(fake.runner)
    assert check_patch(fake.patch) is None
    report = run_tests(showing, spec, fake.patch, LIMITS)
    assert grade(spec, report).resolved, verdict_of(report)
    trial = blind_trial(showing, spec, fake.patch, LIMITS)
    assert trial.tried == spec.fail_to_pass
    assert (trial.failure is None) == (fake in BEYOND), "docs/security.md says which get through"


def test_what_fails_where_its_test_is_edited_is_untried(showing: Sandbox, suite: Suite) -> None:
    spec = suite(UNTRIED.runner)
    assert check_patch(UNTRIED.patch) is None
    report = run_tests(showing, spec, UNTRIED.patch, LIMITS)
    assert grade(spec, report).resolved, verdict_of(report)
    trial = blind_trial(showing, spec, UNTRIED.patch, LIMITS)
    assert trial == Trial(untried=spec.fail_to_pass), "docs/security.md says that this gets through"


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_honest_fix_passes_the_blind_trial(runner: str, showing: Sandbox, suite: Suite) -> None:
    spec = suite(runner)
    trial = blind_trial(showing, spec, honest(runner).patch, LIMITS)
    assert trial == Trial(tried=spec.fail_to_pass)


@pytest.mark.parametrize("runner", ["jest", "vitest"])
def test_a_title_may_hold_what_ids_join_titles_with(
    runner: str, showing: Sandbox, tmp_path: Path
) -> None:
    files = repository(runner)
    suite = files["test/calc.test.js"].replace("'adds'", "'says a > b (c)'")
    found = prepared_for(showing, tmp_path, {**files, "test/calc.test.js": suite})
    test = id_of(runner, "says a > b (c)")
    spec = TestSpec(found.image, found.command, fail_to_pass=(test,))
    assert run_tests(showing, spec, None, LIMITS).statuses[test] == "FAILED"
    assert blind_trial(showing, spec, honest(runner).patch, LIMITS) == Trial(tried=(test,))
    sparing = next(fake for fake in SPARING if fake.runner == runner)
    assert blind_trial(showing, spec, sparing.patch, LIMITS).failure is not None


SCRIPT = "require('node:assert').strictEqual(require('..').add(2, 2), 4)\n"
ENDS = "if (process.argv[1].endsWith('script.js')) process['ex' + 'it'](0)\n"


def test_a_file_that_uses_no_runner_has_no_canaries_and_is_believed(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    found = prepared_for(sandbox, tmp_path, {**repository("node"), "test/script.js": SCRIPT})
    spec = TestSpec(found.image, found.command, fail_to_pass=("/repo/test/script.js",))
    assert not grade(spec, run_tests(sandbox, spec, None, LIMITS)).resolved
    report = run_tests(sandbox, spec, Fake("node", "ends well", ENDS).patch, LIMITS)
    assert grade(spec, report).resolved, "docs/security.md says that this gets through"
