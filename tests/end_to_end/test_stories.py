"""Webhook to pull request through real processes: one story per trigger, refereed by GitHub's own description."""

from pathlib import Path

import pytest

from engine.contract import Patched, TriggerKind
from tests.end_to_end.stories import PERSON, REPOSITORY, STRANGER
from tests.engine import projects


@pytest.mark.network
def test_label_command_and_review_each_end_in_a_tested_commit(tmp_path, play, openapi_referee):
    story = play([[projects.HARMLESS, "no edit"], [projects.FIX], [projects.ALSO_HARMLESS]])
    story.begin(projects.receipts(tmp_path / "repo"))
    number = story.open_issue()
    story.driver.add_label(REPOSITORY, number, "evoscale", as_user=PERSON)
    job = story.done()
    assert isinstance(job.outcome, Patched)
    assert job.outcome.evidence.resolved
    (pull,) = story.driver.pulls(REPOSITORY)
    assert pull["draft"] is True
    assert f"Fixes #{number}" in str(pull["body"])
    assert "test_issue" in str(pull["body"])
    pull_number = int(str(pull["number"]))
    assert "(100 - percent) / 100" in story.driver.diff(REPOSITORY, pull_number)

    story.driver.review(
        REPOSITORY,
        pull_number,
        "REQUEST_CHANGES",
        "Please also multiply the start value.",
        as_user=PERSON,
    )
    second = story.done(jobs=2)
    assert second.job.trigger is TriggerKind.REVIEW
    assert second.job.pull_request is not None
    assert second.job.feedback is not None
    assert "multiply the start value" in second.job.feedback
    assert isinstance(second.outcome, Patched)
    (pull,) = story.driver.pulls(REPOSITORY)
    diff = story.driver.diff(REPOSITORY, pull_number)
    assert "(100 - percent) / 100" in diff
    assert "0 * 2" in diff

    other = story.open_issue()
    story.driver.comment(
        REPOSITORY, other, "/evoscale solve iterations=1 candidates=2", as_user=STRANGER
    )
    story.driver.comment(REPOSITORY, other, "> /evoscale\n\nno", as_user=PERSON)
    story.driver.comment(REPOSITORY, other, "/evoscale iterations=1 candidates=2", as_user=PERSON)
    third = story.done(jobs=3)
    assert third.job.trigger is TriggerKind.COMMAND
    assert third.job.budget.iterations == 1
    assert third.job.requested_by == PERSON
    assert len(story.store.recent(10)) == 3
    assert len(story.status_comments(number)) == 1
    assert len(story.status_comments(other)) == 1
    exchanges = story.driver.exchanges()
    assert exchanges
    openapi_referee.check(exchanges)


def test_no_credential_reaches_the_engine_a_log_or_the_repository(tmp_path, play):
    story = play([[projects.FIX]])
    story.begin(projects.receipts(tmp_path / "repo"))
    number = story.open_issue()
    story.driver.add_label(REPOSITORY, number, "evoscale", as_user=PERSON)
    story.done()
    hub = story.stack.hub
    secrets = [hub.webhook_secret, hub.private_key.splitlines()[1], "ghs_", "x-access-token"]
    engine = story.stack.parts["engine-worker"].process.pid
    environment = Path(f"/proc/{engine}/environ").read_bytes().decode()
    assert "EVOSCALE_BOT" not in environment
    written = [
        p for p in story.stack.folder.rglob("*") if p.is_file() and p.name != "credentials.json"
    ]
    for path in written:
        content = path.read_bytes()
        assert not [s for s in secrets if s.encode() in content], path
