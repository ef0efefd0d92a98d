"""Puts the hub together: the application, and a server that runs it in a thread."""

import asyncio
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Self

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.fakehub import admin, git_http, pages, rest_app, rest_issues, rest_pulls, rest_repository
from bot.fakehub.answers import ApiError, not_found
from bot.fakehub.driver import FakehubDriver
from bot.fakehub.model import now_utc
from bot.fakehub.routing import RestRoute
from bot.fakehub.state import HubState
from bot.fakehub.webhooks import WebhookSender

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
STOP_WITHIN_S = 5


def create_app(state: HubState) -> FastAPI:
    """Make the web application of a hub; deliveries are sent only while a `WebhookSender` runs."""
    app = FastAPI(
        title="fakehub", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.hub = state
    app.include_router(rest_app.router)
    # Links between pages, and redirects of renamed repositories, name a repository by id.
    for prefix in ("/repos/{owner}/{repo}", "/repositories/{repository_id}"):
        for router in (rest_repository.router, rest_issues.router, rest_pulls.router):
            app.include_router(router, prefix=prefix)
    app.include_router(admin.router)
    app.include_router(_unknown_verbs())
    app.include_router(git_http.router)
    app.include_router(pages.router)
    app.add_exception_handler(ApiError, _error_response)
    return app


def _unknown_verbs() -> APIRouter:
    """Everything of the API that is not here: 404, and recorded like all the rest."""
    router = APIRouter(route_class=RestRoute)
    for path in ("/repos/{rest:path}", "/repositories/{rest:path}", "/app/{rest:path}", "/graphql"):
        router.add_api_route(path, _unknown, methods=METHODS)
    return router


def _unknown() -> None:
    raise not_found()


def _error_response(_request: Request, error: Exception) -> Response:
    if isinstance(error, ApiError):
        return error.to_response()
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, type(error).__name__).to_response()


class FakehubServer:
    """A hub that listens on a port of this machine while the `with` block runs.

    Args:
        directory: where repositories go; it must exist, and is not cleaned up.
        host: a loopback address.
        port: 0 takes a free one.
        webhook_url: where deliveries go; may be set later through the driver.
        record: keep every exchange with the REST API, for a referee.
        clock: the time as the hub sees it.
        slug: the app's short name.

    Inside the block, `driver` acts as people would, and `state` is what the hub remembers.
    """

    driver: FakehubDriver

    def __init__(  # noqa: PLR0913 - one composition, all but the first optional
        self,
        directory: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        webhook_url: str | None = None,
        record: bool = False,
        clock: Callable[[], datetime] = now_utc,
        slug: str = "evoscale",
    ) -> None:
        self.state = HubState(directory, clock=clock, slug=slug)
        self.state.app.webhook_url = webhook_url
        self.state.recording.enabled = record
        self._address = (_loopback(host), port)

    @property
    def base_url(self) -> str:
        """Where the hub is, API, git and pages alike."""
        return self.state.base_url

    def __enter__(self) -> Self:
        self._socket = socket.create_server(self._address)
        # asyncio does this only for sockets made with an explicit protocol; without it, each
        # answer waits 40 ms for an acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = self._socket.getsockname()[:2]
        self.state.base_url = f"http://{host}:{port}"
        app = create_app(self.state)
        app.state.transports = {}
        config = uvicorn.Config(
            app,
            http=_protocol(app.state.transports),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="fakehub", daemon=True
        )
        self._sender = WebhookSender(self.state)
        self._sender.start()
        self._thread.start()
        self.driver = FakehubDriver(self.base_url, self.state.admin_token)
        return self

    def __exit__(self, *_raised: object) -> None:
        self.driver.close()
        self._sender.stop()
        self._server.should_exit = True
        self._thread.join(STOP_WITHIN_S * 2)
        self._socket.close()

    def wait(self) -> None:
        """Serve until the thread ends, which it does only at exit."""
        self._thread.join()


def _loopback(host: str) -> str:
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError(
            f"fakehub has a private key to give away and listens on loopback only, not on {host}"
        )
    return host


Transports = dict[tuple[str, int], asyncio.Transport]


def _protocol(transports: Transports) -> type[H11Protocol]:
    """An HTTP protocol that remembers its transports, so that a fault can reset a connection."""

    class RememberingProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows the base class's argument
            super().connection_made(transport)
            self._peer = transport.get_extra_info("peername")[:2]
            transports[self._peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self._peer, None)
            super().connection_lost(exc)

    return RememberingProtocol
