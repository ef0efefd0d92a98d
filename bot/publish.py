"""Outcome in, pull request out. Safe to run twice: it looks first, then writes.

Branch and commit follow from the job alone, so whatever a killed publisher left behind is found
and continued: same commit id, same branch, same pull request, same comment.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot import git
from bot.errors import (
    GitFailedError,
    GitHubRefusedError,
    InstallationGoneError,
    RepositoryGoneError,
)
from bot.events import PullRequestData, RepositoryData
from bot.github import App, Installation, NewPull
from bot.inbox import Bookmarks
from bot.render import (
    Status,
    commit_message,
    final_marker,
    job_marker,
    pull_body,
    pull_title,
    status_comment,
    status_marker,
)
from bot.settings import child_environment
from bot.triggers import branch_of
from engine.contract import Patched
from engine.store import JobState, JobStore, StoredJob

logger = logging.getLogger(__name__)

PROGRESS_GAP_S = 10.0
UNPROCESSABLE = 422


@dataclass(frozen=True, slots=True)
class Published:
    """How a publication ended: the pull request and its branch, or a sentence on why none."""

    url: str | None = None
    branch: str | None = None
    note: str = ""


class Publisher:
    """Tells GitHub about jobs: progress while they run, and how they ended."""

    def __init__(
        self,
        app: App,
        store: JobStore,
        bookmarks: Bookmarks,
        public_url: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._store = store
        self._bookmarks = bookmarks
        self._public_url = public_url.rstrip("/")
        self._now = now
        self._told: dict[str, float] = {}

    def progress(self, job_id: str) -> None:
        """Bring the status comment up to date, at most once in ten seconds.

        Raises:
            GitHubUnavailableError, GitHubRefusedError: as every call.
        """
        stored = self._store.get(job_id)
        last = self._told.get(job_id, float("-inf"))
        if stored is None or stored.state is JobState.DONE or self._now() - last < PROGRESS_GAP_S:
            return
        self._told[job_id] = self._now()
        installation = self._installation(stored)
        number = stored.job.issue.number
        known = installation.comment(number, status_marker(number))
        if known is None or final_marker(job_id) not in (known.body or ""):
            self._say(installation, stored)

    def publish(self, job_id: str) -> bool:
        """Take a FINISHED job to DONE; False when it was in another state.

        Raises:
            GitHubUnavailableError, GitFailedError: try again later.
        """
        stored = self._store.get(job_id)
        if stored is None or stored.state is not JobState.FINISHED:
            return False
        installation = self._installation(stored)
        try:
            published = self._attempt(installation, stored)
            self._say_final(installation, stored, published)
        except (InstallationGoneError, RepositoryGoneError) as error:
            logger.warning("nobody is left to tell how the job ended: %s", error)
            published = Published(note=str(error))
        self._bookmarks.put(note_name(job_id), published.note)
        self._told.pop(job_id, None)
        return self._store.published(job_id, published.url, published.branch)

    def _installation(self, stored: StoredJob) -> Installation:
        job = stored.job
        return self._app.installation(job.installation_id, job.repository, job.delivery_id)

    def _say(self, installation: Installation, stored: StoredJob, note: str = "") -> None:
        number = stored.job.issue.number
        page = f"{self._public_url}/jobs/{stored.job.job_id}" if self._public_url else ""
        body = status_comment(Status(stored, note, page))
        installation.say(number, status_marker(number), body)

    def _say_final(
        self, installation: Installation, stored: StoredJob, published: Published
    ) -> None:
        final = ended(stored, published)
        try:
            self._say(installation, final, published.note)
        except (InstallationGoneError, RepositoryGoneError):
            raise
        except GitHubRefusedError as error:
            logger.warning("the status comment cannot be written: %s", error)

    def _attempt(self, installation: Installation, stored: StoredJob) -> Published:
        """Publish; a refusal that will not change becomes the sentence that says so."""
        try:
            return self._end(installation, stored)
        except (InstallationGoneError, RepositoryGoneError):
            raise
        except (GitHubRefusedError, GitFailedError) as error:
            if error.retryable:
                raise
            return Published(note=f"{str(error)[0].upper()}{str(error)[1:]}.")

    def _end(self, installation: Installation, stored: StoredJob) -> Published:
        repository = installation.repository()
        outcome, request = stored.outcome, stored.request
        if not isinstance(outcome, Patched) or request is None:
            return Published()
        if not repository.writable:
            return Published(note="The repository is archived, so nothing can be pushed to it.")
        issue = installation.issue(stored.job.issue.number)
        if issue is None or issue.state != "open":
            return Published(note="The issue was closed meanwhile, so I opened no pull request.")
        return self._push(installation, repository, stored, outcome)

    def _push(
        self,
        installation: Installation,
        repository: RepositoryData,
        stored: StoredJob,
        outcome: Patched,
    ) -> Published:
        branch = branch_for(stored)
        remote = git.Remote(repository.git_url, installation.token(), child_environment())
        with git.workspace(remote) as workspace:
            problem = self._commit_and_push(workspace, stored, outcome, branch)
        if problem:
            return Published(note=problem)
        return self._pull(installation, stored, outcome, branch)

    def _commit_and_push(
        self, workspace: git.Workspace, stored: StoredJob, outcome: Patched, branch: str
    ) -> str:
        """Push the one commit; a sentence where that must not or cannot be."""
        if stored.request is None:
            return "The files that the patch is for are unknown."
        snapshot = stored.request.snapshot
        login = self._app.identity().bot_login
        signature = git.Signature(
            login, f"{login}@users.noreply.github.com", int(stored.created_at)
        )
        workspace.fetch(snapshot.base_commit, snapshot.base_branch)
        message = commit_message(stored.job, outcome)
        commit = workspace.commit(snapshot.base_commit, outcome.patch, message, signature)
        if forbidden := workspace.forbidden(snapshot.base_commit, commit):
            return forbidden
        expected = snapshot.base_commit if stored.job.pull_request else None
        return _problem(workspace.push(commit, branch, expected), branch)

    def _pull(
        self, installation: Installation, stored: StoredJob, outcome: Patched, branch: str
    ) -> Published:
        """Find or open the pull request, and bring its text up to date."""
        known = installation.pull_of(branch)
        body = self._body(stored, outcome)
        if known is None:
            try:
                installation.open_pull(
                    NewPull(branch, _base_of(stored), pull_title(stored.job), body)
                )
            except GitHubRefusedError as error:
                return _unopened(error, branch)
            known = installation.pull_of(branch)
        if known is None:
            return Published(None, branch, f"The branch {branch} is there, without a pull request.")
        return self._bring_up_to_date(installation, stored, known, body)

    def _bring_up_to_date(
        self, installation: Installation, stored: StoredJob, pull: PullRequestData, body: str
    ) -> Published:
        if pull.state != "open":
            note = "Somebody closed the pull request of this branch; I leave it closed."
            return Published(pull.html_url, pull.head.ref, note)
        if job_marker(stored.job.job_id) not in (pull.body or ""):
            installation.edit_pull(pull.number, body)
        return Published(pull.html_url, pull.head.ref)

    def _body(self, stored: StoredJob, outcome: Patched) -> str:
        base = stored.request.snapshot.base_commit if stored.request else ""
        page = f"{self._public_url}/jobs/{stored.job.job_id}" if self._public_url else ""
        return pull_body(stored.job, outcome, base, page)


def note_name(job_id: str) -> str:
    """The bookmark that keeps the publisher's last word on a job."""
    return f"note:{job_id}"


