"""What owners do: make, rename, archive and delete repositories, and install the app."""

from collections.abc import Mapping, Sequence

from bot.fakehub import payloads_repository as payloads
from bot.fakehub.git_repository import Author, File
from bot.fakehub.model import Access, Installation, JsonObject, Repository, Role, User
from bot.fakehub.state import HubState
from bot.fakehub.webhooks import emit, emit_installation


def create_repository(
    hub: HubState, owner: User, name: str, files: Mapping[str, File], *, private: bool = False
) -> Repository:
    """Make a repository with one commit, or an empty one where there are no files.

    Raises:
        ValueError: the owner has one of that name.
    """
    with hub.lock:
        if hub.repository(owner.login, name) is not None:
            raise ValueError(f"{owner.login}/{name} exists already")
        repository_id, now = hub.next_id(), hub.clock()
        # The id, not the name, is the directory: a rename then changes nothing on disk.
        path = hub.directory / f"{repository_id}.git"
        repository = Repository(repository_id, owner, name, path, "main", private, now, now, now)
        hub.git(repository).create(repository.default_branch)
        if files:
            commit(hub, repository, owner, repository.default_branch, files, "Initial commit")
        hub.repositories[repository_id] = repository
        return repository


def commit(
    hub: HubState,
    repository: Repository,
    user: User,
    branch: str,
    files: Mapping[str, File | None],
    message: str,
) -> str:
    """Commit in a person's name; says nothing to anybody."""
    author = Author(user.login, user.email, hub.clock())
    return hub.git(repository).commit_files(branch, files, message, author)


def set_role(repository: Repository, user: User, role: Role) -> None:
    """Make somebody a collaborator, or no longer one."""
    repository.collaborators[user.login.lower()] = role


def rename(hub: HubState, repository: Repository, name: str) -> None:
    """Rename a repository; the old name redirects from then on."""
    with hub.lock:
        before = repository.name
        hub.former_names[repository.full_name.lower()] = repository.repository_id
        repository.name = name
        changes: JsonObject = {"changes": {"repository": {"name": {"from": before}}}}
        emit(hub, repository, "repository", "renamed", repository.owner, changes)


def set_archived(hub: HubState, repository: Repository, *, archived: bool) -> None:
    """Archive a repository, or take it out of the archive."""
    with hub.lock:
        repository.archived = archived
        action = "archived" if archived else "unarchived"
        emit(hub, repository, "repository", action, repository.owner, {})


def set_private(hub: HubState, repository: Repository, *, private: bool) -> None:
    """Hide a repository, or show it."""
    with hub.lock:
        repository.private = private
        action = "privatized" if private else "publicized"
        emit(hub, repository, "repository", action, repository.owner, {})


def delete(hub: HubState, repository: Repository) -> None:
    """Delete a repository; its files stay on disk until the directory goes."""
    with hub.lock:
        emit(hub, repository, "repository", "deleted", repository.owner, {})
        del hub.repositories[repository.repository_id]
        for installation in hub.installations.values():
            installation.repository_ids.discard(repository.repository_id)


def install(
    hub: HubState,
    account: User,
    repositories: Sequence[Repository],
    permissions: dict[str, Access] | None = None,
) -> Installation:
    """Install the app on some of an account's repositories, or add them where it is already."""
    with hub.lock:
        known = next((one for one in hub.installations.values() if one.account is account), None)
        if known is not None:
            _add_repositories(hub, known, repositories)
            return known
        now = hub.clock()
        installation = Installation(
            installation_id=hub.next_id(),
            account=account,
            permissions=dict(permissions or hub.app.permissions),
            repository_ids={repository.repository_id for repository in repositories},
            created_at=now,
            updated_at=now,
        )
        hub.installations[installation.installation_id] = installation
        listed: list[JsonObject] = [
            payloads.repository_in_installation(one) for one in repositories
        ]
        emit_installation(
            hub, installation, "installation", "created", account, {"repositories": list(listed)}
        )
        return installation


def uninstall(hub: HubState, installation: Installation) -> None:
    """Take the app away; its tokens die at once."""
    with hub.lock:
        del hub.installations[installation.installation_id]
        emit_installation(hub, installation, "installation", "deleted", installation.account, {})


def set_suspended(hub: HubState, installation: Installation, *, suspended: bool) -> None:
    """Suspend the installation, or end that."""
    with hub.lock:
        installation.suspended_at = hub.clock() if suspended else None
        installation.suspended_by = installation.account if suspended else None
        action = "suspend" if suspended else "unsuspend"
        emit_installation(hub, installation, "installation", action, installation.account, {})


def set_permissions(
    hub: HubState, installation: Installation, permissions: dict[str, Access]
) -> None:
    """Accept other permissions; tokens made before keep theirs."""
    with hub.lock:
        installation.permissions = dict(permissions)
        action = "new_permissions_accepted"
        emit_installation(hub, installation, "installation", action, installation.account, {})


def _add_repositories(
    hub: HubState, installation: Installation, repositories: Sequence[Repository]
) -> None:
    installation.repository_ids.update(repository.repository_id for repository in repositories)
    added: list[JsonObject] = [payloads.repository_in_installation(one) for one in repositories]
    parts: JsonObject = {
        "repositories_added": list(added),
        "repositories_removed": [],
        "repository_selection": "selected",
    }
    emit_installation(
        hub, installation, "installation_repositories", "added", installation.account, parts
    )
