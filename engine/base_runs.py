"""The suite at base_commit, three times: what is stable, what flickers, and what it does not bear.

Twice in the same order and once backwards where the runner has an order, because most tests that
flicker do so by their order (Gruber et al. 2021 count 59 % of those of 22,352 Python projects).
"""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sandbox.contract import Limits, Sandbox, TestReport, TestSpec, TestStatus
from sandbox.guarantees import program
from sandbox.masking import is_masked, masked, shape, shapes_to_mask
from sandbox.runner import EVERYTHING, run_tests

logger = logging.getLogger(__name__)

GOOD = frozenset({TestStatus.PASSED, TestStatus.XFAIL})
BAD = frozenset({TestStatus.FAILED, TestStatus.ERROR})
MUST_STAY = 0.5
"""A suite that keeps less than this share of its passing tests backwards depends on its order, and
is then only asked to keep what it keeps in its own order."""
MOST_KEPT = 500
"""So many images' base runs are kept; those that were not read for longest go first."""


@dataclass(frozen=True, slots=True)
class BaseRuns:
    """What the runs say together. `first` stands for all where only one was needed.

    `stable` are the tests that every run reports alike; `flaky` all others that any run reports.
    `notes` say what the suite did not bear. `ordered` says that it lives off its order, so that a
    part of it proves nothing. `functions` are, by the shape of masked tests, the ids without
    parameters that every run has: by these a runner finds them.
    """

    suite: TestSpec
    first: TestReport
    stable: Mapping[str, TestStatus]
    flaky: tuple[str, ...]
    notes: tuple[str, ...] = ()
    ordered: bool = False
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def with_status(self, wanted: frozenset[TestStatus]) -> tuple[str, ...]:
        """The stable tests of these statuses, sorted."""
        return tuple(sorted(t for t, status in self.stable.items() if status in wanted))


BASE_RUNS = TypeAdapter(BaseRuns)


def run_base(
    sandbox: Sandbox, suite: TestSpec, limits: Limits, shelf: Path | None = None
) -> BaseRuns:
    """Run a suite without any patch until it is known what it does by itself.

    What it did is kept on `shelf` under the image's name: the next job with the same image takes
    the same tests as flaky or red already. The name stands for what was asked for, not for the
    versions that were fetched, so whoever builds the image has to `forget` first. Another image,
    command, limit or kind of box is another entry. A first run that gives nothing is neither
    repeated nor kept.

    Raises:
        SandboxError: the sandbox, not the tests, failed.
    """
    place = None if shelf is None else shelf / _entry(sandbox.isolation, suite, limits)
    kept = None if place is None else _read(place)
    if kept is not None:
        return replace(kept, suite=replace(kept.suite, named=suite.named))
    runs = _run_all(sandbox, suite, limits)
    if place is not None and runs.stable:
        _keep(place, runs)
    return runs


def forget(shelf: Path, image: str) -> None:
    """Drop what was kept for an image: one that is built anew may hold newer packages."""
    for entry in shelf.glob(f"{image}-*.json"):
        try:
            entry.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the base runs of %s stay: %s; delete %s", image, error, entry)


def _entry(isolation: str, suite: TestSpec, limits: Limits) -> str:
    """A name for what decides how the suite fares."""
    asked = repr((program(), isolation, replace(suite, named=frozenset()), limits))
    return f"{suite.image}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}.json"


def _read(place: Path) -> BaseRuns | None:
    try:
        runs = BASE_RUNS.validate_json(place.read_bytes())
        os.utime(place)
    except (OSError, ValidationError):  # never kept, or by another version: then it is run
        return None
    return runs


