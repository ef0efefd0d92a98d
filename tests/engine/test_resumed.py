"""A search that is taken up again, and whose settings count."""

from pathlib import Path

import pytest

from engine.contract import NoPatch, Patched
from engine.errors import BadInputError
from engine.leases import Clock
from engine.pipeline import repair
from tests.engine import projects
from tests.engine.test_pipeline import Made, made

__all__ = ["made"]


def test_time_that_an_earlier_start_used_up_is_not_given_again(made: Made) -> None:
    bench = made()
    budget_s = bench.job.budget.wall_clock_s
    engine = bench.engine([[projects.HARMLESS]], clock=Clock(budget_s))
    outcome = repair(bench.request, engine)
    assert isinstance(outcome, NoPatch)
    assert "the time was used up" in outcome.reason
    assert outcome.iterations == 1


def test_the_evidence_counts_the_seconds_of_all_starts(made: Made) -> None:
    bench = made()
    outcome = repair(bench.request, bench.engine([[projects.FIX]], clock=Clock(1000.0)))
    assert isinstance(outcome, Patched)
    assert outcome.evidence.wall_s > 1000


def test_the_settings_of_the_request_count_and_not_those_of_the_checkout(
    made: Made, tmp_path: Path
) -> None:
    repo = projects.receipts(tmp_path / "hostile")
    (repo / ".github").mkdir()
    (repo / ".github" / "evoscale.yml").write_text("no_such_key: 1\n")
    theirs = made(repo, config="iterations: 1\n")
    assert isinstance(repair(theirs.request, theirs.engine([[projects.FIX]])), Patched)


@pytest.mark.parametrize(
    ("config", "key"), [(None, "no_such_key"), ("candidates: many\n", "candidates")]
)
def test_wrong_settings_end_a_job_with_the_key_that_is_wrong(
    made: Made, tmp_path: Path, config: str | None, key: str
) -> None:
    repo = projects.receipts(tmp_path / "wrong")
    (repo / ".github").mkdir()
    (repo / ".github" / "evoscale.yml").write_text("no_such_key: 1\n")
    bench = made(repo, config=config)
    with pytest.raises(BadInputError, match=key):
        repair(bench.request, bench.engine([[projects.FIX]]))
