"""One repository of one installation: the verbs that dispatch, snapshot and publish need."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from githubkit import TokenAuthStrategy
from githubkit.exception import GitHubException
from pydantic import SecretStr

from bot.errors import GitHubRefusedError, RepositoryGoneError
from bot.events import (
    Account,
    CommentData,
    IssueData,
    LabelRef,
    PullRequestData,
    RepositoryData,
    ReviewData,
    Seen,
)
from bot.github import calls
from bot.github.calls import Answer, Ask
from engine.contract import RepositoryRef

if TYPE_CHECKING:
    from bot.github.app import App

LISTED = 100
_LOGIN = re.compile(r"[A-Za-z0-9_-]{1,100}(?:\[bot\])?")
_STANDARD_ROLES = frozenset({"admin", "maintain", "write", "triage", "read"})


class RoleData(Seen):
    """What the permission endpoint answers; `role_name` tells triage from read."""

    permission: str = "none"
    role_name: str | None = None


class LabelledData(Seen):
    """That somebody set a label: who, and when."""

    id: int
    event: str = ""
    actor: Account | None = None
    label: LabelRef | None = None
    created_at: datetime

    def is_of(self, label: str) -> bool:
        """Whether this label was set."""
        name = self.label.name if self.label else ""
        return self.event == "labeled" and name.casefold() == label.casefold()


@dataclass(frozen=True, slots=True)
class NewPull:
    """A pull request to open."""

    branch: str
    base: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a reviewer wrote: the review itself, and its comments at lines."""

    review: str
    comments: tuple[CommentData, ...]