def branch_for(stored: StoredJob) -> str:
    """The branch of a job; for a review, the one of its pull request."""
    job = stored.job
    return (
        job.pull_request.branch if job.pull_request else branch_of(job.issue.number, job.generation)
    )


def ended(stored: StoredJob, published: Published) -> StoredJob:
    """The job as it will be when its end is written down."""
    return replace(stored, state=JobState.DONE, url=published.url, branch=published.branch)


def _base_of(stored: StoredJob) -> str:
    return stored.request.snapshot.base_branch if stored.request else ""


def _problem(pushed: git.Pushed, branch: str) -> str:
    match pushed.push:
        case git.Push.MOVED:
            return (
                f"Somebody else pushed to the branch {branch} meanwhile, so I left it alone. "
                "Delete that branch, or apply the patch by hand."
            )
        case git.Push.REFUSED:
            return (
                f"GitHub did not take the branch {branch}; check the repository's branch rules. "
                f"It said: {pushed.said}"
            )
    return ""


def _unopened(error: GitHubRefusedError, branch: str) -> Published:
    """The branch is there, but GitHub takes no pull request from it."""
    if error.status != UNPROCESSABLE:
        raise error
    return Published(
        None,
        branch,
        f"The branch {branch} is pushed, but GitHub took no pull request: {error.message}. "
        "If its base branch is gone, open one by hand.",
    )
