"""The nouns of the hub: users, repositories, issues, pull requests, installations, deliveries."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

JsonObject = dict[str, JsonValue]

Access = Literal["read", "write"]
IssueState = Literal["open", "closed"]
EventName = Literal["labeled", "unlabeled", "closed", "reopened"]
ReviewState = Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED"]


class Role(IntEnum):
    """What a person may do in a repository; a higher role may do all that a lower one may."""

    NONE = 0
    READ = 1
    TRIAGE = 2
    WRITE = 3
    MAINTAIN = 4
    ADMIN = 5

    @property
    def role_name(self) -> str:
        """GitHub's `role_name`."""
        return self.name.lower()

    @property
    def permission(self) -> str:
        """GitHub's older `permission`, which folds maintain into write and triage into read."""
        folded = {Role.MAINTAIN: Role.WRITE, Role.TRIAGE: Role.READ}
        return folded.get(self, self).name.lower()


def now_utc() -> datetime:
    """The clock that a hub uses unless a test hands it another."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """A moment as GitHub writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp_or_none(moment: datetime | None) -> str | None:
    """`timestamp`, for fields that may be null."""
    return None if moment is None else timestamp(moment)


@dataclass(slots=True, eq=False)
class User:
    """A person with a token, or an app's bot account (`type` is then `Bot` and `token` empty)."""

    user_id: int
    login: str
    type: Literal["User", "Bot"]
    token: str

    @property
    def email(self) -> str:
        """The address that GitHub lets people commit under."""
        return f"{self.user_id}+{self.login}@users.noreply.github.com"


@dataclass(slots=True, eq=False)
class Label:
    """A label of one repository."""

    label_id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass(slots=True, eq=False)
class Reaction:
    """One person's emoji under an issue or a comment."""

    reaction_id: int
    user: User
    content: str
    created_at: datetime


@dataclass(slots=True, eq=False)
class Comment:
    """A comment in the conversation of an issue or a pull request."""

    comment_id: int
    user: User | None
    body: str
    created_at: datetime
    updated_at: datetime
    via_app: bool
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class IssueEvent:
    """Something that happened to an issue besides talk: a label set, the issue closed."""

    event_id: int
    event: EventName
    actor: User
    created_at: datetime
    via_app: bool
    label: Label | None = None


@dataclass(slots=True, eq=False)
class Review:
    """A submitted review of a pull request."""

    review_id: int
    user: User
    body: str
    state: ReviewState
    commit_sha: str
    submitted_at: datetime


@dataclass(slots=True, eq=False)
class ReviewComment:
    """A comment on a line of a pull request's diff."""

    comment_id: int
    review_id: int
    user: User
    body: str
    path: str
    line: int | None
    side: str
    diff_hunk: str
    commit_sha: str
    created_at: datetime
    in_reply_to: int | None = None


@dataclass(slots=True, eq=False)
class Pull:
    """What a pull request has beyond being an issue."""

    pull_id: int
    head_ref: str
    base_ref: str
    head_sha: str
    base_sha: str
    draft: bool
    merged_at: datetime | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    reviews: list[Review] = field(default_factory=list)
    review_comments: list[ReviewComment] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Issue:
    """An issue, or a pull request where `pull` is set: GitHub numbers both in one row."""

    issue_id: int
    number: int
    title: str
    body: str | None
    user: User | None
    created_at: datetime
    updated_at: datetime
    via_app: bool
    labels: list[Label] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    events: list[IssueEvent] = field(default_factory=list)
    state: IssueState = "open"
    state_reason: str | None = None
    locked: bool = False
    closed_at: datetime | None = None
    closed_by: User | None = None
    pull: Pull | None = None


@dataclass(slots=True, eq=False)
class Repository:
    """One repository: its conversation here, its commits in the bare repository at `path`."""

    repository_id: int
    owner: User
    name: str
    path: Path
    default_branch: str
    private: bool
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime
    description: str | None = None
    archived: bool = False
    collaborators: dict[str, Role] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner.login}/{self.name}"


@dataclass(slots=True, eq=False)
class App:
    """The one GitHub App of this hub."""

    app_id: int
    client_id: str
    slug: str
    name: str
    owner: User
    bot: User
    private_key: str
    public_key: str
    webhook_secret: str
    webhook_url: str | None
    permissions: dict[str, Access]
    events: tuple[str, ...]
    created_at: datetime


@dataclass(slots=True, eq=False)
class Installation:
    """The app, installed on some repositories of one account."""

    installation_id: int
    account: User
    permissions: dict[str, Access]
    repository_ids: set[int]
    created_at: datetime
    updated_at: datetime
    suspended_at: datetime | None = None
    suspended_by: User | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What one installation token allows, and until when."""

    installation_id: int
    permissions: dict[str, Access]
    repository_ids: frozenset[int]
    expires_at: datetime


@dataclass(slots=True, eq=False)
class Delivery:
    """One attempt to hand an event to the app; a redelivery has the same guid."""

    delivery_id: int
    guid: str
    event: str
    action: str | None
    installation_id: int | None
    repository_id: int | None
    body: bytes
    redelivery: bool
    delivered_at: datetime | None = None
    duration_s: float = 0.0
    status: str = "pending"
    status_code: int = 0
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the receiver answered 2xx in time."""
        return self.status == "OK"
