"""The admin surface `/_fakehub/`, behind its own token: what owners and GitHub itself do."""

import secrets
from base64 import b64encode
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from bot.fakehub import actions_repository as actions
from bot.fakehub import admin_documents as documents
from bot.fakehub.actions_issue import Act
from bot.fakehub.actions_pull import after_push
from bot.fakehub.answers import ApiError, not_found
from bot.fakehub.faults import Fault
from bot.fakehub.git_repository import File
from bot.fakehub.model import Delivery, Installation, Repository, Role, User
from bot.fakehub.payloads_repository import repository_html_url
from bot.fakehub.recording import Exchange
from bot.fakehub.routing import current_hub
from bot.fakehub.state import HubState
from bot.fakehub.webhooks import ping, redeliver

MAX_WAIT_S = 60.0


def admin_hub(request: Request) -> HubState:
    """The hub, for whoever has the admin token.

    Raises:
        ApiError: 401.
    """
    hub = current_hub(request)
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not secrets.compare_digest(given.encode(), hub.admin_token.encode()):
        raise ApiError(HTTPStatus.UNAUTHORIZED, "the admin surface needs the admin token")
    return hub


Hub = Annotated[HubState, Depends(admin_hub)]
router = APIRouter(prefix="/_fakehub", dependencies=[Depends(admin_hub)])


@router.get("/credentials")
def get_credentials(hub: Hub) -> documents.Credentials:
    """The app's credentials."""
    return credentials(hub)


def credentials(hub: HubState) -> documents.Credentials:
    """What the app needs to know to be the app."""
    return documents.Credentials(
        base_url=hub.base_url,
        app_id=hub.app.app_id,
        client_id=hub.app.client_id,
        slug=hub.app.slug,
        private_key=hub.app.private_key,
        webhook_secret=hub.app.webhook_secret,
        admin_token=hub.admin_token,
    )


@router.post("/users")
def create_user(hub: Hub, new: documents.NewUser) -> documents.Account:
    """Add a person."""
    try:
        return _account(hub.add_user(new.login))
    except ValueError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


@router.get("/users/{login}")
def get_user(hub: Hub, login: str) -> documents.Account:
    """A person, with their token."""
    return _account(_user(hub, login))


@router.post("/repositories")
def create_repository(hub: Hub, new: documents.NewRepository) -> documents.RepositoryDocument:
    """Make a repository with one commit."""
    files = {name: file for name, file in _files(new.files).items() if file is not None}
    try:
        made = actions.create_repository(
            hub, _user(hub, new.owner), new.name, files, private=new.private
        )
    except ValueError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    return documents.RepositoryDocument(
        repository_id=made.repository_id,
        full_name=made.full_name,
        clone_url=f"{repository_html_url(hub, made)}.git",
        head_sha=hub.git(made).branch(made.default_branch),
    )


@router.patch("/repositories/{owner}/{name}")
def change_repository(
    hub: Hub, owner: str, name: str, changed: documents.ChangedRepository
) -> None:
    """Rename, archive, hide."""
    repository = _repository(hub, owner, name)
    if changed.archived is not None:
        actions.set_archived(hub, repository, archived=changed.archived)
    if changed.private is not None:
        actions.set_private(hub, repository, private=changed.private)
    if changed.name is not None:
        actions.rename(hub, repository, changed.name)


@router.delete("/repositories/{owner}/{name}")
def delete_repository(hub: Hub, owner: str, name: str) -> None:
    """Delete."""
    actions.delete(hub, _repository(hub, owner, name))


@router.put("/repositories/{owner}/{name}/collaborators")
def set_role(hub: Hub, owner: str, name: str, changed: documents.ChangedRole) -> None:
    """Say what somebody may do."""
    actions.set_role(
        _repository(hub, owner, name), _user(hub, changed.login), Role[changed.role.upper()]
    )


@router.post("/repositories/{owner}/{name}/commits")
def push(hub: Hub, owner: str, name: str, new: documents.NewCommit) -> documents.CommitDocument:
    """Commit on top of a branch and tell the app, as a push would."""
    repository, user = _repository(hub, owner, name), _user(hub, new.user)
    git = hub.git(repository)
    with hub.push_lock(repository):
        before = git.refs()
        if new.start is not None and git.branch(new.branch) is None:
            start = git.branch(new.start)
            if start is None:
                raise not_found()
            git.set_ref(f"refs/heads/{new.branch}", start)
        sha = actions.commit(hub, repository, user, new.branch, _files(new.files), new.message)
        after_push(Act(hub, repository, user, via_app=False), before)
    return documents.CommitDocument(sha=sha)


@router.delete("/repositories/{owner}/{name}/branches/{branch:path}")
def delete_branch(hub: Hub, owner: str, name: str, branch: str) -> None:
    """Delete a branch, as its repository's owner would."""
    repository = _repository(hub, owner, name)
    with hub.push_lock(repository):
        before = hub.git(repository).refs()
        hub.git(repository).delete_ref(f"refs/heads/{branch}")
        after_push(Act(hub, repository, repository.owner, via_app=False), before)


