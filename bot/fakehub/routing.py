"""What every answer goes through: faults, GitHub's error shapes and headers, the recording."""

import asyncio
import hashlib
import socket
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from bot.fakehub.answers import ApiError
from bot.fakehub.faults import Fault
from bot.fakehub.git_repository import GitCommandError
from bot.fakehub.model import JsonObject
from bot.fakehub.recording import Exchange
from bot.fakehub.state import HubState

RATE_LIMIT = 5000

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def current_hub(request: Request) -> HubState:
    """The hub that the application was made for."""
    hub = request.app.state.hub
    if not isinstance(hub, HubState):
        raise TypeError("the application was not made by bot.fakehub.server.create_app")
    return hub


class FaultyRoute(APIRoute):
    """A route that scripted faults may hit."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler that FastAPI makes."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            fault = current_hub(request).faults.take(request.method, request.url.path)
            if fault is None:
                return await answer(request)
            return await _faulty(request, fault, answer)

        return handler


class RestRoute(APIRoute):
    """A route of the REST API: faults, error shapes, rate limits, ETags, and the recording."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler that FastAPI makes."""
        inner = super().get_route_handler()

        async def answer(request: Request) -> Response:
            return _with_headers(request, await _in_github_words(request, inner))

        async def handler(request: Request) -> Response:
            hub = current_hub(request)
            fault = hub.faults.take(request.method, request.url.path)
            if fault is None:
                response = await answer(request)
            else:
                response = await _faulty(request, fault, answer)
            if hub.recording.enabled:
                body = await request.body()
                hub.recording.add(_exchange(request, body, response, faulty=fault is not None))
            return response

        return handler


async def _in_github_words(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    try:
        return await answer(request)
    except ApiError as error:
        return error.to_response()
    except GitCommandError as error:
        return ApiError(HTTPStatus.CONFLICT, str(error)).to_response()
    except RequestValidationError as error:
        return _refusal(error).to_response()


def _refusal(error: RequestValidationError) -> ApiError:
    """Say what is wrong with a body or a parameter."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return ApiError(HTTPStatus.BAD_REQUEST, "Problems parsing JSON")
    if any(one["loc"][0] == "path" for one in found):
        return ApiError(HTTPStatus.NOT_FOUND, "Not Found")
    errors: list[JsonObject] = [
        {
            "resource": "Request",
            "field": ".".join(str(part) for part in one["loc"][1:]),
            "code": _code(one["type"]),
        }
        for one in found
    ]
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request.", errors=errors)


def _code(kind: str) -> str:
    return "missing_field" if kind == "missing" else "invalid"


def _with_headers(request: Request, response: Response) -> Response:
    hub = current_hub(request)
    reset_at = int(hub.clock().timestamp()) + 3600
    limits = {
        "x-ratelimit-limit": str(RATE_LIMIT),
        "x-ratelimit-remaining": str(RATE_LIMIT - 1),
        "x-ratelimit-used": "1",
        "x-ratelimit-reset": str(reset_at),
        "x-ratelimit-resource": "core",
        "x-github-media-type": "github.v3; format=json",
        "x-github-request-id": f"FA4E:{hub.next_id():X}",
    }
    response.headers.update(limits)
    if request.method == "GET" and response.status_code == HTTPStatus.OK:
        return _with_etag(request, response)
    return response


def _with_etag(request: Request, response: Response) -> Response:
    etag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()}"'
    if request.headers.get("if-none-match") == etag:
        kept = {name: value for name, value in response.headers.items() if name.startswith("x-")}
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={**kept, "etag": etag})
    response.headers["etag"] = etag
    response.headers["cache-control"] = "private, max-age=60, s-maxage=60"
    return response


async def _faulty(
    request: Request, fault: Fault, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    await asyncio.sleep(fault.delay_s)
    real = not (fault.reset or fault.status)
    response = await answer(request) if fault.applied or real else Response()
    if fault.reset:
        reset_connection(request)
    elif fault.status is not None:
        return Response(fault.body, fault.status, fault.headers)
    elif fault.truncate:
        half = bytes(response.body)[: len(response.body) // 2]
        return Response(
            half, response.status_code, {"content-type": "application/json; charset=utf-8"}
        )
    return response


def reset_connection(request: Request) -> None:
    """Close the client's connection under it, with a TCP reset rather than a polite end.

    Only a server that keeps its transports in `app.state.transports` can do that.

    Raises:
        RuntimeError: the application runs in no `FakehubServer`.
    """
    transports = getattr(request.app.state, "transports", None)
    if transports is None or request.client is None:
        raise RuntimeError("connections can be reset only under bot.fakehub.server")
    transport = transports[(request.client.host, request.client.port)]
    linger_no_time = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time
    )
    transport.abort()


def _exchange(request: Request, body: bytes, response: Response, *, faulty: bool) -> Exchange:
    return Exchange.of(
        method=request.method,
        url=str(request.url),
        request_headers=dict(request.headers),
        request_body=body,
        status=response.status_code,
        response_headers=dict(response.headers),
        response_body=bytes(response.body),
        faulty=faulty,
    )
