"""The app itself: who it is, its tokens, its installations, its failed deliveries."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from githubkit import TokenAuthStrategy
from githubkit.auth import AppAuthStrategy
from pydantic import Field, SecretStr

from bot.errors import GitHubRefusedError, InstallationGoneError
from bot.events import RepositoryData, Seen
from bot.github import calls
from bot.github.calls import Answer, Ask, Client, Wire
from bot.github.installation import Installation
from engine.contract import RepositoryRef

PERMISSIONS = {
    "contents": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
}
EARLY_S = 300.0
LISTED = 100


class Identity(Seen):
    """The app as GitHub knows it."""

    id: int
    slug: str
    events: tuple[str, ...] = ()
    permissions: Mapping[str, str] = Field(default_factory=dict)

    @property
    def bot_login(self) -> str:
        """The login under which the app writes."""
        return f"{self.slug}[bot]"


class MintedToken(Seen):
    """What the token endpoint answers."""

    token: SecretStr
    expires_at: datetime


class InstallationData(Seen):
    """An installation of the app."""

    id: int
    suspended_at: datetime | None = None


class SentDelivery(Seen):
    """A delivery as GitHub keeps it: `id` is for asking again, `guid` is ours."""

    id: int
    guid: str
    delivered_at: datetime
    status_code: int = 0
    event: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A token and the moment from which it is no longer used."""

    token: SecretStr
    until: float


class App:
    """Signs in as the app. Thread-safe: one lock per installation, so one mint at a time."""

    def __init__(
        self,
        app_id: int,
        private_key: SecretStr,
        wire: Wire,
        *,
        write_gap_s: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.app_id = app_id
        self.wire = wire
        self.write_gap_s = write_gap_s
        self._auth = AppAuthStrategy(app_id, private_key.get_secret_value())
        self._client = calls.client(wire, self._auth, "")
        self._now = now
        self._identity: Identity | None = None
        self._tokens: dict[tuple[int, int], Held] = {}
        self._locks: defaultdict[int, threading.RLock] = defaultdict(threading.RLock)
        self._writes: dict[int, float] = {}

    def identity(self) -> Identity:
        """Ask once who we are.

        Raises:
            GitHubUnavailableError, GitHubRefusedError: as every call.
        """
        if self._identity is None:
            answer = self._read("read the app", lambda g: g.rest.apps.get_authenticated())
            self._identity = calls.parsed("read the app", Identity, answer)
        return self._identity

    def installation(
        self, installation_id: int, repository: RepositoryRef, delivery_id: str
    ) -> Installation:
        """Speak to one repository; every call carries the delivery's id."""
        return Installation(self, installation_id, repository, delivery_id)

    def lock(self, installation_id: int) -> threading.RLock:
        """The lock under which an installation's tokens are minted and its writes are sent."""
        return self._locks[installation_id]

    def token(self, installation_id: int, repository_id: int) -> SecretStr:
        """A token for one repository and our four permissions, from the cache or newly minted.

        Raises:
            InstallationGoneError: uninstalled or suspended.
            GitHubUnavailableError, GitHubRefusedError: as every call.
        """
        key = (installation_id, repository_id)
        with self.lock(installation_id):
            held = self._tokens.get(key)
            if held is None or held.until <= self._now():
                held = self._tokens[key] = self._mint(installation_id, repository_id)
            return held.token

    def drop_token(self, installation_id: int, repository_id: int) -> None:
        """Forget a token that GitHub no longer takes."""
        with self.lock(installation_id):
            self._tokens.pop((installation_id, repository_id), None)

    def _mint(self, installation_id: int, repository_id: int) -> Held:
        what = f"sign in to installation {installation_id}"
        scope = {"repository_ids": [repository_id]} if repository_id else {}
        body = {**scope, "permissions": PERMISSIONS}
        path = f"/app/installations/{installation_id}/access_tokens"
        try:
            answer = self._read(what, lambda g: g.request("POST", path, json=body))
        except GitHubRefusedError as error:
            if error.status == calls.NOT_FOUND:
                raise InstallationGoneError(what, error.status, "the app is uninstalled") from error
            raise
        minted = calls.parsed(what, MintedToken, answer)
        return Held(minted.token, minted.expires_at.timestamp() - EARLY_S)

    def pace(self, installation_id: int) -> None:
        """Leave the gap between two writes that GitHub asks for."""
        with self.lock(installation_id):
            due = self._writes.get(installation_id, 0.0) + self.write_gap_s
            if (wait := min(due - self._now(), self.write_gap_s)) > 0:
                self.wire.sleep(wait)
            self._writes[installation_id] = self._now()

    def installations(self) -> Sequence[int]:
        """The ids of all installations that are not suspended."""
        what = "list the installations"

        def get(page: int) -> Answer:
            return self._read(
                what, lambda g: g.rest.apps.list_installations(per_page=LISTED, page=page)
            )

        found = calls.paged(what, InstallationData, get)
        return [each.id for each in found if each.suspended_at is None]

    def repositories(self, installation_id: int) -> Sequence[RepositoryData]:
        """The repositories that an installation covers."""
        what = "list the repositories"
        token = self.token(installation_id, 0)
        signed = calls.client(self.wire, TokenAuthStrategy(token.get_secret_value()), "")

        def get(page: int) -> Answer:
            return calls.idempotent(
                self.wire,
                what,
                lambda: signed.rest.apps.list_repos_accessible_to_installation(
                    per_page=LISTED, page=page
                ),
            )

        return list(calls.paged(what, RepositoryData, get, "repositories"))

    def failed_deliveries(self, after: datetime) -> Sequence[SentDelivery]:
        """Deliveries since `after` of which no attempt was answered with 2xx, oldest first."""
        what = "list the deliveries"
        latest: dict[str, SentDelivery] = {}
        done: set[str] = set()
        cursor: str | None = None
        for _ in range(calls.MAX_PAGES):
            answer = self._read(what, partial(_deliveries, cursor))
            page = calls.listed(what, SentDelivery, answer)
            for each in page:
                latest.setdefault(each.guid, each)
                done |= {each.guid} if _is_ok(each.status_code) else set()
            cursor = calls.next_query(answer, "cursor")
            if cursor is None or not page or page[-1].delivered_at < after:
                break
        missed = [each for guid, each in latest.items() if guid not in done]
        return sorted((e for e in missed if e.delivered_at >= after), key=lambda e: e.delivered_at)

    def redeliver(self, sent_id: int) -> None:
        """Ask GitHub to send a delivery again; asking twice is harmless, ids are kept."""
        self._read("redeliver", lambda g: g.rest.apps.redeliver_webhook_delivery(sent_id))

    def _read(self, what: str, ask: Ask) -> Answer:
        return calls.idempotent(self.wire, what, lambda: ask(self._client))


def _deliveries(cursor: str | None, client: Client) -> Answer:
    if cursor is None:
        return client.rest.apps.list_webhook_deliveries(per_page=LISTED)
    return client.rest.apps.list_webhook_deliveries(per_page=LISTED, cursor=cursor)


def _is_ok(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004  # HTTP's own range of success
