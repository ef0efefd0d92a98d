"""Puts the web process together: `uvicorn --factory bot.main:app`.

It holds the webhook secret and the database's address, not the App's key, and calls nobody else.
"""

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.status import HTTP_503_SERVICE_UNAVAILABLE

from bot import pages, settings, webhook
from bot.inbox import Inbox
from bot.settings import WebSettings
from engine import logs
from engine.store import JobStore, connect, migrate


def app() -> FastAPI:
    """Build the web process from the environment's settings."""
    configured = settings.load_web()
    logs.set_up(configured.log_style)
    return build(configured)


def build(configured: WebSettings) -> FastAPI:
    """Build the web process from given settings."""
    engine = connect(configured.database_url)
    migrate(engine)
    inbox = Inbox(engine)
    web = FastAPI(title="EvoScale", docs_url=None, redoc_url=None, openapi_url=None)
    limits = webhook.Limits(body_bytes=configured.max_body_bytes)
    web.include_router(webhook.make_router(inbox.accept, configured.secrets, limits))
    web.include_router(pages.make_router(JobStore(engine), list_jobs=configured.list_jobs))

    @web.get("/healthz")
    def healthz() -> Response:
        """Say that the process runs."""
        return JSONResponse({"status": "ok"})

    @web.get("/readyz")
    def readyz() -> Response:
        """Say whether a delivery could be written down now."""
        if inbox.ready():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "database down"}, HTTP_503_SERVICE_UNAVAILABLE)

    return web
