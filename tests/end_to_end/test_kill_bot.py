"""`kill -9` of the bot in the middle of what it does: the job still ends exactly once."""

import pytest

from bot.fakehub import faults
from tests.end_to_end.stories import PERSON, REPOSITORY
from tests.engine import projects

pytestmark = pytest.mark.slow

SCRIPT = [[projects.FIX]]


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
    number = story.label(projects.receipts(tmp_path / "repo"))
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