@router.get("/repositories/{owner}/{name}/files/{path:path}")
def read_file(hub: Hub, owner: str, name: str, path: str, ref: str) -> documents.FileAnswer:
    """A file as some commit has it."""
    content = hub.git(_repository(hub, owner, name)).read(ref, path)
    if content is None:
        raise not_found()
    return documents.FileAnswer(content=b64encode(content).decode())


@router.post("/repositories/{owner}/{name}/issues/{number}/lock")
def lock_issue(hub: Hub, owner: str, name: str, number: int) -> None:
    """Lock a conversation."""
    _repository(hub, owner, name).issues[number].locked = True


@router.post("/installations")
def install(hub: Hub, new: documents.NewInstallation) -> documents.InstallationDocument:
    """Install the app."""
    account = _user(hub, new.owner)
    repositories = [_repository(hub, new.owner, name) for name in new.repositories]
    made = actions.install(hub, account, repositories, new.permissions)
    return documents.InstallationDocument(installation_id=made.installation_id)


@router.patch("/installations/{installation_id}")
def change_installation(
    hub: Hub, installation_id: int, changed: documents.ChangedInstallation
) -> None:
    """Suspend, or accept other permissions."""
    installation = _installation(hub, installation_id)
    if changed.suspended is not None:
        actions.set_suspended(hub, installation, suspended=changed.suspended)
    if changed.permissions is not None:
        actions.set_permissions(hub, installation, changed.permissions)


@router.delete("/installations/{installation_id}")
def uninstall(hub: Hub, installation_id: int) -> None:
    """Take the app away."""
    actions.uninstall(hub, _installation(hub, installation_id))


@router.put("/webhook")
def set_webhook(hub: Hub, webhook: documents.Webhook) -> None:
    """Say where deliveries go from now on."""
    hub.app.webhook_url = webhook.url


@router.post("/webhook/pings")
def send_ping(hub: Hub) -> None:
    """Send a ping."""
    ping(hub)


@router.get("/deliveries")
def list_deliveries(hub: Hub) -> list[documents.DeliveryDocument]:
    """Every delivery, oldest first, with its body."""
    return [_delivery(one) for one in list(hub.deliveries)]


@router.post("/deliveries/{delivery_id}/attempts")
def deliver_again(hub: Hub, delivery_id: int) -> None:
    """Press the button that GitHub's web pages have for it."""
    redeliver(hub, next(one for one in list(hub.deliveries) if one.delivery_id == delivery_id))


@router.post("/outbox")
def order_outbox(hub: Hub, wanted: documents.OutboxOrder) -> None:
    """Hold deliveries back, let go of them in either order, or lose them."""
    if wanted.order == "hold":
        hub.outbox.hold()
    elif wanted.order == "drop":
        hub.drop_deliveries()
    else:
        hub.outbox.release(reverse=wanted.order == "release_reversed")


@router.get("/outbox/idle")
def wait_idle(hub: Hub, timeout_s: float) -> documents.Idle:
    """Wait until nothing is on its way."""
    return documents.Idle(idle=hub.outbox.wait_idle(min(timeout_s, MAX_WAIT_S)))


@router.post("/faults")
def add_fault(hub: Hub, fault: Fault) -> None:
    """Arm a fault."""
    hub.faults.add(fault)


@router.get("/faults")
def list_faults(hub: Hub) -> list[Fault]:
    """The faults that are not used up."""
    return hub.faults.left()


@router.delete("/faults")
def clear_faults(hub: Hub) -> None:
    """Disarm all faults."""
    hub.faults.clear()


@router.get("/exchanges")
def list_exchanges(hub: Hub) -> list[Exchange]:
    """What was recorded."""
    return hub.recording.exchanges()


def _account(user: User) -> documents.Account:
    return documents.Account(user_id=user.user_id, login=user.login, token=user.token)


def _delivery(one: Delivery) -> documents.DeliveryDocument:
    return documents.DeliveryDocument(
        delivery_id=one.delivery_id,
        guid=one.guid,
        event=one.event,
        action=one.action,
        status=one.status,
        status_code=one.status_code,
        redelivery=one.redelivery,
        headers=one.request_headers,
        body=one.body.decode(),
    )


def _files(listed: list[documents.FileDocument]) -> dict[str, File | None]:
    return {file.path: file.to_file() for file in listed}


def _user(hub: HubState, login: str) -> User:
    found = hub.user(login)
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"there is no user {login!r}")
    return found


def _repository(hub: HubState, owner: str, name: str) -> Repository:
    found = hub.repository(owner, name)
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"there is no repository {owner}/{name}")
    return found


def _installation(hub: HubState, installation_id: int) -> Installation:
    found = hub.installations.get(installation_id)
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"there is no installation {installation_id}")
    return found
