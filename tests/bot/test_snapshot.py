"""What a repository can be like, and that somebody always learns why it cannot be searched."""

import pytest

from bot import git, settings, snapshot
from bot.errors import GitFailedError
from bot.fakehub.git_repository import SYMLINK, File
from engine import snapshot as storage
from engine.contract import Failed, NoPatch
from engine.errors import SnapshotInvalidError
from engine.queue import PUBLISH
from engine.store import JobState
from tests.bot.stage import Stage


def taken(stage: Stage) -> str:
    """Try to take a snapshot; what the person is told in the end."""
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    outcome = stage.latest(number).outcome
    assert isinstance(outcome, Failed)
    assert stage.latest(number).state is JobState.DONE
    assert outcome.reason in stage.status(number).replace("\u200b", "")
    return outcome.reason


def test_a_default_branch_that_is_not_there_is_named(stage: Stage) -> None:
    stage.driver.push(stage.repository, "other", {"a": "b"}, as_user=stage.owner, start="main")
    stage.driver.delete_branch(stage.repository, "main")
    assert "The branch 'main' does not exist" in taken(stage)


def test_too_many_files_are_counted_before_they_are_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MAX_FILES", 2)
    assert "has 3 files" in taken(stage)


def test_a_repository_whose_files_were_all_deleted_is_told_to_push_some(stage: Stage) -> None:
    gone = {"README.md": None, "calc/__init__.py": None, "tests/test_calc.py": None}
    stage.driver.push(stage.repository, "main", gone, as_user=stage.owner)
    assert "has no files" in taken(stage)


def test_what_the_storage_refuses_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SnapshotInvalidError("key", "it is too large")

    monkeypatch.setattr(storage, "pack", refuse)
    assert "it is too large" in taken(stage)


def test_an_archived_repository_is_told_to_be_unarchived(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.driver.wait_until_delivered()
    stage.desk.dispatch()
    stage.driver.archive(stage.repository)
    job_id = stage.latest(number).job.job_id
    stage.desk.snapshot(job_id)
    outcome = stage.latest(number).outcome
    assert isinstance(outcome, Failed)
    assert "unarchive it first" in outcome.reason


def test_attributes_links_and_modes_of_a_hostile_repository_come_as_they_are(stage: Stage) -> None:
    files = {
        ".gitattributes": "tests/** export-ignore\n*.py text eol=crlf ident filter=lfs\n",
        "calc/__init__.py": "# $Id$\nx = 1\n",
        "link": File(b"/etc/passwd", SYMLINK),
    }
    stage.driver.push(stage.repository, "main", files, as_user=stage.owner)
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    request = stage.latest(number).request
    assert request
    folder = stage.settings.snapshot_dir
    import tarfile

    with tarfile.open(folder / f"{request.snapshot.key}.tar") as archive:
        names = archive.getnames()
        source = archive.extractfile("calc/__init__.py")
        assert source
        assert source.read() == b"# $Id$\nx = 1\n"
        assert archive.getmember("link").issym()
    assert "tests/test_calc.py" in names
    assert not any(name.startswith(".git/") for name in names)


def remote(stage: Stage) -> git.Remote:
    url = f"{stage.driver.base_url}/{stage.repository}.git"
    token = stage.desk.app.token(stage.installation_id, stage.repository_id)
    return git.Remote(url, token, settings.child_environment())


def test_a_commit_that_is_nowhere_is_an_error_that_stays(stage: Stage) -> None:
    with git.workspace(remote(stage)) as workspace, pytest.raises(GitFailedError) as raised:
        workspace.fetch("1" * 40, "main")
    assert not raised.value.retryable


def test_no_token_lies_on_disk_or_in_the_arguments(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: list[str] = []
    real = git.subprocess.Popen

    def spy(argv: list[str], **options: object) -> object:
        arguments.extend(argv)
        return real(argv, **options)

    monkeypatch.setattr(git.subprocess, "Popen", spy)
    there = remote(stage)
    with git.workspace(there) as workspace:
        tip = workspace.tip("main")
        assert tip
        workspace.fetch(tip, "main")
        token = there.token.get_secret_value()
        texts = [p.read_bytes() for p in workspace._folder.rglob("*") if p.is_file()]
    assert not any(token.encode() in text for text in texts)
    assert not any(token in each for each in arguments)
    assert token not in repr(there)


def test_no_configuration_of_the_host_is_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = stage.settings.snapshot_dir
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text('[url "http://evil.example/"]\n\tinsteadOf = http\n')
    monkeypatch.setenv("HOME", str(home))
    with git.workspace(remote(stage)) as workspace:
        assert workspace.tip("main")


@pytest.mark.parametrize("url", ["ext::sh -c id", "file:///etc", "ssh://x/y", "--upload-pack=id"])
def test_other_transports_than_http_are_off(stage: Stage, url: str) -> None:
    there = git.Remote(url, remote(stage).token, settings.child_environment())
    with git.workspace(there) as workspace, pytest.raises(GitFailedError):
        workspace.tip("main")


CONFIG = ".github/evoscale.yml"


def test_the_settings_come_from_the_default_branch(stage: Stage) -> None:
    stage.driver.push(stage.repository, "main", {CONFIG: "minutes: 3\n"}, as_user=stage.owner)
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    request = stage.latest(number).request
    assert request
    assert request.config == "minutes: 3\n"


def test_a_pull_requests_branch_does_not_say_how_its_tests_run(stage: Stage) -> None:
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    branch = stage.latest(number).branch
    assert branch
    hostile = {CONFIG: "test_command: sh -c 'exit 0'\n", "calc/new.py": "x = 1\n"}
    stage.driver.push(stage.repository, branch, hostile, as_user=stage.owner)
    [pull] = stage.driver.pulls(stage.repository)
    at = int(str(pull["number"]))
    stage.repair = lambda _request: None
    stage.driver.review(stage.repository, at, "REQUEST_CHANGES", "More.", as_user=stage.owner)
    stage.settle()
    request = stage.latest(number).request
    assert request
    assert request.snapshot.base_branch == branch
    assert request.config == ""
    stage.driver.push(stage.repository, "main", {CONFIG: "minutes: 2\n"}, as_user=stage.owner)
    stage.driver.review(stage.repository, at, "REQUEST_CHANGES", "Again.", as_user=stage.owner)
    stage.desk.store.finish(request.job.job_id, NoPatch(reason="Ended."))
    stage.woken.append((PUBLISH, request.job.job_id))
    stage.settle()
    stage.run_out_leases()
    stage.settle()
    later = stage.latest(number).request
    assert later
    assert (later.job.generation, later.config) == (3, "minutes: 2\n")


@pytest.mark.parametrize("content", [File(b"/etc/passwd", SYMLINK), "# long\n" * 9000])
def test_a_settings_file_that_is_none_counts_as_none(stage: Stage, content: File | str) -> None:
    stage.driver.push(stage.repository, "main", {CONFIG: content}, as_user=stage.owner)
    number = stage.open_issue()
    stage.label(number)
    stage.settle()
    request = stage.latest(number).request
    assert request
    assert request.config == ""


def test_a_reason_is_a_sentence() -> None:
    assert snapshot._no("it is so").reason == "It is so."
