"""`POST /webhooks/github`: verify, write down, answer. The only async file; it calls nobody.

Nothing is sent to the queue from here: the bot worker looks into the inbox twice a second, so the
answer to GitHub depends on the database alone (docs/decisions/0006).
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from bot.errors import InboxUnavailableError
from bot.inbox import Delivery, DeliveryState, Receipt
from bot.signature import Verdict, verify

logger = logging.getLogger(__name__)

T = TypeVar("T")
Accept = Callable[[Delivery, DeliveryState, str | None], Receipt]

KNOWN_EVENTS = frozenset(
    {"issues", "issue_comment", "pull_request_review", "pull_request_review_comment"}
)
BODY_S = 8.0
"""GitHub waits 10 s for an answer, so a body that takes longer is of no use."""
STORE_S = 8.0

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME = re.compile(r"[a-z_]{1,64}")
_BIGGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How much, and how long, one delivery may take."""

    body_bytes: int = 25 * 1024**2
    body_s: float = BODY_S
    store_s: float = STORE_S


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the inbox files a delivery under."""

    action: str | None
    installation_id: int | None
    repository_id: int | None


class _RefusedError(Exception):
    """An answer to the sender; a result, so it never leaves this file."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def make_router(
    accept: Accept, secrets: Sequence[SecretStr], limits: Limits | None = None
) -> APIRouter:
    """Build the route that takes webhooks and hands each to `accept`."""
    router = APIRouter()
    bounds = limits or Limits()

    @router.post("/webhooks/github")
    async def webhook(request: Request) -> Response:
        """Take one delivery."""
        try:
            return await _receive(request, accept, secrets, bounds)
        except _RefusedError as refused:
            return _say(refused.status, refused.message)

    return router


async def _receive(
    request: Request, accept: Accept, secrets: Sequence[SecretStr], limits: Limits
) -> Response:
    _check_type(request)
    body = await _body(request, limits)
    _check_signature(request, body, secrets)
    delivery_id, event = _headers(request)
    if event == "ping":
        return _say(HTTPStatus.OK, "pong")
    return await _write_down(delivery_id, event, body, accept, limits)


async def _write_down(
    delivery_id: str, event: str, body: bytes, accept: Accept, limits: Limits
) -> Response:
    envelope = await _off_loop(lambda: open_envelope(body), limits)
    if envelope is None:
        why = "the body is no JSON object"
        rejected = Delivery(delivery_id, event, body)
        await _store(lambda: accept(rejected, DeliveryState.REJECTED, why), limits)
        raise _RefusedError(HTTPStatus.BAD_REQUEST, why)
    delivery = Delivery(
        delivery_id,
        event,
        body,
        envelope.action,
        envelope.installation_id,
        envelope.repository_id,
    )
    if event not in KNOWN_EVENTS:
        why = "an event that we do not read"
        await _store(lambda: accept(delivery, DeliveryState.IGNORED, why), limits)
        return _say(HTTPStatus.ACCEPTED, "ignored")
    receipt = await _store(lambda: accept(delivery, DeliveryState.RECEIVED, None), limits)
    if receipt is Receipt.DIFFERENT:
        logger.warning("delivery %s came again with another body; the first one stays", delivery_id)
    return _say(HTTPStatus.ACCEPTED, receipt.value)


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind != "application/json":
        advice = "send application/json; set the webhook's content type in the app's settings"
        raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, advice)


async def _body(request: Request, limits: Limits) -> bytes:
    announced = request.headers.get("content-length", "")
    too_large = _RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {limits.body_bytes} bytes"
    )
    if announced.isdecimal() and int(announced) > limits.body_bytes:
        raise too_large
    parts = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                parts += part
                if len(parts) > limits.body_bytes:
                    raise too_large
    except TimeoutError as error:
        raise _RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the body took too long") from error
    except ClientDisconnect as error:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "the body was cut short") from error
    return bytes(parts)


def _check_signature(request: Request, body: bytes, secrets: Sequence[SecretStr]) -> None:
    given = request.headers.getlist("x-hub-signature-256")
    verdict = verify(body, [value.encode("latin-1") for value in given], secrets)
    if verdict is Verdict.WRONG:
        raise _RefusedError(HTTPStatus.UNAUTHORIZED, "the signature is missing or wrong")
    if verdict is Verdict.PREVIOUS:
        logger.info("a delivery was signed with the previous webhook secret")


def _headers(request: Request) -> tuple[str, str]:
    delivery_id = request.headers.get("x-github-delivery", "")
    event = request.headers.get("x-github-event", "")
    if not _GUID.fullmatch(delivery_id):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "X-GitHub-Delivery must be a GUID")
    if not _NAME.fullmatch(event):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "X-GitHub-Event must be an event's name")
    return delivery_id.lower(), event


def open_envelope(body: bytes) -> Envelope | None:
    """Read what the inbox files a body under; None where it is no JSON object."""
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    action = document.get("action")
    named = isinstance(action, str) and _NAME.fullmatch(action)
    return Envelope(
        action if named else None, _id_of(document, "installation"), _id_of(document, "repository")
    )


def _id_of(document: dict[str, object], name: str) -> int | None:
    part = document.get(name)
    number = part.get("id") if isinstance(part, dict) else None
    plain = isinstance(number, int) and not isinstance(number, bool) and 0 < number <= _BIGGEST
    return number if plain else None


async def _store(accept: Callable[[], Receipt], limits: Limits) -> Receipt:
    try:
        return await _off_loop(accept, limits)
    except InboxUnavailableError as error:
        logger.warning("a delivery was not written down: %s", error)
        told = "the database's disk is full" if error.disk_full else "the database is down"
        raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, told) from error


async def _off_loop(work: Callable[[], T], limits: Limits) -> T:
    """Run `work` in a thread; one that hangs is left behind, and the sender told to come back."""
    try:
        async with asyncio.timeout(limits.store_s):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except TimeoutError as error:
        raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the database is slow") from error


def _say(status: HTTPStatus, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status)
