"""`kill -9` of a worker in each stage of a search: the job still ends exactly once."""

import pytest

from engine.contract import Stage
from engine.store import JobState
from tests.end_to_end.stories import Story
from tests.engine import projects

pytestmark = pytest.mark.slow

SCRIPT = [[projects.HARMLESS], [projects.FIX]]


def reached(story: Story, stage: Stage) -> bool:
    """Whether the job is in a stage; a moment that went by unseen is said and not waited for."""
    (job,) = story.store.recent(1) or [None]
    assert job is None or job.outcome is None, f"the job ended before stage {stage} was seen"
    return bool(
        job and job.progress and job.progress.stage == stage and job.state is JobState.READY
    )


@pytest.mark.parametrize("part", ["engine-worker", "sandbox-worker"])
@pytest.mark.parametrize(
    "stage", [Stage.ENVIRONMENT, Stage.BASELINE, Stage.SEARCH, Stage.FINAL_CHECK]
)
def test_a_worker_killed_in_a_stage_is_continued_by_the_next(tmp_path, play, stage, part):
    story = play(SCRIPT)
    number = story.label(projects.receipts(tmp_path / "repo"))
    story.until(f"stage {stage}", lambda: reached(story, stage))
    story.stack.kill(part)
    story.stack.start(part)
    story.assert_ended_once(number)
    (job,) = story.store.recent(1)
    assert job.times.spent_s > 0
