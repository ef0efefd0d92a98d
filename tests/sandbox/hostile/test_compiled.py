"""Fakes in Rust and Java: contained, named, and the honest fix believed."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from sandbox.contract import Limits, Sandbox, TestSpec
from sandbox.grading import grade
from sandbox.policy import check_patch
from sandbox.runner import run_tests
from sandbox.settings import MIB
from sandbox.trial import blind_trial
from tests.sandbox.hostile.compiled_fakes import (
    BEYOND,
    FAILING,
    FAKES,
    PASSING,
    PRODUCTS,
    Fake,
    honest,
    repository,
)
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


@pytest.mark.parametrize(("fake", "test"), BEYOND, ids=PRODUCTS)
def test_what_gets_through_is_what_the_documentation_says(
    fake: Fake, test: str, sandbox: Sandbox, suite: Suite
) -> None:
    spec = replace(suite(fake.runner), fail_to_pass=(test,), pass_to_pass=())
    assert check_patch(fake.patch) is None
    assert not grade(spec, run_tests(sandbox, spec, None, LIMITS)).resolved
    report = run_tests(sandbox, spec, fake.patch, LIMITS)
    assert grade(spec, report).resolved, verdict_of(report)
    assert blind_trial(sandbox, spec, fake.patch, LIMITS).tried == ()
