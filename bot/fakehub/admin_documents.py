"""What the driver and the hub's admin surface say to each other."""

from base64 import b64decode, b64encode
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bot.fakehub.git_repository import REGULAR, File
from bot.fakehub.model import Access

RoleName = Literal["none", "read", "triage", "write", "maintain", "admin"]


class Document(BaseModel):
    """Immutable, and strict about what it contains: both ends are ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Account(Document):
    """A person and the token they use."""

    user_id: int
    login: str
    token: str


class Credentials(Document):
    """What an app's owner gets from GitHub, and where this hub is."""

    base_url: str
    app_id: int
    client_id: str
    slug: str
    private_key: str
    webhook_secret: str
    admin_token: str


class FileDocument(Document):
    """A file to commit; `content` is base64, None deletes."""

    path: str
    mode: str = REGULAR
    content: str | None

    @classmethod
    def of(cls, path: str, file: File | None) -> "FileDocument":
        """Write a file down."""
        if file is None:
            return cls(path=path, content=None)
        return cls(path=path, mode=file.mode, content=b64encode(file.content).decode())

    def to_file(self) -> File | None:
        """Read it back."""
        return None if self.content is None else File(b64decode(self.content), self.mode)


class NewUser(Document):
    """A person to add."""

    login: str


class NewRepository(Document):
    """A repository to make."""

    owner: str
    name: str
    private: bool = False
    files: list[FileDocument]


class RepositoryDocument(Document):
    """A repository that was made."""

    repository_id: int
    full_name: str
    clone_url: str
    head_sha: str | None


class NewCommit(Document):
    """A push, as somebody's."""

    user: str
    branch: str
    message: str
    files: list[FileDocument]
    start: str | None = None


class CommitDocument(Document):
    """The commit that was pushed."""

    sha: str


class ChangedRepository(Document):
    """What to change about a repository."""

    name: str | None = None
    archived: bool | None = None
    private: bool | None = None


class ChangedRole(Document):
    """Somebody's role in a repository."""

    login: str
    role: RoleName


class NewInstallation(Document):
    """Where to install the app."""

    owner: str
    repositories: list[str]
    permissions: dict[str, Access] | None = None


class InstallationDocument(Document):
    """The installation that resulted."""

    installation_id: int


class ChangedInstallation(Document):
    """What to change about an installation."""

    suspended: bool | None = None
    permissions: dict[str, Access] | None = None


class Webhook(Document):
    """Where deliveries go."""

    url: str | None


class OutboxOrder(Document):
    """What to do with waiting deliveries."""

    order: Literal["hold", "release", "release_reversed", "drop"]


class Idle(Document):
    """Whether every delivery was sent in time."""

    idle: bool


class DeliveryDocument(Document):
    """One delivery with its body."""

    delivery_id: int
    guid: str
    event: str
    action: str | None
    status: str
    status_code: int
    redelivery: bool
    headers: dict[str, str]
    body: str


class FileAnswer(Document):
    """A file of a commit, in base64."""

    content: str
