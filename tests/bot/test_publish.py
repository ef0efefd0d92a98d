"""Publishing over fakehub with a real git push: killed at every point, faulted at every call."""

import threading
from collections.abc import Callable

import pytest

from bot import git
from bot.errors import GitFailedError
from bot.fakehub import faults
from bot.fakehub.git_repository import SYMLINK, File
from bot.github import Installation
from bot.publish import Publisher
from engine.contract import Patched
from engine.queue import PUBLISH, REPAIR
from engine.store import JobState, JobStore
from tests.bot.stage import Stage
from tests.factories import make_patched


class KilledError(BaseException):
    """The worker died here: nothing of ours may catch this."""


def finished(stage: Stage, outcome: Patched | None = None) -> tuple[int, str]:
    """A job whose outcome is there and whose publication is owed."""
    number = stage.open_issue()
    stage.repair = lambda _request: None
    stage.label(number)
    stage.settle()
    job_id = stage.latest(number).job.job_id
    assert stage.desk.store.finish(job_id, outcome or make_patched())
    return number, job_id


def come_back(stage: Stage, job_id: str) -> None:
    """Another worker takes over when the dead one's lease has run out."""
    stage.restart()
    stage.run_out_leases()
    stage.woken.append((PUBLISH, job_id))
    stage.settle()


def assert_published_once(stage: Stage, number: int, job_id: str) -> None:
    [pull] = stage.driver.pulls(stage.repository)
    assert pull["state"] == "open"
    assert str(pull["html_url"]) in stage.status(number)
    assert "resolved" in stage.status(number)
    assert stage.commits(int(str(pull["number"]))) == 1
    stored = stage.desk.store.get(job_id)
    assert stored
    assert (stored.state, stored.url) == (JobState.DONE, pull["html_url"])


def dies(before: bool, target: object, name: str, patch: pytest.MonkeyPatch) -> None:
    """Make a verb die, before or after it did its work, the first time that it is called."""
    real: Callable[..., object] = getattr(target, name)
    times: list[int] = []

    def verb(*arguments: object, **named: object) -> object:
        if times:
            return real(*arguments, **named)
        times.append(1)
        if before:
            raise KilledError
        real(*arguments, **named)
        raise KilledError

    patch.setattr(target, name, verb)


POINTS = [
    (Installation, "repository"),
    (Installation, "issue"),
    (git.Workspace, "fetch"),
    (git.Workspace, "commit"),
    (git.Workspace, "push"),
    (Installation, "pull_of"),
    (Installation, "open_pull"),
    (Installation, "say"),
    (Publisher, "publish"),
    (JobStore, "published"),
]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("target", "name"), POINTS, ids=[name for _, name in POINTS])
def test_a_publisher_killed_at_any_point_is_continued_by_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, target: object, name: str, before: bool
) -> None:
    number, job_id = finished(stage)
    with monkeypatch.context() as patch:
        dies(before, target, name, patch)
        with pytest.raises(KilledError):
            stage.desk.publish(job_id)
    come_back(stage, job_id)
    assert_published_once(stage, number, job_id)


