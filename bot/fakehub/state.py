"""Everything the hub remembers, and how to look it up."""

import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.fakehub.faults import Faults
from bot.fakehub.git_repository import GitRepository
from bot.fakehub.model import (
    Access,
    App,
    Delivery,
    Grant,
    Installation,
    Issue,
    Repository,
    Role,
    User,
    now_utc,
)
from bot.fakehub.outbox import Outbox
from bot.fakehub.recording import Recording

DEFAULT_PERMISSIONS: dict[str, Access] = {
    "metadata": "read",
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "checks": "write",
}
DEFAULT_EVENTS = (
    "check_run",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "repository",
)
# These name routes of the hub itself, so nobody may be called so.
RESERVED_LOGINS = frozenset({"_fakehub", "app", "rate_limit", "repos", "repositories", "users"})


class HubState:
    """One GitHub: its app, people, repositories and deliveries. Changes happen under `lock`.

    Args:
        directory: where the bare repositories go.
        clock: the time, so that tests may let tokens expire without waiting.
        slug: the app's short name; its bot account is `<slug>[bot]`.
    """

    def __init__(
        self, directory: Path, *, clock: Callable[[], datetime] = now_utc, slug: str = "evoscale"
    ) -> None:
        self.directory = directory
        self.clock = clock
        self.base_url = "http://127.0.0.1"
        self.lock = threading.RLock()
        self.admin_token = secrets.token_urlsafe(24)
        self.token_secret = secrets.token_bytes(64)
        self.users: dict[str, User] = {}
        self.repositories: dict[int, Repository] = {}
        self.former_names: dict[str, int] = {}
        self.installations: dict[int, Installation] = {}
        self.grants: dict[str, Grant] = {}
        self.deliveries: list[Delivery] = []
        self.outbox = Outbox()
        self.faults = Faults()
        self.recording = Recording()
        self._ids = count(1001)
        self._push_locks: dict[int, threading.Lock] = {}
        self.app = self._make_app(slug)

    def next_id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    def add_user(self, login: str) -> User:
        """Add a person.

        Raises:
            ValueError: somebody has that name, or nobody may have it.
        """
        with self.lock:
            if login.lower() in self.users or login.lower() in RESERVED_LOGINS:
                raise ValueError(f"the login {login!r} is taken")
            token = "ghp_" + secrets.token_urlsafe(27)
            user = self.users[login.lower()] = User(self.next_id(), login, "User", token)
            return user

    def user(self, login: str) -> User | None:
        """The account of that name, people and the app's bot alike."""
        return self.users.get(login.lower())

    def user_of_token(self, token: str) -> User | None:
        """The person whose token this is."""
        people = (user for user in list(self.users.values()) if user.token)
        return next((user for user in people if secrets.compare_digest(user.token, token)), None)

    def repository(self, owner: str, name: str) -> Repository | None:
        """The repository that has this name now."""
        wanted = f"{owner}/{name}".lower()
        existing = list(self.repositories.values())
        return next((found for found in existing if found.full_name.lower() == wanted), None)

    def renamed(self, owner: str, name: str) -> Repository | None:
        """The repository that had this name before."""
        return self.repositories.get(self.former_names.get(f"{owner}/{name}".lower(), 0))

    def git(self, repository: Repository) -> GitRepository:
        """The commits of a repository."""
        return GitRepository(repository.path)

    def push_lock(self, repository: Repository) -> threading.Lock:
        """One push at a time: what it changed is seen by comparing refs before and after."""
        with self.lock:
            return self._push_locks.setdefault(repository.repository_id, threading.Lock())

    def role(self, repository: Repository, user: User) -> Role:
        """What a person may do in a repository."""
        if user is repository.owner:
            return Role.ADMIN
        everybody = Role.NONE if repository.private else Role.READ
        return max(repository.collaborators.get(user.login.lower(), Role.NONE), everybody)

    def installation_of(self, repository: Repository) -> Installation | None:
        """The installation that covers a repository."""
        installed = list(self.installations.values())
        covering = (one for one in installed if repository.repository_id in one.repository_ids)
        return next(covering, None)

    def next_number(self, repository: Repository) -> int:
        """The number that the next issue or pull request gets."""
        return max(repository.issues, default=0) + 1

    def pulls(self, repository: Repository) -> Iterable[Issue]:
        """The pull requests of a repository, oldest first."""
        return [issue for issue in list(repository.issues.values()) if issue.pull is not None]

    def drop_deliveries(self) -> None:
        """Lose what waits to be sent; the list of deliveries shows it as failed."""
        for delivery in self.outbox.drop():
            delivery.status = "failed to connect to host: dropped"
            delivery.delivered_at = self.clock()

    def _make_app(self, slug: str) -> App:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        owner = self.add_user("app-owner")
        bot = User(self.next_id(), f"{slug}[bot]", "Bot", "")
        self.users[bot.login] = bot
        return App(
            app_id=self.next_id(),
            client_id="Iv23" + secrets.token_hex(8),
            slug=slug,
            name=slug,
            owner=owner,
            bot=bot,
            private_key=private.decode(),
            public_key=public.decode(),
            webhook_secret=secrets.token_hex(20),
            webhook_url=None,
            permissions=dict(DEFAULT_PERMISSIONS),
            events=DEFAULT_EVENTS,
            created_at=self.clock(),
        )
