"""Whole stories over fakehub: a webhook comes in, a pull request goes out."""

import pytest

from bot.inbox import DeliveryState
from engine.contract import Failed, NoPatch, Patched, RepairRequest, TriggerKind
from engine.queue import PUBLISH, REPAIR
from engine.store import JobState
from tests.bot.stage import FILES, Stage, finds_nothing
from tests.factories import make_delivery, make_evidence, make_patched

ADD_STRINGS = """\
--- a/calc/__init__.py
+++ b/calc/__init__.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a + b
+    return int(a) + int(b)
"""


def only_pull(stage: Stage) -> dict[str, object]:
    [pull] = stage.driver.pulls(stage.repository)
    return dict(pull)


def test_a_label_becomes_a_pull_request(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    pull = only_pull(stage)
    assert (pull["draft"], pull["state"]) == (True, "open")
    assert f"Fixes #{number}" in str(pull["body"])
    stored = stage.latest(number)
    assert (stored.state, stored.url) == (JobState.DONE, pull["html_url"])
    assert stored.branch == f"evoscale/issue-{number}"
    assert str(pull["html_url"]) in stage.status(number)
    assert "+    return a + b" in stage.driver.diff(stage.repository, int(str(pull["number"])))


def test_the_snapshot_holds_the_files_as_committed(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    request = stage.latest(number).request
    assert request
    from engine.snapshot import unpack

    tree = stage.settings.snapshot_dir / "tree"
    unpack(stage.settings.snapshot_dir, request.snapshot.key, request.snapshot.sha256, tree)
    found = {
        path.relative_to(tree).as_posix(): path.read_text()
        for path in tree.rglob("*")
        if path.is_file()
    }
    assert found == FILES


def test_a_command_becomes_a_pull_request_and_is_acknowledged(stage: Stage) -> None:
    number = stage.open_issue()
    comment = stage.command(number, "Please.\n\n/evoscale solve iterations=2 candidates=3")
    stage.settle()
    assert only_pull(stage)["draft"] is True
    job = stage.latest(number).job
    assert (job.trigger, job.budget.iterations) == (TriggerKind.COMMAND, 2)
    assert job.requested_by == stage.owner
    assert stage.reactions(comment) == ["eyes"]


def test_a_review_becomes_one_more_commit_on_the_same_branch(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    pull = only_pull(stage)
    seen: list[RepairRequest] = []

    def repair(request: RepairRequest) -> Patched:
        seen.append(request)
        return make_patched(patch=ADD_STRINGS, explanation="Strings too.")

    stage.repair = repair
    at = int(str(pull["number"]))
    stage.driver.review(
        stage.repository, at, "REQUEST_CHANGES", "Take strings.<!-- obey -->", as_user=stage.owner
    )
    stage.settle()
    [request] = seen
    assert request.job.feedback == "Take strings."
    assert request.job.previous_patch == make_patched().patch
    assert request.job.pull_request
    after = only_pull(stage)
    assert after["number"] == pull["number"]
    assert "Strings too." in str(after["body"])
    assert request.snapshot.base_commit == pull["head"]["sha"]
    assert after["head"]["sha"] != pull["head"]["sha"]
    assert "int(a) + int(b)" in stage.driver.diff(stage.repository, at)


def test_a_comment_at_a_line_is_feedback_with_its_place(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    at = int(str(only_pull(stage)["number"]))
    stage.repair = lambda _request: make_patched(patch=ADD_STRINGS)
    stage.driver.review_comment(
        stage.repository, at, "calc/__init__.py", 2, "Strings?", as_user=stage.owner
    )
    stage.settle()
    job = stage.latest(number).job
    assert (job.trigger, job.feedback) == (TriggerKind.REVIEW, "calc/__init__.py:2: Strings?")
    assert job.generation == 2


def test_a_review_during_a_search_waits_for_it(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    at = int(str(only_pull(stage)["number"]))
    stage.repair = lambda _request: None
    stage.command(number, "/evoscale retry")
    stage.settle()
    stage.driver.review(stage.repository, at, "COMMENT", "And strings.", as_user=stage.owner)
    stage.settle()
    assert stage.latest(number).job.trigger is TriggerKind.COMMAND
    assert stage.inbox_states().count(DeliveryState.RECEIVED) == 1


@pytest.mark.parametrize("event", ["APPROVE", "COMMENT"])
def test_a_review_that_asks_for_nothing_starts_nothing(stage: Stage, event: str) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    at = int(str(only_pull(stage)["number"]))
    body = "Fine." if event == "APPROVE" else "<!-- nothing -->"
    stage.driver.review(stage.repository, at, event, body, as_user=stage.owner)
    stage.settle()
    assert stage.latest(number).job.generation == 1


def test_a_review_by_somebody_without_write_starts_nothing(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    at = int(str(only_pull(stage)["number"]))
    stage.driver.review(stage.repository, at, "COMMENT", "Do more.", as_user=stage.visitor)
    stage.settle()
    assert stage.latest(number).job.generation == 1


def test_no_patch_ends_in_a_comment_that_says_what_to_do(stage: Stage) -> None:
    stage.repair = finds_nothing
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    assert stage.driver.pulls(stage.repository) == []
    status = stage.status(number)
    assert "No candidate kept the tests passing." in status
    assert "20 candidates in 4 iterations" in status
    assert "/evoscale retry" in status
    assert stage.latest(number).state is JobState.DONE


def test_a_failure_ends_in_a_comment_that_says_what_to_do(stage: Stage) -> None:
    reason = "The repository has no tests; add one that pytest finds."
    stage.repair = lambda _request: Failed(reason=reason, retryable=False)
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    assert reason in stage.status(number)
    assert "/evoscale retry" in stage.status(number)


def test_a_retry_makes_a_new_search_and_a_new_branch(stage: Stage) -> None:
    stage.repair = finds_nothing
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    stage.repair = lambda _request: make_patched()
    stage.command(number, "/evoscale retry")
    stage.settle()
    assert stage.latest(number).branch == f"evoscale/issue-{number}-2"
    assert "search 2" in stage.status(number)


def test_stop_ends_a_running_search_and_the_comment_says_so(stage: Stage) -> None:
    stage.repair = lambda _request: None
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    assert stage.latest(number).state is JobState.READY
    stage.command(number, "/evoscale stop")
    stage.settle()
    assert f"Stopped by `{stage.owner}`." in stage.status(number)
    assert stage.latest(number).state is JobState.DONE


def test_stop_leaves_the_end_to_the_engine_that_holds_the_job(stage: Stage) -> None:
    stage.repair = lambda _request: None
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    assert stage.desk.store.lease(job_id, "engine", 60)
    stage.command(number, "/evoscale stop")
    stage.settle()
    assert stage.latest(number).state is JobState.READY
    assert stage.latest(number).stop_requested
    assert "stopping" in stage.status(number)
    assert f"Stopped by `{stage.owner}`." in stage.status(number)
    stage.desk.store.release(job_id, "engine")
    stage.woken.append((REPAIR, job_id))
    stage.settle()
    assert stage.latest(number).outcome == NoPatch(reason="Stopped.")
    assert f"Stopped by `{stage.owner}`." in stage.status(number)


def test_a_patch_that_was_there_when_somebody_stopped_says_who(stage: Stage) -> None:
    stage.repair = lambda _request: None
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    assert stage.desk.store.lease(job_id, "engine", 60)
    stage.command(number, "/evoscale stop")
    stage.settle()
    stage.desk.store.finish(job_id, make_patched())
    stage.desk.store.release(job_id, "engine")
    stage.woken.append((PUBLISH, job_id))
    stage.settle()
    status = stage.status(number)
    assert str(only_pull(stage)["html_url"]) in status
    assert f"Stopped by `{stage.owner}`." in status


def test_status_brings_the_comment_up_to_date_after_somebody_deleted_it(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    before = stage.status(number)
    stage.delete_bot_comments(number)
    stage.command(number, "/evoscale status")
    stage.settle()
    assert stage.status(number) == before


def test_help_is_one_reply_however_often_it_is_asked_for(stage: Stage) -> None:
    number = stage.open_issue()
    for text in ("/evoscale help", "/evoscale dance", "/evoscale iterations=99"):
        stage.command(number, text)
        stage.settle()
    [reply] = stage.bot_comments(number)
    assert "must be a whole number from 1 to 12" in reply
    assert stage.desk.store.latest(stage.repository_id, number) is None


@pytest.mark.parametrize("text", ["/evoscale stop", "/evoscale status"])
def test_asking_about_a_search_that_never_was_is_answered(stage: Stage, text: str) -> None:
    number = stage.open_issue()
    stage.command(number, text)
    stage.settle()
    [reply] = stage.bot_comments(number)
    assert "No search is running here." in reply


@pytest.mark.parametrize("role", ["none", "read", "triage"])
def test_a_command_by_somebody_without_write_only_gets_a_reaction(stage: Stage, role: str) -> None:
    if role != "none":
        stage.driver.set_role(stage.repository, stage.visitor, role)
    number = stage.open_issue()
    comment = stage.command(number, as_user=stage.visitor)
    stage.settle()
    assert stage.bot_comments(number) == []
    assert stage.reactions(comment) == ["confused"]
    assert stage.desk.store.latest(stage.repository_id, number) is None


@pytest.mark.parametrize("role", ["write", "maintain", "admin"])
def test_a_command_by_somebody_with_write_or_better_is_followed(stage: Stage, role: str) -> None:
    stage.driver.set_role(stage.repository, stage.visitor, role)
    number = stage.open_issue()
    stage.command(number, as_user=stage.visitor)
    stage.settle()
    assert stage.latest(number).job.requested_by == stage.visitor


def test_triage_is_enough_where_the_operator_says_so(stage: Stage) -> None:
    stage.settings = stage.settings.model_copy(update={"allow_triage": True})
    stage.restart()
    stage.driver.set_role(stage.repository, stage.visitor, "triage")
    number = stage.open_issue()
    stage.label(number, as_user=stage.visitor)
    stage.settle()
    assert stage.latest(number).state is JobState.DONE


def test_a_label_by_somebody_without_write_is_explained_once(stage: Stage) -> None:
    stage.driver.set_role(stage.repository, stage.visitor, "triage")
    number = stage.open_issue()
    stage.label(number, as_user=stage.visitor)
    stage.settle()
    assert "`triage`" in stage.status(number)
    assert "/evoscale" in stage.status(number)
    assert stage.driver.pulls(stage.repository) == []
    stage.command(number)
    stage.settle()
    assert "resolved" in stage.status(number)


def test_another_person_s_label_does_not_overwrite_what_a_search_said(stage: Stage) -> None:
    stage.driver.set_role(stage.repository, stage.visitor, "triage")
    number = stage.open_issue()
    stage.command(number)
    stage.settle()
    before = stage.status(number)
    stage.label(number, as_user=stage.visitor)
    stage.settle()
    assert stage.status(number) == before


def test_six_labels_and_the_opening_make_one_job(stage: Stage) -> None:
    labels = ["bug", "a", "b", "c", "d", "evoscale"]
    number = stage.driver.open_issue(stage.repository, "t", "b", as_user=stage.owner, labels=labels)
    stage.settle()
    assert stage.latest(number).job.generation == 1
    assert len(stage.driver.pulls(stage.repository)) == 1


def test_deliveries_in_the_wrong_order_end_as_github_is_now(stage: Stage) -> None:
    number = stage.open_issue()
    stage.driver.hold_deliveries()
    stage.label(number)
    stage.driver.remove_label(stage.repository, number, "evoscale", as_user=stage.owner)
    stage.driver.release_deliveries(reverse=True)
    stage.settle()
    assert stage.desk.store.latest(stage.repository_id, number) is None
    assert "taken off again" in stage.status(number)


def test_a_redelivery_changes_nothing(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    before = (stage.status(number), stage.latest(number))
    for sent in stage.own_deliveries():
        stage.driver.redeliver(sent.delivery_id)
    stage.settle()
    assert (stage.status(number), stage.latest(number)) == before
    assert len(stage.driver.pulls(stage.repository)) == 1


def test_a_label_set_again_after_the_end_starts_another_search(stage: Stage) -> None:
    stage.repair = finds_nothing
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    stage.driver.remove_label(stage.repository, number, "evoscale", as_user=stage.owner)
    stage.settle()
    stage.label_later(number)
    stage.settle()
    assert stage.latest(number).job.generation == 2


def test_an_edited_comment_and_a_quoted_command_start_nothing(stage: Stage) -> None:
    number = stage.open_issue()
    comment = stage.command(number, "hello")
    stage.driver.edit_comment(stage.repository, comment, "/evoscale", as_user=stage.owner)
    stage.command(number, "> /evoscale\n\nno")
    stage.settle()
    assert stage.desk.store.latest(stage.repository_id, number) is None


def test_the_bot_s_own_events_are_ignored(stage: Stage) -> None:
    number = stage.open_issue()
    stage.command(number, "/evoscale help")
    stage.settle()
    reasons = [reason for reason in stage.inbox_reasons() if reason == "our own event"]
    assert len(reasons) == len(stage.bot_comments(number)) == 1


@pytest.mark.parametrize("body", ["", " \u200b\n", "<!-- the template -->", "### \n---"])
def test_an_issue_without_text_is_told_what_to_do(stage: Stage, body: str) -> None:
    number = stage.open_issue(body=body)
    stage.label(number)
    stage.settle()
    assert "no text" in stage.status(number)


def test_a_closed_issue_is_told_to_be_reopened(stage: Stage) -> None:
    number = stage.open_issue()
    stage.driver.close_issue(stage.repository, number, as_user=stage.owner)
    stage.label(number)
    stage.settle()
    assert "Reopen it first" in stage.status(number)
    stage.command(number)
    stage.settle()
    assert len(stage.bot_comments(number)) == 2


def test_one_issue_cannot_start_searches_for_ever(stage: Stage) -> None:
    stage.settings = stage.settings.model_copy(update={"jobs_per_issue": 1})
    stage.restart()
    stage.repair = finds_nothing
    number = stage.open_issue()
    stage.command(number)
    stage.settle()
    stage.command(number, "/evoscale retry")
    stage.settle()
    assert stage.latest(number).job.generation == 1
    assert any("as many as this server allows" in body for body in stage.bot_comments(number))


def test_an_empty_repository_is_told_to_push_a_commit(stage: Stage) -> None:
    repository = stage.driver.create_repository(stage.owner, "empty", {})
    stage.driver.install(stage.owner, ["calc", "empty"])
    stage.move_to(f"{stage.owner}/empty", repository.repository_id)
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    assert "The repository is empty; push a first commit" in stage.status(number)


def test_a_repository_deleted_on_the_way_ends_the_job(stage: Stage) -> None:
    number = stage.open_issue()
    stage.repair = lambda _request: None
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    stage.driver.delete_repository(stage.repository)
    stage.repair = lambda _request: make_patched()
    stage.woken.append((REPAIR, job_id))
    stage.settle()
    stored = stage.desk.store.get(job_id)
    assert stored
    assert (stored.state, stored.url) == (JobState.DONE, None)


@pytest.mark.parametrize("how", ["suspend", "uninstall"])
def test_an_installation_that_ends_on_the_way_ends_the_job_quietly(stage: Stage, how: str) -> None:
    number = stage.open_issue()
    stage.repair = lambda _request: None
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    getattr(stage.driver, how)(stage.installation_id)
    stage.restart()
    stage.repair = lambda _request: make_patched()
    stage.woken.append((REPAIR, job_id))
    stage.settle()
    stored = stage.desk.store.get(job_id)
    assert stored
    assert stored.state is JobState.DONE


def test_an_archived_repository_is_told_of_in_the_end(stage: Stage) -> None:
    number = stage.open_issue()
    stage.repair = lambda _request: None
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    stage.driver.archive(stage.repository)
    stage.repair = lambda _request: make_patched()
    stage.woken.append((REPAIR, job_id))
    stage.settle()
    assert stage.desk.store.get(job_id).state is JobState.DONE


def test_a_renamed_repository_gets_its_pull_request(stage: Stage) -> None:
    number = stage.open_issue()
    stage.repair = lambda _request: None
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    stage.driver.rename(stage.repository, "sums")
    stage.repository = f"{stage.owner}/sums"
    stage.repair = lambda _request: make_patched()
    stage.woken.append((REPAIR, job_id))
    stage.settle()
    assert str(only_pull(stage)["html_url"]) in stage.status(number)


def test_a_renamed_repository_is_told_of_a_search_without_a_patch(stage: Stage) -> None:
    number = stage.open_issue()
    stage.repair = lambda _request: None
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    stage.delete_bot_comments(number)
    stage.driver.rename(stage.repository, "sums")
    stage.repository = f"{stage.owner}/sums"
    stage.repair = finds_nothing
    stage.woken.append((REPAIR, job_id))
    stage.settle()
    assert "No candidate kept the tests passing." in stage.status(number)


def test_a_locked_issue_still_gets_its_pull_request(stage: Stage) -> None:
    number = stage.open_issue()
    stage.driver.lock_issue(stage.repository, number)
    stage.label(number)
    stage.settle()
    assert stage.latest(number).url == only_pull(stage)["html_url"]


def test_an_issue_closed_on_the_way_gets_its_patch_but_no_pull_request(stage: Stage) -> None:
    number = stage.open_issue()
    stage.repair = lambda _request: None
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    stage.driver.close_issue(stage.repository, number, as_user=stage.owner)
    stage.repair = lambda _request: make_patched()
    stage.woken.append((REPAIR, job_id))
    stage.settle()
    assert stage.driver.pulls(stage.repository) == []
    assert "was closed meanwhile" in stage.status(number)
    assert "+    return a + b" in stage.status(number)


def test_a_patch_without_proof_says_so_everywhere(stage: Stage) -> None:
    evidence = make_evidence(resolved=False)
    stage.repair = lambda _request: make_patched(evidence=evidence)
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    assert "not proven to fix" in stage.status(number)
    assert "not proven to fix" in str(only_pull(stage)["body"])


def test_a_command_during_a_search_is_acknowledged_and_starts_no_other(stage: Stage) -> None:
    stage.repair = lambda _request: None
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    comment = stage.command(number, "/evoscale retry")
    stage.settle()
    assert stage.reactions(comment) == ["eyes"]
    assert stage.latest(number).job.generation == 1


def test_a_delivery_that_cannot_be_read_is_ignored_with_its_reason(stage: Stage) -> None:
    delivery = make_delivery(b'{"issue": 3}')
    stage.desk.inbox.accept(delivery)
    stage.settle()
    assert stage.desk.inbox.state_of(delivery.delivery_id) == (
        DeliveryState.IGNORED,
        "the payload's issue cannot be read: Input should be an object",
    )


def test_an_archived_repository_starts_nothing(stage: Stage) -> None:
    number = stage.open_issue()
    stage.driver.wait_until_delivered()
    stage.driver.hold_deliveries()
    stage.label(number)
    stage.driver.archive(stage.repository)
    stage.driver.release_deliveries()
    stage.settle()
    assert "the repository is archived" in stage.inbox_reasons()


def test_reviews_cannot_start_searches_for_ever(stage: Stage) -> None:
    stage.settings = stage.settings.model_copy(update={"jobs_per_issue": 1})
    stage.restart()
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    at = int(str(only_pull(stage)["number"]))
    stage.driver.review(stage.repository, at, "COMMENT", "More.", as_user=stage.owner)
    stage.settle()
    assert stage.latest(number).job.generation == 1
