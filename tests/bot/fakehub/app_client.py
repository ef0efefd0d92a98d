"""The app's side of a conversation with the hub, by plain httpx: what is asked is what is tested."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import jwt

from bot.fakehub.admin_documents import Credentials


def assertion(credentials: Credentials, *, now: float | None = None, **claims: object) -> str:
    moment = int(time.time() if now is None else now)
    merged = {"iat": moment - 60, "exp": moment + 540, "iss": str(credentials.app_id), **claims}
    return jwt.encode(merged, credentials.private_key, "RS256")


class AppClient:
    """Speaks as the app, or as one of its installations."""

    def __init__(self, client: httpx.Client, credentials: Credentials) -> None:
        self.client = client
        self.credentials = credentials

    def as_app(
        self, method: str, path: str, *, now: datetime | None = None, **options: Any
    ) -> httpx.Response:
        at = None if now is None else now.timestamp()
        headers = {"Authorization": f"Bearer {assertion(self.credentials, now=at)}"}
        return self.client.request(method, path, headers=headers, **options)

    def token(self, installation_id: int, **limits: Any) -> str:
        path = f"/app/installations/{installation_id}/access_tokens"
        answer = self.as_app("POST", path, json=limits) if limits else self.as_app("POST", path)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def as_installation(self, token: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"token {token}", **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)


@contextmanager
def app_client(credentials: Credentials) -> Iterator[AppClient]:
    with httpx.Client(base_url=credentials.base_url, timeout=10, trust_env=False) as client:
        yield AppClient(client, credentials)
