"""The few payload fields we read. Unknown ones are ignored, missing ones are None.

No typed webhook library stands here: published schemas reject a third of real payloads
(docs/decisions/0005).
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

COMMAND = "/evoscale"


class Seen(BaseModel):
    """Something GitHub told us: immutable, open to fields we do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Account(Seen):
    """A person, an organisation or an app's bot user."""

    login: str
    type: str = "User"


class AppRef(Seen):
    """The app through which something was written."""

    id: int


class LabelRef(Seen):
    """A label, by name."""

    name: str


class InstallationRef(Seen):
    """The installation a delivery belongs to."""

    id: int


class PullRequestMark(Seen):
    """There when an "issue" is a pull request."""

    url: str | None = None


class IssueData(Seen):
    """An issue, or a pull request seen as one."""

    number: int
    title: str = ""
    body: str | None = None
    state: str = "open"
    user: Account | None = None
    labels: tuple[LabelRef, ...] = ()
    pull_request: PullRequestMark | None = None
    updated_at: datetime | None = None
    repository_url: str = ""

    def has_label(self, name: str) -> bool:
        """Whether the label is on it; GitHub's labels ignore case."""
        return any(label.name.casefold() == name.casefold() for label in self.labels)


class CommentData(Seen):
    """A comment on an issue, or at a line of a pull request's diff."""

    id: int
    body: str | None = None
    user: Account | None = None
    performed_via_github_app: AppRef | None = None
    html_url: str = ""
    updated_at: str = ""
    path: str = ""
    line: int | None = None
    original_line: int | None = None
    pull_request_review_id: int | None = None


class ReviewData(Seen):
    """A review of a pull request."""

    id: int
    body: str | None = None
    state: str = ""
    user: Account | None = None


class RepositoryData(Seen):
    """A repository."""

    id: int
    name: str
    full_name: str
    owner: Account
    default_branch: str = "main"
    archived: bool = False
    disabled: bool = False
    html_url: str = ""
    clone_url: str = ""

    @property
    def git_url(self) -> str:
        """Where git finds it."""
        return self.clone_url or f"{self.html_url}.git"

    @property
    def writable(self) -> bool:
        """Whether anything can be pushed to it at all."""
        return not (self.archived or self.disabled)


class HeadData(Seen):
    """One end of a pull request."""

    ref: str
    sha: str
    repo: RepositoryData | None = None


class PullRequestData(Seen):
    """A pull request."""

    number: int
    title: str = ""
    body: str | None = None
    state: str = "open"
    draft: bool = False
    html_url: str = ""
    user: Account | None = None
    head: HeadData
    base: HeadData | None = None


class Payload(Seen):
    """Any webhook we subscribe to; which fields are there depends on the event."""

    action: str | None = None
    sender: Account | None = None
    installation: InstallationRef | None = None
    repository: RepositoryData | None = None
    issue: IssueData | None = None
    label: LabelRef | None = None
    comment: CommentData | None = None
    review: ReviewData | None = None
    pull_request: PullRequestData | None = None


def read(body: bytes) -> Payload | str:
    """Parse a delivery's body; a sentence where the fields that we need are not there."""
    try:
        return Payload.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"the payload's {where or 'body'} cannot be read: {first['msg']}"
