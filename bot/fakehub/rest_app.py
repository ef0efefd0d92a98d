"""REST verbs of the app itself: who am I, where am I installed, tokens, deliveries."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bot.fakehub import payloads_repository as payloads
from bot.fakehub import tokens
from bot.fakehub.answers import ApiError, not_found, page_of, paged
from bot.fakehub.model import Access, Delivery, Installation, JsonObject
from bot.fakehub.routing import RATE_LIMIT, RestRoute, current_hub
from bot.fakehub.state import HubState
from bot.fakehub.visit import Hub
from bot.fakehub.webhooks import redeliver

router = APIRouter(route_class=RestRoute)


class TokenRequest(BaseModel):
    """What an installation token shall be limited to."""

    repositories: list[str] | None = None
    repository_ids: list[int] | None = None
    permissions: dict[str, Access] | None = None


def app_hub(request: Request) -> HubState:
    """The hub, for verbs that only the app may use.

    Raises:
        ApiError: 401, the caller is not the app.
    """
    hub = current_hub(request)
    if not tokens.caller_of(hub, request).is_app:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "A JSON web token could not be decoded")
    return hub


AppHub = Annotated[HubState, Depends(app_hub)]


@router.get("/app")
def get_app(hub: AppHub) -> JSONResponse:
    """Who am I."""
    return JSONResponse(payloads.app(hub))


@router.get("/app/installations")
def list_installations(hub: AppHub, request: Request) -> JSONResponse:
    """Where am I installed."""
    documents = [payloads.installation(hub, one) for one in list(hub.installations.values())]
    return paged(request, documents, base_path=f"{hub.base_url}/app/installations")


@router.get("/app/installations/{installation_id}")
def get_installation(hub: AppHub, installation_id: int) -> JSONResponse:
    """One installation."""
    return JSONResponse(payloads.installation(hub, _installation(hub, installation_id)))


@router.get("/repos/{owner}/{repo}/installation")
def get_repository_installation(hub: AppHub, owner: str, repo: str) -> JSONResponse:
    """The installation that covers a repository."""
    repository = hub.repository(owner, repo)
    installation = hub.installation_of(repository) if repository else None
    if installation is None:
        raise not_found()
    return JSONResponse(payloads.installation(hub, installation))


@router.post("/app/installations/{installation_id}/access_tokens")
def create_token(
    hub: AppHub, installation_id: int, wanted: TokenRequest | None = None
) -> JSONResponse:
    """Make an installation token, limited as asked."""
    installation = _installation(hub, installation_id)
    tokens.refuse_suspended(installation)
    asked = wanted or TokenRequest()
    repository_ids = _limit_repositories(hub, installation, asked)
    token, grant = tokens.mint(
        hub, installation, _limit_permissions(installation, asked), repository_ids
    )
    named = asked.repositories is not None or asked.repository_ids is not None
    selected = [
        payloads.repository(hub, hub.repositories[number], full=True)
        for number in sorted(grant.repository_ids)
    ]
    document = tokens.token_document(token, grant, selected=selected if named else None)
    return JSONResponse(document, HTTPStatus.CREATED)


@router.get("/installation/repositories")
def list_installation_repositories(request: Request, hub: Hub) -> JSONResponse:
    """The repositories that an installation token reaches."""
    grant = tokens.caller_of(hub, request).grant
    if grant is None:
        raise ApiError(HTTPStatus.FORBIDDEN, "Resource not accessible by integration")
    covered = sorted(grant.repository_ids & hub.repositories.keys())
    page = page_of(request)
    shown = covered[(page.number - 1) * page.size : page.number * page.size]
    documents: list[JsonObject] = [
        payloads.repository(hub, hub.repositories[number]) for number in shown
    ]
    return JSONResponse(
        {"total_count": len(covered), "repository_selection": "selected", "repositories": documents}
    )


@router.get("/app/hook/deliveries")
def list_deliveries(
    hub: AppHub, cursor: str | None = None, per_page: int = 30, status: str | None = None
) -> JSONResponse:
    """The app's deliveries, newest first, those on their way left out."""
    sent = [
        one for one in reversed(list(hub.deliveries)) if one.delivered_at and _wanted(one, status)
    ]
    if cursor is not None:
        sent = [one for one in sent if one.delivery_id < _position(cursor)]
    shown = sent[: min(per_page, 100)]
    headers = None
    if len(shown) < len(sent):
        query = f"per_page={per_page}&cursor=v1_{shown[-1].delivery_id}"
        target = f"{hub.base_url}/app/hook/deliveries?{query}"
        if status is not None:
            target += f"&status={status}"
        headers = {"link": f'<{target}>; rel="next"'}
    return JSONResponse([payloads.delivery(one) for one in shown], headers=headers)


