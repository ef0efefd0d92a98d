"""Who calls: the app by its JWT, an installation or a person by token; and what they may do."""

import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import jwt
from fastapi import Request

from bot.fakehub.answers import ApiError, not_found
from bot.fakehub.model import (
    Access,
    Grant,
    Installation,
    JsonObject,
    Repository,
    Role,
    User,
    timestamp,
)
from bot.fakehub.state import HubState

TOKEN_LIFETIME = timedelta(hours=1)
# GitHub takes no assertion that is to live longer, and lets clocks differ by a little.
MAX_ASSERTION_S = 600
CLOCK_SKEW_S = 60
_TOKEN_NONCE_BYTES = 172  # makes a token about 520 characters long, as they are since April 2026


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. All empty: nobody in particular."""

    user: User | None = None
    grant: Grant | None = None
    is_app: bool = False

    @property
    def via_app(self) -> bool:
        """Whether an installation token was used."""
        return self.grant is not None


@dataclass(frozen=True, slots=True)
class Need:
    """What a verb asks of an installation (any one of the permissions), and of a person."""

    permissions: tuple[str, ...]
    access: Access
    role: Role


def caller_of(hub: HubState, request: Request) -> Caller:
    """Find out who is calling.

    Raises:
        ApiError: 401, the credentials are no good.
    """
    credentials = _credentials(request.headers.get("authorization"))
    if credentials is None:
        return Caller()
    if credentials.count(".") == 2 and not credentials.startswith("ghs_"):  # noqa: PLR2004 - a JWT has three parts
        check_assertion(hub, credentials)
        return Caller(is_app=True)
    return caller_of_token(hub, credentials)


def caller_of_token(hub: HubState, token: str) -> Caller:
    """Find out whose token this is.

    Raises:
        ApiError: 401, nobody's; 403, the installation is suspended.
    """
    person = hub.user_of_token(token)
    if person is not None:
        return Caller(user=person)
    grant = hub.grants.get(token)
    if grant is None or grant.expires_at <= hub.clock():
        raise ApiError(HTTPStatus.UNAUTHORIZED, "Bad credentials")
    installation = hub.installations.get(grant.installation_id)
    if installation is None:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "Bad credentials")
    refuse_suspended(installation)
    return Caller(user=hub.app.bot, grant=grant)


def refuse_suspended(installation: Installation) -> None:
    """Stop here if the installation is suspended.

    Raises:
        ApiError: 403.
    """
    if installation.suspended_at is not None:
        raise ApiError(HTTPStatus.FORBIDDEN, "This installation has been suspended")


def check_assertion(hub: HubState, assertion: str) -> None:
    """Verify an app's JWT as GitHub does: RS256, our app, lifetime within ten minutes.

    Raises:
        ApiError: 401, with the advice GitHub gives.
    """
    try:
        claims = jwt.decode(
            assertion,
            hub.app.public_key,
            algorithms=["RS256"],
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_iss": False,
                "verify_aud": False,
            },
        )
    except jwt.PyJWTError as error:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "A JSON web token could not be decoded") from error
    if str(claims.get("iss")) not in (str(hub.app.app_id), hub.app.client_id):
        raise ApiError(HTTPStatus.NOT_FOUND, "Integration not found")
    _check_times(claims, int(hub.clock().timestamp()))


def _check_times(claims: Mapping[str, object], now: int) -> None:
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    if not isinstance(issued_at, int) or issued_at > now + CLOCK_SKEW_S:
        message = (
            "'Issued at' claim ('iat') must be an Integer representing the time that the "
            "assertion was issued"
        )
        raise ApiError(HTTPStatus.UNAUTHORIZED, message)
    if not isinstance(expires_at, int | float) or expires_at <= now:
        message = (
            "'Expiration time' claim ('exp') must be a numeric value representing the future "
            "time at which the assertion expires"
        )
        raise ApiError(HTTPStatus.UNAUTHORIZED, message)
    if expires_at > now + MAX_ASSERTION_S + CLOCK_SKEW_S:
        message = "'Expiration time' claim ('exp') is too far in the future"
        raise ApiError(HTTPStatus.UNAUTHORIZED, message)


def mint(
    hub: HubState,
    installation: Installation,
    permissions: dict[str, Access],
    repository_ids: frozenset[int],
) -> tuple[str, Grant]:
    """Make an installation token; it looks like GitHub's, and nobody may rely on what is in it."""
    expires_at = (hub.clock() + TOKEN_LIFETIME).replace(microsecond=0)
    claims: JsonObject = {
        "iss": "fakehub",
        "iat": int(hub.clock().timestamp()),
        "exp": int(expires_at.timestamp()),
        "jti": secrets.token_urlsafe(_TOKEN_NONCE_BYTES),
    }
    token = f"ghs_{hub.app.app_id}_{jwt.encode(claims, hub.token_secret, algorithm='HS512')}"
    grant = Grant(installation.installation_id, permissions, repository_ids, expires_at)
    with hub.lock:
        hub.grants[token] = grant
    return token, grant


def token_document(token: str, grant: Grant, *, selected: list[JsonObject] | None) -> JsonObject:
    """The answer to whoever asked for a token; `selected` is set when repositories were named."""
    document: JsonObject = {
        "token": token,
        "expires_at": timestamp(grant.expires_at),
        "permissions": dict(grant.permissions),
        "repository_selection": "selected",
    }
    if selected is not None:
        document["repositories"] = list(selected)
    return document


def require(hub: HubState, caller: Caller, repository: Repository, need: Need) -> User:
    """Let the caller do this, or stop.

    Returns:
        the account in whose name it is done.

    Raises:
        ApiError: 401 for nobody, 403 for who may not, 404 where even the repository is a secret.
    """
    if caller.user is None:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "Requires authentication")
    if caller.grant is not None:
        _require_granted(caller.grant, repository, need)
    elif hub.role(repository, caller.user) < need.role:
        raise ApiError(
            HTTPStatus.FORBIDDEN, f"Must have {need.role.role_name} access to the repository"
        )
    if repository.archived and need.access == "write":
        raise ApiError(HTTPStatus.FORBIDDEN, "Repository was archived so is read-only.")
    return caller.user


def may_read(hub: HubState, caller: Caller, repository: Repository) -> bool:
    """Whether the caller may know that the repository exists."""
    if not repository.private:
        return True
    if caller.grant is not None:
        return repository.repository_id in caller.grant.repository_ids
    return caller.user is not None and hub.role(repository, caller.user) >= Role.READ


def _require_granted(grant: Grant, repository: Repository, need: Need) -> None:
    accepted = "; ".join(f"{permission}={need.access}" for permission in need.permissions)
    refusal = ApiError(
        HTTPStatus.FORBIDDEN,
        "Resource not accessible by integration",
        headers={"x-accepted-github-permissions": accepted},
    )
    if repository.repository_id not in grant.repository_ids:
        raise not_found() if repository.private else refusal
    if not any(
        covers(grant.permissions, permission, need.access) for permission in need.permissions
    ):
        raise refusal


def covers(permissions: Mapping[str, Access], permission: str, access: Access) -> bool:
    """Whether these permissions include that access."""
    return permissions.get(permission) in {access, "write"}


def _credentials(header: str | None) -> str | None:
    """The token of an `Authorization` header, whichever scheme carries it."""
    if header is None:
        return None
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return rest.strip()
    try:
        return b64decode(rest, validate=True).decode().partition(":")[2]
    except (Base64Error, UnicodeDecodeError):
        return ""
