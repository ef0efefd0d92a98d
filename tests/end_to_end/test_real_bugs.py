"""Real projects, real bugs, the embedded model: from the label to the last word, whatever it is."""

import pytest

from bot.demo import cases
from engine.contract import Patched
from engine.store import JobState
from sandbox.backends import open_sandbox
from sandbox.contract import Patch
from sandbox.images import prepare
from sandbox.runner import run_script
from sandbox.settings import SandboxSettings
from tests.end_to_end.stories import OWNER, PERSON, Story

pytestmark = [pytest.mark.network, pytest.mark.slow]

SOLVED = "boltons-bytes2human"
OTHERS = ("boltons-bits-too-large", "funcy-cut-suffix", "semver-replace-subclass")
LIMIT_S = 240.0


def fetched(name: str, folder) -> cases.Project:
    try:
        return cases.project_of(cases.find(name), folder)
    except cases.CaseUnavailableError as error:
        pytest.skip(f"no package index: {error}")


def asked(story: Story, project: cases.Project) -> int:
    repository = f"{OWNER}/{project.name}"
    story.begin(project.root, project.name)
    number = story.driver.open_issue(repository, project.title, project.body, as_user=PERSON)
    story.driver.comment(repository, number, "/evoscale iterations=2 candidates=5", as_user=PERSON)
    return number


def hidden_check(name: str, project: cases.Project, patch: str) -> int | None:
    settings = SandboxSettings(kind="bubblewrap")
    sandbox = open_sandbox("bubblewrap", settings)
    environment = prepare(sandbox, project.root, test_command=None, settings=settings)
    source = f"import sys\nsys.path.insert(0, '.')\n{cases.find(name).check}"
    return run_script(
        sandbox, environment.image, source, patch=Patch(patch), limits=settings.limits()
    ).exit_code


def test_the_demos_bug_is_resolved_as_its_maintainers_did(tmp_path, play):
    project = fetched(SOLVED, tmp_path / "sdist")
    story = play(limit_s=LIMIT_S)
    asked(story, project)
    job = story.done()
    assert isinstance(job.outcome, Patched), job.outcome
    assert job.outcome.evidence.resolved
    assert job.outcome.evidence.model == "embedded"
    assert f"+{cases.find(SOLVED).after}\n" in job.outcome.patch
    assert hidden_check(SOLVED, project, job.outcome.patch) == 0


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_ends_with_an_honest_last_word(tmp_path, play, name):
    project = fetched(name, tmp_path / "sdist")
    story = play(limit_s=LIMIT_S)
    number = asked(story, project)
    job = story.done()
    assert job.state is JobState.DONE
    assert job.outcome is not None
    repository = f"{OWNER}/{project.name}"
    (comment,) = story.status_comments(number, repository)
    pulls = story.driver.pulls(repository)
    assert len(pulls) == isinstance(job.outcome, Patched)
    if isinstance(job.outcome, Patched):
        assert job.outcome.evidence.no_regression
        assert str(pulls[0]["html_url"]) in comment
    else:
        assert "candidates" in comment