def test_publishing_twice_changes_nothing(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.desk.publish(job_id)
    status = stage.status(number)
    stage.forget_the_end(job_id)
    stage.desk.publish(job_id)
    assert stage.status(number) == status
    assert_published_once(stage, number, job_id)


def test_two_publishers_at_once_make_one_pull_request(stage: Stage) -> None:
    number, job_id = finished(stage)
    other = stage.another_desk()
    threads = [
        threading.Thread(target=desk.publish, args=(job_id,)) for desk in (stage.desk, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_published_once(stage, number, job_id)


PULLS, COMMENTS = r"/repos/[^/]+/calc/pulls", r"/repos/[^/]+/calc/issues/.*comments.*"
PUSH = r".*/git-receive-pack"
FAULTS = {
    "pull applied, answered 502": faults.applied_but(PULLS),
    "pull applied, connection lost": faults.applied_but_lost(PULLS),
    "pull applied, half an answer": faults.truncated(PULLS, method="POST"),
    "pull not applied, 500": faults.status(PULLS, 500, method="POST"),
    "pull, page instead of json": faults.html(PULLS, method="POST"),
    "pull, secondary limit": faults.secondary_limit(PULLS, "61", method="POST"),
    "pull, secondary limit without a time": faults.secondary_limit(PULLS, None, method="POST"),
    "comment applied, answered 502": faults.applied_but(COMMENTS, method="PATCH"),
    "comment lost": faults.reset(COMMENTS, method="PATCH", count=9),
    "comments cannot be listed": faults.status(COMMENTS, 503, method="GET", count=9),
    "token rejected": faults.status(r"/repos/[^/]+/calc/pulls", 401, method="GET"),
    "push answered 500": faults.status(PUSH, 500),
    "push applied, connection lost": faults.applied_but_lost(PUSH),
    "fetch answered 503": faults.status(r".*/git-upload-pack", 503),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_network_or_of_github_delays_but_doubles_nothing(
    stage: Stage, name: str
) -> None:
    number, job_id = finished(stage)
    stage.driver.add_fault(FAULTS[name])
    stage.desk.publish(job_id)
    stage.driver.clear_faults()
    stage.forget_waiting()
    come_back(stage, job_id)
    assert_published_once(stage, number, job_id)


def test_a_rate_limit_makes_the_job_wait_not_spin(stage: Stage) -> None:
    _, job_id = finished(stage)
    stage.driver.add_fault(faults.secondary_limit(PULLS, "3600", method="POST"))
    stage.desk.publish(job_id)
    attempts = stage.desk.store.get(job_id)
    stage.desk.publish(job_id)
    assert stage.desk.store.get(job_id) == attempts
    assert stage.driver.pulls(stage.repository) == []


def test_a_branch_that_somebody_else_made_is_left_alone(stage: Stage) -> None:
    number, job_id = finished(stage)
    theirs = stage.driver.push(
        stage.repository, f"evoscale/issue-{number}", {"x": "y"}, as_user=stage.owner, start="main"
    )
    stage.desk.publish(job_id)
    assert stage.driver.pulls(stage.repository) == []
    assert "so I left it alone" in stage.status(number)
    assert "+    return a + b" in stage.status(number)
    assert stage.driver.read_file(stage.repository, "x", ref=theirs) == b"y"
    assert stage.branch(f"evoscale/issue-{number}") == theirs


def test_a_person_s_commit_on_our_branch_is_not_overwritten_by_a_review(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.desk.publish(job_id)
    at = int(str(stage.driver.pulls(stage.repository)[0]["number"]))
    stage.driver.review(stage.repository, at, "COMMENT", "More.", as_user=stage.owner)
    stage.settle()
    review = stage.latest(number).job.job_id
    theirs = stage.driver.push(
        stage.repository, f"evoscale/issue-{number}", {"x": "y"}, as_user=stage.owner
    )
    again = make_patched(patch=make_patched().patch.replace("a - b", "a + b").replace("+    return a + b", "+    return b + a"))  # fmt: skip
    stage.desk.store.finish(review, again)
    stage.desk.publish(review)
    assert stage.branch(f"evoscale/issue-{number}") == theirs
    assert "so I left it alone" in stage.status(number)


def test_a_pull_request_that_somebody_closed_stays_closed(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.desk.publish(job_id)
    [pull] = stage.driver.pulls(stage.repository)
    stage.driver.close_issue(stage.repository, int(str(pull["number"])), as_user=stage.owner)
    stage.forget_the_end(job_id)
    stage.desk.publish(job_id)
    [after] = stage.driver.pulls(stage.repository)
    assert after["state"] == "closed"
    assert "I leave it closed" in stage.status(number)


def new_file(path: str, mode: str = "100644", content: str = "x") -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{content}\n"
    )


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (new_file(".github/workflows/x.yml"), "no `workflows` permission"),
        (new_file(".GitHub/Workflows/x.yml"), "no `workflows` permission"),
        (new_file("link", "120000", "/etc/passwd"), "symbolic link"),
        (new_file(".gitmodules"), "submodule"),
        (new_file("lib", "160000", "Subproject commit " + "1" * 40), "submodule"),
        (new_file("../outside"), "git apply failed"),
        (new_file(".git/hooks/pre-commit"), "git "),
        ("not a patch at all\n", "git apply failed"),
        (make_patched().patch.replace("a - b", "a * b"), "git apply failed"),
    ],
)
def test_a_patch_that_must_not_or_cannot_be_pushed_is_explained(
    stage: Stage, patch: str, said: str
) -> None:
    number, job_id = finished(stage, make_patched(patch=patch))
    stage.desk.publish(job_id)
    assert said.casefold() in stage.status(number).replace("\u200b", "").casefold()
    assert stage.driver.pulls(stage.repository) == []
    assert stage.branch(f"evoscale/issue-{number}") is None
    assert stage.latest(number).state is JobState.DONE


def test_a_patch_through_a_link_in_the_repository_writes_nothing_outside(stage: Stage) -> None:
    stage.driver.push(
        stage.repository, "main", {"out": File(b"/tmp", SYMLINK)}, as_user=stage.owner
    )
    number, job_id = finished(stage, make_patched(patch=new_file("out/evil")))
    stage.desk.publish(job_id)
    assert stage.latest(number).state is JobState.DONE


def test_a_missing_permission_is_explained(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.driver.set_permissions(
        stage.installation_id, {"contents": "read", "issues": "write", "pull_requests": "write"}
    )
    stage.restart()
    stage.desk.publish(job_id)
    stored = stage.desk.store.get(job_id)
    assert stored
    assert stored.state is JobState.DONE
    assert number


def test_the_commit_is_the_same_whoever_makes_it(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.desk.publish(job_id)
    first = stage.branch(f"evoscale/issue-{number}")
    stage.driver.delete_branch(stage.repository, f"evoscale/issue-{number}")
    stage.forget_the_end(job_id)
    stage.restart()
    stage.desk.publish(job_id)
    assert stage.branch(f"evoscale/issue-{number}") == first


def test_main_that_moved_on_does_not_change_what_the_patch_is_for(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.driver.push(stage.repository, "main", {"new.txt": "1"}, as_user=stage.owner)
    stage.desk.publish(job_id)
    assert_published_once(stage, number, job_id)


def test_progress_is_told_while_it_runs_and_never_after_the_end(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.desk.publish(job_id)
    final = stage.status(number)
    stage.forget_the_end(job_id)
    stage.desk.progress(job_id)
    assert stage.status(number) == final


def test_a_comment_that_cannot_be_updated_now_is_no_failure(stage: Stage) -> None:
    _, job_id = finished(stage)
    stage.driver.add_fault(faults.secondary_limit(COMMENTS, "60", method="GET"))
    stage.desk.progress(job_id)


def test_a_push_that_hangs_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    number, job_id = finished(stage)
    monkeypatch.setattr(git, "NETWORK_S", 0.5)
    stage.driver.add_fault(faults.hang(r".*/info/refs", 2.0, count=5))
    stage.desk.publish(job_id)
    assert stage.latest(number).state is JobState.FINISHED
    monkeypatch.setattr(git, "NETWORK_S", 60.0)
    stage.driver.clear_faults()
    stage.forget_waiting()
    come_back(stage, job_id)
    assert_published_once(stage, number, job_id)


def test_an_error_of_git_s_never_shows_the_token(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.driver.add_fault(faults.status(r".*/info/refs", 403, count=9))
    stage.desk.publish(job_id)
    token = stage.desk.app.token(stage.installation_id, stage.repository_id).get_secret_value()
    assert token not in stage.status(number)
    assert stage.latest(number).state is JobState.DONE


def test_waking_the_engine_for_a_finished_job_does_nothing(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.step(REPAIR, job_id)
    assert stage.latest(number).state is JobState.FINISHED


@pytest.mark.parametrize(
    "said",
    [
        "remote: error: GH006: Protected branch update failed for refs/heads/x.\n"
        "!\trefs/heads/x:refs/heads/x\t[remote rejected] (protected branch hook declined)\nDone",
        "remote: error: GH013: Commits must have verified signatures.\n"
        "!\trefs/heads/x:refs/heads/x\t[remote rejected] (push declined)\nDone",
        "!\trefs/heads/x:refs/heads/x\t[remote rejected] (refusing to allow a GitHub App to create "
        "or update workflow without `workflows` permission)\nDone",
    ],
)
def test_a_rule_that_refuses_the_branch_is_told_in_github_s_words(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    number, job_id = finished(stage)
    real = git.Workspace._talk

    def talk(self: git.Workspace, *arguments: str) -> bytes:
        if arguments[0] == "push":
            raise GitFailedError("push", said, retryable=False)
        return real(self, *arguments)

    monkeypatch.setattr(git.Workspace, "_talk", talk)
    stage.desk.publish(job_id)
    status = stage.status(number)
    assert "GitHub did not take the branch" in status
    assert "remote rejected" in status
    assert "+    return a + b" in status


def test_a_base_branch_deleted_on_the_way_leaves_the_branch_and_says_so(stage: Stage) -> None:
    number, job_id = finished(stage)
    stage.driver.push(stage.repository, "next", {"n": "1"}, as_user=stage.owner, start="main")
    stage.driver.delete_branch(stage.repository, "main")
    stage.desk.publish(job_id)
    assert stage.latest(number).state is JobState.DONE
    assert stage.driver.pulls(stage.repository) == []
    assert "+    return a + b" in stage.status(number)


def test_a_broker_that_is_down_delays_the_job_and_loses_nothing(stage: Stage) -> None:
    stage.wake = lambda _task, _job_id: False
    stage.restart()
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    assert stage.latest(number).state is JobState.QUEUED
    del stage.wake
    stage.restart()
    stage.age_jobs()
    for _ in range(3):
        stage.desk.wake_open_jobs()
        stage.settle()
    assert len(stage.driver.pulls(stage.repository)) == 1


@pytest.mark.parametrize("label", ["needs/fix \U0001f642", "-rf", "..", "a b,c", "x" * 50])
def test_a_label_of_any_name_works(stage: Stage, label: str) -> None:
    stage.settings = stage.settings.model_copy(update={"label": label})
    stage.restart()
    number = stage.open_issue()
    stage.driver.add_label(stage.repository, number, label, as_user=stage.owner)
    stage.settle()
    assert len(stage.driver.pulls(stage.repository)) == 1