class Installation:
    """Verbs on one repository. Every verb may raise what `bot.github.calls` raises."""

    def __init__(
        self, app: "App", installation_id: int, repository: RepositoryRef, delivery_id: str
    ) -> None:
        self._app = app
        self._id = installation_id
        self._repository_id = repository.id
        self._owner, self._name = repository.owner, repository.name
        self._delivery_id = delivery_id

    @property
    def full_name(self) -> str:
        """`owner/name`, as it is now."""
        return f"{self._owner}/{self._name}"

    def token(self) -> SecretStr:
        """A token for git; never log it."""
        return self._app.token(self._id, self._repository_id)

    def repository(self) -> RepositoryData:
        """Read the repository; from here on its present name is used, after a rename too.

        Raises:
            RepositoryGoneError: deleted, made private to us, or another one of the same name.
        """
        what = f"read {self.full_name}"
        try:
            answer = self._get(what, lambda g: g.rest.repos.get(self._owner, self._name))
        except GitHubRefusedError as error:
            if calls.is_missing(error):
                reason = "it was deleted or the app no longer covers it"
                raise RepositoryGoneError(what, error.status, reason) from error
            raise
        found = calls.parsed(what, RepositoryData, answer)
        if found.id != self._repository_id:
            raise RepositoryGoneError(what, 200, "another repository has this name now")
        self._owner, self._name = found.owner.login, found.name
        return found

    def issue(self, number: int) -> IssueData | None:
        """The issue as it is now; None when it was deleted or moved away."""
        what = f"read issue #{number}"
        answer = self._find(what, lambda g: g.rest.issues.get(self._owner, self._name, number))
        found = calls.parsed(what, IssueData, answer) if answer else None
        return found if found and found.number == number and self._is_here(found) else None

    def _is_here(self, issue: IssueData) -> bool:
        """Whether the issue is still in this repository: a transferred one redirects away."""
        address = issue.repository_url.casefold()
        return not address or address.endswith(f"/repos/{self.full_name}".casefold())

    def labelled_issues(self, label: str, since: datetime) -> Sequence[IssueData]:
        """Open issues that have the label and changed after `since`."""
        what = "list labelled issues"
        wanted: dict[str, str | int] = {
            "state": "open",
            "labels": label,
            # githubkit's own verb writes a datetime as Python does, which GitHub does not read.
            "since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "per_page": LISTED,
        }

        def get(page: int) -> Answer:
            url = f"/repos/{self._owner}/{self._name}/issues"
            return self._get(what, lambda g: g.request("GET", url, params={**wanted, "page": page}))

        found = calls.paged(what, IssueData, get)
        return [issue for issue in found if issue.pull_request is None]

    def labelled(self, number: int, label: str) -> LabelledData | None:
        """Who set the label on an issue last; None where GitHub does not say."""
        what = f"read the events of #{number}"

        def get(page: int) -> Answer:
            return self._get(
                what,
                lambda g: g.rest.issues.list_events(
                    self._owner, self._name, number, per_page=LISTED, page=page
                ),
            )

        try:
            events = list(calls.paged(what, LabelledData, get))
        except GitHubRefusedError as error:
            if calls.is_missing(error):
                return None
            raise
        ours = [each for each in events if each.is_of(label)]
        return ours[-1] if ours else None

    def role_of(self, login: str) -> str:
        """A person's role here: admin, maintain, write, triage, read or none; unsure is none."""
        if not _LOGIN.fullmatch(login):
            return "none"
        what = f"read the role of {login}"
        answer = self._find(
            what,
            lambda g: g.rest.repos.get_collaborator_permission_level(
                self._owner, self._name, login
            ),
        )
        role = calls.parsed(what, RoleData, answer) if answer else RoleData()
        named = role.role_name or ""
        return named if named in _STANDARD_ROLES else role.permission

    def react(self, comment_id: int, content: Literal["eyes", "confused"]) -> None:
        """Leave a reaction on a comment; the same one twice is one."""
        self._send(
            "react",
            lambda g: g.rest.reactions.create_for_issue_comment(
                self._owner, self._name, comment_id, content=content
            ),
        )

    def comment(self, number: int, marker: str) -> CommentData | None:
        """Our own comment on the issue that carries the hidden marker."""
        ours = self._app.identity().bot_login.casefold()
        for comment in self._comments(number):
            author = comment.user.login.casefold() if comment.user else ""
            if author == ours and marker in (comment.body or ""):
                return comment
        return None

    def say(self, number: int, marker: str, body: str) -> None:
        """Create or update our comment with this marker; the same text twice is one write."""
        with self._app.lock(self._id):
            known = self.comment(number, marker)
            if known is None:
                self._send(
                    f"comment on #{number}",
                    lambda g: g.rest.issues.create_comment(
                        self._owner, self._name, number, body=body
                    ),
                )
            elif (known.body or "").replace("\r\n", "\n") != body:
                self._change(
                    f"update the comment on #{number}",
                    lambda g: g.rest.issues.update_comment(
                        self._owner, self._name, known.id, body=body
                    ),
                )

    def pull(self, number: int) -> PullRequestData | None:
        """A pull request as it is now, or None."""
        what = f"read pull request #{number}"
        answer = self._find(what, lambda g: g.rest.pulls.get(self._owner, self._name, number))
        return calls.parsed(what, PullRequestData, answer) if answer else None

    def pull_of(self, branch: str) -> PullRequestData | None:
        """The pull request from one of our branches, an open one first, or None."""
        what = f"look for a pull request from {branch}"
        answer = self._get(
            what,
            lambda g: g.rest.pulls.list(
                self._owner,
                self._name,
                state="all",
                head=f"{self._owner}:{branch}",
                per_page=LISTED,
            ),
        )
        pulls = calls.listed(what, PullRequestData, answer)
        mine = [pull for pull in pulls if pull.head.ref == branch]
        mine.sort(key=lambda pull: (pull.state != "open", -pull.number))
        return mine[0] if mine else None

    def open_pull(self, new: NewPull) -> None:
        """Open a draft pull request; where drafts are not to be had, a plain one.

        Look with `pull_of` before and after: "already exists" is no error here.
        """
        try:
            self._create_pull(new, draft=True)
        except GitHubRefusedError as error:
            if "already exists" in error.message:
                return
            if "draft" not in error.message.lower():
                raise
            self._create_pull(new, draft=False)

    def _create_pull(self, new: NewPull, *, draft: bool) -> None:
        self._send(
            f"open a pull request from {new.branch}",
            lambda g: g.rest.pulls.create(
                self._owner,
                self._name,
                title=new.title,
                head=new.branch,
                base=new.base,
                body=new.body,
                draft=draft,
            ),
        )

    def edit_pull(self, number: int, body: str) -> None:
        """Replace a pull request's text."""
        self._change(
            f"update pull request #{number}",
            lambda g: g.rest.pulls.update(self._owner, self._name, number, body=body),
        )

    def feedback(self, pull_number: int, review_id: int) -> Feedback | None:
        """A review with its comments, or None when it is gone."""
        what = f"read the reviews of #{pull_number}"

        def reviews(page: int) -> Answer:
            return self._get(
                what,
                lambda g: g.rest.pulls.list_reviews(
                    self._owner, self._name, pull_number, per_page=LISTED, page=page
                ),
            )

        def comments(page: int) -> Answer:
            return self._get(
                what,
                lambda g: g.rest.pulls.list_review_comments(
                    self._owner, self._name, pull_number, per_page=LISTED, page=page
                ),
            )

        found = [r for r in calls.paged(what, ReviewData, reviews) if r.id == review_id]
        if not found:
            return None
        at_lines = calls.paged(what, CommentData, comments)
        ours = tuple(each for each in at_lines if each.pull_request_review_id == review_id)
        return Feedback(found[0].body or "", ours)

    def _comments(self, number: int) -> Iterator[CommentData]:
        what = f"read the comments of #{number}"

        def get(page: int) -> Answer:
            return self._get(
                what,
                lambda g: g.rest.issues.list_comments(
                    self._owner, self._name, number, per_page=LISTED, page=page
                ),
            )

        return calls.paged(what, CommentData, get)

    def _find(self, what: str, ask: Ask) -> Answer | None:
        try:
            return self._get(what, ask)
        except GitHubRefusedError as error:
            if calls.is_missing(error):
                return None
            raise

    def _get(self, what: str, ask: Ask) -> Answer:
        return calls.idempotent(self._app.wire, what, lambda: self._signed(ask))

    def _change(self, what: str, ask: Ask) -> None:
        self._app.pace(self._id)
        self._get(what, ask)

    def _send(self, what: str, ask: Ask) -> None:
        self._app.pace(self._id)
        calls.once(what, lambda: self._signed(ask))

    def _signed(self, ask: Ask) -> Answer:
        """Send with the cached token; when GitHub no longer takes it, once more with a new one."""
        try:
            return self._attempt(ask)
        except GitHubException as error:
            if not calls.is_unauthorized(error):
                raise
        self._app.drop_token(self._id, self._repository_id)
        return self._attempt(ask)

    def _attempt(self, ask: Ask) -> Answer:
        auth = TokenAuthStrategy(self.token().get_secret_value())
        signed = calls.client(self._app.wire, auth, self._delivery_id)
        return ask(signed)
