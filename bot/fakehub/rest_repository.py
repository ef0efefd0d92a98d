"""REST verbs of a repository: the thing itself, its branches, who may do what."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from bot.fakehub import payloads_repository as payloads
from bot.fakehub.answers import ApiError, not_found
from bot.fakehub.model import Role
from bot.fakehub.routing import RestRoute
from bot.fakehub.visit import Here

router = APIRouter(route_class=RestRoute)


@router.get("")
def get_repository(here: Here) -> JSONResponse:
    """The repository."""
    return JSONResponse(payloads.repository(here.hub, here.repository, full=True))


@router.get("/branches/{branch:path}")
def get_branch(here: Here, branch: str) -> JSONResponse:
    """A branch and its head."""
    git = here.hub.git(here.repository)
    sha = git.branch(branch)
    if sha is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "Branch not found")
    return JSONResponse(payloads.branch(here.hub, here.repository, branch, git.commit(sha)))


@router.get("/git/ref/{ref:path}")
def get_ref(here: Here, ref: str) -> JSONResponse:
    """Where a ref points; `ref` has no leading `refs/`."""
    git = here.hub.git(here.repository)
    if not git.refs():
        raise ApiError(HTTPStatus.CONFLICT, "Git Repository is empty.")
    sha = git.ref(f"refs/{ref}") if ref.startswith(("heads/", "tags/", "pull/")) else None
    if sha is None:
        raise not_found()
    url = payloads.repository_url(here.hub, here.repository)
    return JSONResponse(
        {
            "ref": f"refs/{ref}",
            "node_id": payloads.node_id("REF", here.repository.repository_id) + ref,
            "url": f"{url}/git/refs/{ref}",
            "object": {"sha": sha, "type": "commit", "url": f"{url}/git/commits/{sha}"},
        }
    )


@router.get("/collaborators/{username}/permission")
def get_permission(here: Here, username: str) -> JSONResponse:
    """What somebody may do here: strangers may read what is public, and nothing else."""
    if here.caller.user is None:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "Requires authentication")
    if not here.caller.via_app and here.hub.role(here.repository, here.caller.user) < Role.WRITE:
        raise ApiError(
            HTTPStatus.FORBIDDEN, "Must have push access to view collaborator permission."
        )
    account = here.hub.user(username)
    if account is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"{username} is not a user")
    role = here.hub.role(here.repository, account)
    return JSONResponse(payloads.permission(here.hub, account, role))