def _keep(place: Path, runs: BaseRuns) -> None:
    """Write the runs down whole; a cache that cannot be written costs the next job its time."""
    partial = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(BASE_RUNS.dump_json(runs))
        partial.replace(place)
        entries = sorted(place.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in entries[:-MOST_KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("the base runs of %s are not kept: %s", runs.suite.image, error)


def _run_all(sandbox: Sandbox, suite: TestSpec, limits: Limits) -> BaseRuns:
    suite, first, notes = _settled(sandbox, suite, limits)
    if not first.ran or not first.statuses:
        return BaseRuns(suite, first, {}, (), notes)
    runs = [first, run_tests(sandbox, suite, None, limits)]
    backwards = run_tests(sandbox, replace(suite, backwards=True), None, limits)
    shapes, seen = _known_by_shape([*runs, backwards])
    ordered = _is_ordered(seen)
    if ordered:
        notes = (*notes, "its tests depend on their order")
        shapes, seen = _known_by_shape(runs)
    if shapes:
        notes = (*notes, _masking_note(first, seen[0], shapes))
    alike = stable(seen)
    everything = {test for run in seen for test in run.statuses}
    flaky = tuple(sorted(everything - set(alike)))
    suite, functions = replace(suite, masked=shapes), _functions(runs, shapes)
    return BaseRuns(suite, seen[0], alike, flaky, notes, ordered, functions)


def _known_by_shape(runs: Sequence[TestReport]) -> tuple[tuple[str, ...], Sequence[TestReport]]:
    """The shapes of the tests whose names differ from run to run, and the runs so told."""
    shapes = shapes_to_mask([run for run in runs if run.ran], datetime.now(UTC).date())
    return shapes, [masked(run, shapes) for run in runs]


def _functions(runs: Sequence[TestReport], shapes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of each shape the functions that all runs have; a name that differs itself is in none."""
    wanted = frozenset(shapes)
    named = [{(shape(test), test.partition("[")[0]) for test in run.statuses} for run in runs]
    found: dict[str, tuple[str, ...]] = {}
    for known, function in sorted(set.intersection(*named)):
        if known in wanted:
            found[known] = (*found.get(known, ()), function)
    return found


def _is_ordered(runs: Sequence[TestReport]) -> bool:
    """Whether a suite lives off its order, by runs of which the last is backwards."""
    *forwards, backwards = runs
    good = {t for t, status in stable(forwards).items() if status in GOOD}
    kept = {t for t in good if backwards.statuses.get(t) in GOOD}
    return not backwards.ran or len(kept) < MUST_STAY * len(good)


def _masking_note(first: TestReport, seen: TestReport, shapes: Sequence[str]) -> str:
    groups = sum(is_masked(test, shapes) for test in seen.statuses)
    tests = len(first.statuses) - len(seen.statuses) + groups
    whose = "the name of 1 test holds" if tests == 1 else f"the names of {tests} tests hold"
    return f"{whose} what differs each time; counted as {groups}"


def _settled(
    sandbox: Sandbox, suite: TestSpec, limits: Limits
) -> tuple[TestSpec, TestReport, tuple[str, ...]]:
    """A first run that can be believed, and the suite with the exceptions that this took.

    Nothing hostile has run yet: what looks like tampering here is how the suite is.
    """
    report = run_tests(sandbox, suite, None, limits)
    notes: tuple[str, ...] = ()
    if report.changed:
        suite = replace(suite, churn=report.changed)
        notes = (f"it changes {', '.join(report.changed[:3])} itself",)
        report = run_tests(sandbox, suite, None, limits)
    if set(report.changed) - set(suite.churn):
        suite = replace(suite, churn=(EVERYTHING,))
        notes = ("it changes files of its own tests, others each time",)
        report = run_tests(sandbox, suite, None, limits)
    if not report.ran and not report.timed_out and suite.canaries:
        plain = replace(suite, canaries=False)
        again = run_tests(sandbox, plain, None, limits)
        if again.ran:
            return plain, again, (*notes, "it does not bear tests of ours")
    return suite, report, notes


def stable(runs: Sequence[TestReport]) -> dict[str, TestStatus]:
    """The tests that every run reports alike."""
    first = runs[0].statuses
    return {t: s for t, s in first.items() if all(run.statuses.get(t) == s for run in runs)}