@router.post("/app/hook/deliveries/{delivery_id}/attempts")
def create_attempt(hub: AppHub, delivery_id: int) -> JSONResponse:
    """Deliver again, with the same guid."""
    for delivery in list(hub.deliveries):
        if delivery.delivery_id == delivery_id:
            redeliver(hub, delivery)
            return JSONResponse({}, HTTPStatus.ACCEPTED)
    raise not_found()


@router.get("/rate_limit")
def get_rate_limit(hub: Hub) -> JSONResponse:
    """The limits, which are never reached unless a fault says so."""
    reset_at = int(hub.clock().timestamp()) + 3600
    rate: JsonObject = {
        "limit": RATE_LIMIT,
        "remaining": RATE_LIMIT - 1,
        "reset": reset_at,
        "used": 1,
    }
    return JSONResponse({"resources": {"core": rate, "search": rate}, "rate": rate})


@router.get("/users/{username}")
def get_user(hub: Hub, username: str) -> JSONResponse:
    """Somebody's public profile; the way to learn the id of an app's bot account."""
    account = hub.user(username)
    if account is None:
        raise not_found()
    nothing: JsonObject = dict.fromkeys(("name", "company", "location", "email", "hireable", "bio"))
    counts: JsonObject = dict.fromkeys(
        ("public_repos", "public_gists", "followers", "following"), 0
    )
    dates: JsonObject = dict.fromkeys(("created_at", "updated_at"), "2020-01-01T00:00:00Z")
    return JSONResponse(payloads.user(hub, account) | nothing | counts | dates | {"blog": ""})


def _installation(hub: HubState, installation_id: int) -> Installation:
    found = hub.installations.get(installation_id)
    if found is None:
        raise not_found()
    return found


def _limit_permissions(installation: Installation, asked: TokenRequest) -> dict[str, Access]:
    if asked.permissions is None:
        return dict(installation.permissions)
    for permission, access in asked.permissions.items():
        if not tokens.covers(installation.permissions, permission, access):
            message = "The permissions requested are not granted to this installation."
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, message)
    return {"metadata": "read", **asked.permissions}


def _limit_repositories(
    hub: HubState, installation: Installation, asked: TokenRequest
) -> frozenset[int]:
    covered = {number: hub.repositories[number] for number in installation.repository_ids}
    if asked.repositories is None and asked.repository_ids is None:
        return frozenset(covered)
    by_name = {repository.name.lower(): number for number, repository in covered.items()}
    wanted = [by_name.get(name.lower()) for name in asked.repositories or ()]
    wanted += [number if number in covered else None for number in asked.repository_ids or ()]
    if None in wanted:
        message = (
            "There is at least one repository that does not exist or is not accessible to the "
            "parent installation."
        )
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, message)
    return frozenset(number for number in wanted if number is not None)


def _wanted(delivery: Delivery, status: str | None) -> bool:
    return status is None or delivery.succeeded == (status == "success")


def _position(cursor: str) -> int:
    number = cursor.removeprefix("v1_")
    if not number.isdecimal():
        raise ApiError(HTTPStatus.BAD_REQUEST, "Invalid cursor")
    return int(number)
