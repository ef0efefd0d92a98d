"""Acts as people would: owners by the admin surface, others by the REST API and their token."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from bot.fakehub import admin_documents as documents
from bot.fakehub.faults import Fault
from bot.fakehub.git_repository import EXECUTABLE, REGULAR, SYMLINK, File
from bot.fakehub.model import Access, JsonObject
from bot.fakehub.recording import Exchange

TIMEOUT_S = 90.0
_OBJECT: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)
_OBJECTS: TypeAdapter[list[JsonObject]] = TypeAdapter(list[JsonObject])
_DELIVERIES = TypeAdapter(list[documents.DeliveryDocument])
_EXCHANGES = TypeAdapter(list[Exchange])
_FAULTS = TypeAdapter(list[Fault])

FileContents = Mapping[str, str | bytes | File | None]


class DriverError(Exception):
    """Raised when the hub refuses what a driver asks; `status` and `answer` say how."""

    def __init__(self, method: str, path: str, response: httpx.Response) -> None:
        super().__init__(
            f"{method} {path} was answered {response.status_code}: {response.text[:500]}"
        )
        self.status = response.status_code
        self.answer = response.text


def files_of(directory: Path) -> dict[str, File]:
    """Read a directory into files to commit, leaving out `.git`, caches and compiled code."""
    found = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if not path.is_dir() and not {".git", "__pycache__", ".pytest_cache"}.intersection(
            relative.parts
        ):
            found[relative.as_posix()] = _file_at(path)
    return found


def _file_at(path: Path) -> File:
    if path.is_symlink():
        return File(str(path.readlink()).encode(), SYMLINK)
    return File(path.read_bytes(), EXECUTABLE if path.stat().st_mode & 0o100 else REGULAR)


class FakehubDriver:
    """The hands of everybody but the app. Repositories are named `owner/name`, people by login.

    Args:
        base_url: where the hub is.
        admin_token: from `FakehubServer.state` or the credentials file.
    """

    def __init__(self, base_url: str, admin_token: str) -> None:
        self.base_url = base_url
        self._admin_token = admin_token
        self._tokens: dict[str, str] = {}
        self._client = httpx.Client(base_url=base_url, timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        """Close the connections to the hub."""
        self._client.close()

    # What owners and GitHub itself do.

    def credentials(self) -> documents.Credentials:
        """The app's id, private key and webhook secret."""
        return documents.Credentials.model_validate_json(self._admin("GET", "/credentials"))

    def create_user(self, login: str) -> documents.Account:
        """Add a person."""
        answer = self._admin("POST", "/users", documents.NewUser(login=login))
        return documents.Account.model_validate_json(answer)

    def create_repository(
        self, owner: str, name: str, files: FileContents | Path, *, private: bool = False
    ) -> documents.RepositoryDocument:
        """Make a repository with one commit of these files, or of a directory's."""
        contents: FileContents = files_of(files) if isinstance(files, Path) else files
        new = documents.NewRepository(
            owner=owner, name=name, private=private, files=_listed(contents)
        )
        return documents.RepositoryDocument.model_validate_json(
            self._admin("POST", "/repositories", new)
        )

    def set_role(self, repository: str, login: str, role: documents.RoleName) -> None:
        """Say what somebody may do."""
        changed = documents.ChangedRole(login=login, role=role)
        self._admin("PUT", f"/repositories/{repository}/collaborators", changed)

    def install(
        self, owner: str, repositories: Sequence[str], permissions: dict[str, Access] | None = None
    ) -> int:
        """Install the app on repositories, named without owner; returns the installation id."""
        new = documents.NewInstallation(
            owner=owner, repositories=list(repositories), permissions=permissions
        )
        answer = self._admin("POST", "/installations", new)
        return documents.InstallationDocument.model_validate_json(answer).installation_id

    def suspend(self, installation_id: int, *, suspended: bool = True) -> None:
        """Suspend an installation, or end that."""
        changed = documents.ChangedInstallation(suspended=suspended)
        self._admin("PATCH", f"/installations/{installation_id}", changed)

    def set_permissions(self, installation_id: int, permissions: dict[str, Access]) -> None:
        """Accept other permissions for an installation."""
        changed = documents.ChangedInstallation(permissions=permissions)
        self._admin("PATCH", f"/installations/{installation_id}", changed)

    def uninstall(self, installation_id: int) -> None:
        """Take the app away."""
        self._admin("DELETE", f"/installations/{installation_id}")

    def rename(self, repository: str, name: str) -> None:
        """Rename a repository."""
        self._admin("PATCH", f"/repositories/{repository}", documents.ChangedRepository(name=name))

    def archive(self, repository: str, *, archived: bool = True) -> None:
        """Archive a repository, or end that."""
        self._admin(
            "PATCH", f"/repositories/{repository}", documents.ChangedRepository(archived=archived)
        )

    def make_private(self, repository: str, *, private: bool = True) -> None:
        """Hide a repository, or show it."""
        self._admin(
            "PATCH", f"/repositories/{repository}", documents.ChangedRepository(private=private)
        )

    def delete_repository(self, repository: str) -> None:
        """Delete a repository."""
        self._admin("DELETE", f"/repositories/{repository}")

    def push(
        self,
        repository: str,
        branch: str,
        files: FileContents,
        *,
        as_user: str,
        message: str = "Change files",
        start: str | None = None,
    ) -> str:
        """Push a commit; a new branch starts at the branch `start`. Returns the commit's id."""
        new = documents.NewCommit(
            user=as_user, branch=branch, message=message, files=_listed(files), start=start
        )
        answer = self._admin("POST", f"/repositories/{repository}/commits", new)
        return documents.CommitDocument.model_validate_json(answer).sha

    def delete_branch(self, repository: str, branch: str) -> None:
        """Delete a branch."""
        self._admin("DELETE", f"/repositories/{repository}/branches/{quote(branch)}")

    def read_file(self, repository: str, path: str, *, ref: str = "main") -> bytes:
        """A file as a branch or commit has it."""
        answer = self._admin(
            "GET", f"/repositories/{repository}/files/{quote(path)}?ref={quote(ref, safe='')}"
        )
        return b64decode(documents.FileAnswer.model_validate_json(answer).content)

    def lock_issue(self, repository: str, number: int) -> None:
        """Lock a conversation."""
        self._admin("POST", f"/repositories/{repository}/issues/{number}/lock")

    # Webhooks, faults and the recording.

    def set_webhook(self, url: str | None) -> None:
        """Say where deliveries go from now on."""
        self._admin("PUT", "/webhook", documents.Webhook(url=url))

    def ping(self) -> None:
        """Send a ping."""
        self._admin("POST", "/webhook/pings")

    def deliveries(self) -> list[documents.DeliveryDocument]:
        """Every delivery so far, oldest first."""
        return _DELIVERIES.validate_json(self._admin("GET", "/deliveries"))

    def redeliver(self, delivery_id: int) -> None:
        """Deliver something again, with the guid it had."""
        self._admin("POST", f"/deliveries/{delivery_id}/attempts")

    def hold_deliveries(self) -> None:
        """Keep deliveries back until they are released or dropped."""
        self._admin("POST", "/outbox", documents.OutboxOrder(order="hold"))

    def release_deliveries(self, *, reverse: bool = False) -> None:
        """Let go of held deliveries, last first if so wished."""
        order = documents.OutboxOrder(order="release_reversed" if reverse else "release")
        self._admin("POST", "/outbox", order)

    def drop_deliveries(self) -> None:
        """Lose held deliveries; they show as failed."""
        self._admin("POST", "/outbox", documents.OutboxOrder(order="drop"))

    def wait_until_delivered(self, timeout_s: float = 30.0) -> None:
        """Wait until no delivery is on its way.

        Raises:
            TimeoutError: some still are.
        """
        answer = self._admin("GET", f"/outbox/idle?timeout_s={timeout_s}")
        if not documents.Idle.model_validate_json(answer).idle:
            raise TimeoutError(f"deliveries are still on their way after {timeout_s} s")

    def add_fault(self, fault: Fault) -> None:
        """Arm a fault; `bot.fakehub.faults` makes them."""
        self._admin("POST", "/faults", fault)

    def faults_left(self) -> list[Fault]:
        """The faults that have not done all they were meant to do."""
        return _FAULTS.validate_json(self._admin("GET", "/faults"))

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._admin("DELETE", "/faults")

    def exchanges(self) -> list[Exchange]:
        """What the hub recorded, if it was started with `record`."""
        return _EXCHANGES.validate_json(self._admin("GET", "/exchanges"))

    # What people do, each with their own token.

    def open_issue(
        self,
        repository: str,
        title: str,
        body: str = "",
        *,
        as_user: str,
        labels: Sequence[str] = (),
    ) -> int:
        """Open an issue; returns its number."""
        content: JsonObject = {"title": title, "body": body, "labels": list(labels)}
        return _number(
            self.as_user(as_user, "POST", f"/repos/{repository}/issues", content), "number"
        )

    def close_issue(self, repository: str, number: int, *, as_user: str) -> None:
        """Close an issue or pull request."""
        self.as_user(as_user, "PATCH", f"/repos/{repository}/issues/{number}", {"state": "closed"})

    def reopen_issue(self, repository: str, number: int, *, as_user: str) -> None:
        """Reopen it."""
        self.as_user(as_user, "PATCH", f"/repos/{repository}/issues/{number}", {"state": "open"})

    def edit_issue(self, repository: str, number: int, body: str, *, as_user: str) -> None:
        """Change what an issue says."""
        self.as_user(as_user, "PATCH", f"/repos/{repository}/issues/{number}", {"body": body})

    def add_label(self, repository: str, number: int, label: str, *, as_user: str) -> None:
        """Put a label on."""
        self.as_user(
            as_user, "POST", f"/repos/{repository}/issues/{number}/labels", {"labels": [label]}
        )

    def remove_label(self, repository: str, number: int, label: str, *, as_user: str) -> None:
        """Take a label off."""
        self.as_user(
            as_user,
            "DELETE",
            f"/repos/{repository}/issues/{number}/labels/{quote(label, safe='')}",
            {},
        )

    def comment(self, repository: str, number: int, body: str, *, as_user: str) -> int:
        """Say something; returns the comment's id."""
        path = f"/repos/{repository}/issues/{number}/comments"
        return _number(self.as_user(as_user, "POST", path, {"body": body}), "id")

    def edit_comment(self, repository: str, comment_id: int, body: str, *, as_user: str) -> None:
        """Say something else instead."""
        self.as_user(
            as_user, "PATCH", f"/repos/{repository}/issues/comments/{comment_id}", {"body": body}
        )

    def review(
        self, repository: str, number: int, event: str, body: str = "", *, as_user: str
    ) -> int:
        """Review: `event` is `APPROVE`, `REQUEST_CHANGES` or `COMMENT`; returns the review's id."""
        path = f"/repos/{repository}/pulls/{number}/reviews"
        return _number(self.as_user(as_user, "POST", path, {"event": event, "body": body}), "id")

    def review_comment(
        self, repository: str, number: int, path: str, line: int, body: str, *, as_user: str
    ) -> int:
        """Comment on a line of a pull request; returns the comment's id."""
        pull = self.pull(repository, number)
        head = pull["head"]
        content: JsonObject = {"body": body, "path": path, "line": line, "side": "RIGHT"}
        content["commit_id"] = head["sha"] if isinstance(head, dict) else None
        return _number(
            self.as_user(as_user, "POST", f"/repos/{repository}/pulls/{number}/comments", content),
            "id",
        )

    def merge(self, repository: str, number: int, *, as_user: str) -> None:
        """Merge a pull request."""
        self.as_user(as_user, "PUT", f"/repos/{repository}/pulls/{number}/merge", {})

    # What anybody with an account can see.

    def issue(self, repository: str, number: int) -> JsonObject:
        """An issue as the REST API shows it."""
        return self._get_one(repository, f"/issues/{number}")

    def comments(self, repository: str, number: int) -> list[JsonObject]:
        """The conversation."""
        return self._get_all(repository, f"/issues/{number}/comments")

    def pulls(self, repository: str, *, state: str = "all") -> list[JsonObject]:
        """The pull requests, newest first."""
        return self._get_all(repository, f"/pulls?state={state}&per_page=100")

    def pull(self, repository: str, number: int) -> JsonObject:
        """A pull request as the REST API shows it."""
        return self._get_one(repository, f"/pulls/{number}")

    def diff(self, repository: str, number: int) -> str:
        """A pull request's diff."""
        headers = self._authorization(repository.split("/", maxsplit=1)[0]) | {
            "Accept": "application/vnd.github.diff"
        }
        return self._send("GET", f"/repos/{repository}/pulls/{number}", headers, None).text

    def as_user(self, login: str, method: str, path: str, content: JsonObject) -> JsonObject:
        """Send any request as somebody; returns the answer if it is an object, else an empty one.

        Raises:
            DriverError: the hub refused.
        """
        response = self._send(method, path, self._authorization(login), _OBJECT.dump_json(content))
        found = response.json() if response.content else {}
        return _OBJECT.validate_python(found) if isinstance(found, dict) else {}

    def _get_one(self, repository: str, path: str) -> JsonObject:
        owner = repository.split("/", maxsplit=1)[0]
        response = self._send("GET", f"/repos/{repository}{path}", self._authorization(owner), None)
        return _OBJECT.validate_json(response.content)

    def _get_all(self, repository: str, path: str) -> list[JsonObject]:
        owner = repository.split("/", maxsplit=1)[0]
        response = self._send("GET", f"/repos/{repository}{path}", self._authorization(owner), None)
        return _OBJECTS.validate_json(response.content)

    def _authorization(self, login: str) -> dict[str, str]:
        if login not in self._tokens:
            answer = self._admin("GET", f"/users/{quote(login)}")
            self._tokens[login] = documents.Account.model_validate_json(answer).token
        return {"Authorization": f"token {self._tokens[login]}"}

    def _admin(
        self, method: str, path: str, content: documents.Document | Fault | None = None
    ) -> bytes:
        body = None if content is None else content.model_dump_json().encode()
        headers = {"Authorization": f"Bearer {self._admin_token}"}
        return self._send(method, f"/_fakehub{path}", headers, body).content

    def _send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> httpx.Response:
        if body is not None:
            headers = headers | {"Content-Type": "application/json"}
        response = self._client.request(method, path, content=body, headers=headers)
        if not response.is_success:
            raise DriverError(method, path, response)
        return response


def _listed(files: FileContents) -> list[documents.FileDocument]:
    return [documents.FileDocument.of(path, _file(content)) for path, content in files.items()]


def _file(content: str | bytes | File | None) -> File | None:
    if content is None or isinstance(content, File):
        return content
    return File(content.encode() if isinstance(content, str) else content)


def _number(document: JsonObject, field: str) -> int:
    found = document[field]
    if not isinstance(found, int):
        raise TypeError(f"{field} is {found!r}, not a number")
    return found
