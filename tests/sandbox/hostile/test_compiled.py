"""Fakes in Rust and Java: contained, named, and the honest fix believed."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.contract import Limits, Sandbox, TestSpec
from sandbox.grading import grade
from sandbox.policy import check_patch
from sandbox.runner import run_tests
from sandbox.settings import MIB
from sandbox.trial import Trial, blind_trial
from tests.sandbox.hostile.compiled_fakes import (
    BEYOND,
    BUGGY,
    DOCTEST,
    FAILING,
    FAKES,
    FIXTURES,
    PASSING,
    PRODUCTS,
    SPARING,
    WITHIN,
    Fake,
    honest,
    repository,
)
from tests.sandbox.hostile.language_fakes import rewriting
from tests.sandbox.hostile.test_languages import prepared_for, verdict_of

LIMITS = Limits(wall_clock_s=300.0, memory_bytes=1536 * MIB)
Suite = Callable[[str], TestSpec]


@pytest.fixture(scope="module")
def suite(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The suite of a runner, prepared once."""
    made: dict[str, TestSpec] = {}

    def prepared(runner: str) -> TestSpec:
        if runner not in made:
            found = prepared_for(sandbox, tmp_path_factory.mktemp(runner), repository(runner))
            command, failing = found.command, (FAILING[runner],)
            made[runner] = TestSpec(found.image, command, failing, (PASSING[runner],))
        return made[runner]

    return prepared


@pytest.mark.parametrize("runner", PRODUCTS)
def test_an_honest_fix_is_believed_and_the_bug_is_seen(
    runner: str, sandbox: Sandbox, suite: Suite
) -> None:
    spec = suite(runner)
    before = run_tests(sandbox, spec, None, LIMITS)
    assert before.ran, before.log_tail
    assert {*spec.fail_to_pass, *spec.pass_to_pass} <= set(before.statuses)
    assert not grade(spec, before).resolved
    after = run_tests(sandbox, spec, honest(runner).patch, LIMITS)
    assert grade(spec, after).resolved, verdict_of(after)
    assert "canary" not in verdict_of(before) + verdict_of(after)


@pytest.mark.parametrize("fake", FAKES, ids=lambda fake: f"{fake.runner}-{fake.name}")
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
    """Where trials are held: nothing in one depends on the back end, and each builds anew."""
    if not sandbox.isolation.startswith("bubblewrap"):
        pytest.skip("the trial is the same on every back end")
    return sandbox


@pytest.mark.parametrize(
    ("fake", "test"), [*SPARING, *BEYOND], ids=lambda each: getattr(each, "name", "")
)
def test_what_fools_the_first_verdict_is_shown_to_the_blind_trial(
    fake: Fake, test: str, showing: Sandbox, suite: Suite
) -> None:
    spec = replace(suite(fake.runner), fail_to_pass=(test,), pass_to_pass=())
    assert check_patch(fake.patch) is None
    report = run_tests(showing, spec, fake.patch, LIMITS)
    assert grade(spec, report).resolved, verdict_of(report)
    trial = blind_trial(showing, spec, fake.patch, LIMITS)
    assert trial.tried == (test,)
    seen_through = fake in [each for each, _ in SPARING]
    assert (trial.failure is not None) == seen_through, "docs/security.md says which get through"


@pytest.mark.parametrize("runner", PRODUCTS)
def test_an_honest_fix_passes_the_blind_trial(runner: str, showing: Sandbox, suite: Suite) -> None:
    tests = (FAILING[runner], *((WITHIN, DOCTEST) if runner == "cargo" else ()))
    spec = replace(suite(runner), fail_to_pass=tests)
    assert blind_trial(showing, spec, honest(runner).patch, LIMITS) == Trial(tried=tests)


def test_a_patch_that_cannot_be_laid_over_the_twin_leaves_the_test_untried(
    showing: Sandbox, tmp_path: Path
) -> None:
    product, example = (
        BUGGY["cargo"],
        "///\n/// ```\n/// assert_eq!(calc::add(2, 3), 5);\n/// ```\n",
    )
    twice = f"{product}\n/// More.\n{example}pub fn more() {{}}\n"
    found = prepared_for(showing, tmp_path, {**repository("cargo"), PRODUCTS["cargo"]: twice})
    patch = rewriting(PRODUCTS["cargo"], twice, twice.replace("a - b", "a + b"))
    spec = TestSpec(found.image, found.command, fail_to_pass=(DOCTEST,))
    assert blind_trial(showing, spec, patch, LIMITS) == Trial(untried=(DOCTEST,))


def test_a_test_of_gradle_is_tried_as_well(showing: Sandbox, tmp_path: Path) -> None:
    build = (FIXTURES / "java" / "gradle" / "build.gradle").read_text(encoding="utf-8")
    files = {**repository("maven"), "build.gradle": build}
    del files["pom.xml"]
    found = prepared_for(showing, tmp_path, files)
    test = FAILING["maven"]
    spec = TestSpec(found.image, found.command, fail_to_pass=(test,))
    trial = blind_trial(showing, spec, honest("maven").patch, LIMITS)
    assert trial == Trial(tried=(test,))
