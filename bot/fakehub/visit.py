"""A request to one repository: which one, who asks, and what they may do there."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from bot.fakehub.actions_issue import Act
from bot.fakehub.answers import ApiError, not_found
from bot.fakehub.model import Comment, Issue, Pull, Repository, Role
from bot.fakehub.routing import current_hub
from bot.fakehub.state import HubState
from bot.fakehub.tokens import Caller, Need, caller_of, may_read, require

READ_METADATA = Need(("metadata",), "read", Role.READ)
READ_CONTENTS = Need(("contents",), "read", Role.READ)
WRITE_CONTENTS = Need(("contents",), "write", Role.WRITE)
TALK = Need(("issues", "pull_requests"), "write", Role.READ)
OPEN_ISSUES = Need(("issues",), "write", Role.READ)
TRIAGE = Need(("issues", "pull_requests"), "write", Role.TRIAGE)
OPEN_PULLS = Need(("pull_requests",), "write", Role.WRITE)
REVIEW = Need(("pull_requests",), "write", Role.READ)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks about which repository. The caller may read it, or there would be no visit."""

    hub: HubState
    caller: Caller
    repository: Repository
    request: Request

    def act(self, need: Need) -> Act:
        """Let the caller act, or answer with what GitHub would say.

        Raises:
            ApiError: the caller may not.
        """
        user = require(self.hub, self.caller, self.repository, need)
        return Act(self.hub, self.repository, user, self.caller.via_app)

    def issue(self, number: int) -> Issue:
        """The issue or pull request of that number.

        Raises:
            ApiError: 404.
        """
        found = self.repository.issues.get(number)
        if found is None:
            raise not_found()
        return found

    def pull(self, number: int) -> tuple[Issue, Pull]:
        """The pull request of that number.

        Raises:
            ApiError: 404, also for what is an issue only.
        """
        found = self.issue(number)
        if found.pull is None:
            raise not_found()
        return found, found.pull

    def comment(self, comment_id: int) -> tuple[Issue, Comment]:
        """The comment of that id, and where it stands.

        Raises:
            ApiError: 404.
        """
        for issue in list(self.repository.issues.values()):
            for comment in issue.comments:
                if comment.comment_id == comment_id:
                    return issue, comment
        raise not_found()

    @property
    def page_base(self) -> str:
        """What links between pages start with: as at GitHub the repository's id, not its name."""
        parts = self.request.url.path.split("/")
        tail = parts[3:] if parts[1] == "repositories" else parts[4:]
        return "/".join(
            [f"{self.hub.base_url}/repositories/{self.repository.repository_id}", *tail]
        )


def visit(request: Request) -> Visit:
    """Find the repository that a request names, by name or by id.

    Raises:
        ApiError: 404; 301 or 307 for a repository that has another name now.
    """
    hub = current_hub(request)
    caller = caller_of(hub, request)
    repository = _named(hub, request)
    if repository is None or not may_read(hub, caller, repository):
        raise not_found()
    return Visit(hub, caller, repository, request)


def _named(hub: HubState, request: Request) -> Repository | None:
    parameters = request.path_params
    if "repository_id" in parameters:
        number = str(parameters["repository_id"])
        return hub.repositories.get(int(number)) if number.isdecimal() else None
    owner, name = str(parameters["owner"]), str(parameters["repo"])
    found = hub.repository(owner, name)
    moved = None if found else hub.renamed(owner, name)
    if moved is not None:
        raise _moved(hub, request, moved)
    return found


def _moved(hub: HubState, request: Request, repository: Repository) -> ApiError:
    tail = request.url.path.split("/")[4:]
    target = "/".join([f"{hub.base_url}/repositories/{repository.repository_id}", *tail])
    if request.url.query:
        target += f"?{request.url.query}"
    read = request.method in ("GET", "HEAD")
    status = HTTPStatus.MOVED_PERMANENTLY if read else HTTPStatus.TEMPORARY_REDIRECT
    return ApiError(
        status, "Moved Permanently" if read else "Temporary Redirect", headers={"location": target}
    )


Here = Annotated[Visit, Depends(visit)]
Hub = Annotated[HubState, Depends(current_hub)]
