"""`kill -9` in each stage: the job still ends exactly once."""

import pytest

from bot.fakehub import faults
from engine.contract import Stage
from engine.store import JobState
from tests.end_to_end.stories import PERSON, REPOSITORY, Story
from tests.engine import projects

pytestmark = pytest.mark.slow

SCRIPT = [[projects.HARMLESS, projects.BREAKS], [projects.FIX, projects.ALSO_HARMLESS]]


def label(story: Story, tmp_path) -> int:
    story.begin(projects.receipts(tmp_path / "repo"))
    number = story.open_issue()
    story.driver.add_label(REPOSITORY, number, "evoscale", as_user=PERSON)
    return number


def reached(story: Story, stage: Stage) -> bool:
    (job,) = story.store.recent(1) or [None]
    return bool(
        job and job.progress and job.progress.stage == stage and job.state is JobState.READY
    )


@pytest.mark.parametrize("part", ["engine-worker", "sandbox-worker"])
@pytest.mark.parametrize(
    "stage", [Stage.ENVIRONMENT, Stage.BASELINE, Stage.SEARCH, Stage.FINAL_CHECK]
)
def test_a_worker_killed_in_a_stage_is_continued_by_the_next(tmp_path, play, stage, part):
    story = play(SCRIPT)
    number = label(story, tmp_path)
    story.until(f"stage {stage}", lambda: reached(story, stage))
    story.stack.kill(part)
    story.stack.start(part)
    story.assert_ended_once(number)
    (job,) = story.store.recent(1)
    assert job.spent_s > 0


@pytest.mark.parametrize(
    "fault",
    [
        faults.slow(r".*/git-upload-pack", 3, method="POST"),
        faults.slow(r".*/git-receive-pack", 3, method="POST"),
        faults.slow(r".*/pulls", 3, method="POST"),
        faults.slow(r".*/issues/\d+/comments", 3, method="POST"),
        faults.slow(r".*/issues/comments/\d+", 3, method="PATCH"),
    ],
    ids=["snapshot", "push", "pull request", "comment", "comment again"],
)
def test_a_bot_killed_in_the_middle_of_a_call_is_continued_by_the_next(tmp_path, play, fault):
    story = play(SCRIPT, EVOSCALE_BOT_LEASE_S="2")
    story.driver.add_fault(fault)
    number = label(story, tmp_path)
    story.until("the call", lambda: not story.driver.faults_left())
    story.stack.kill("bot-worker")
    story.stack.start("bot-worker")
    story.assert_ended_once(number)


def test_a_web_process_killed_after_a_delivery_loses_nothing(tmp_path, play):
    story = play(SCRIPT)
    story.begin(projects.receipts(tmp_path / "repo"))
    number = story.open_issue()
    story.stack.kill("bot-worker")
    story.driver.add_label(REPOSITORY, number, "evoscale", as_user=PERSON)
    story.driver.wait_until_delivered()
    story.stack.kill("web")
    story.stack.start("web")
    story.stack.start("bot-worker")
    story.assert_ended_once(number)
