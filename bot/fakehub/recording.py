"""What was asked and answered, kept so that a referee can look at it afterwards."""

import re
import threading
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

_TOKEN = re.compile(rb"gh[sp]_[A-Za-z0-9._\-]{30,}")
_SECRET_HEADERS = frozenset({"authorization", "cookie", "set-cookie"})


class Exchange(BaseModel):
    """One request and its answer, without credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    url: str
    request_headers: dict[str, str]
    request_body_base64: str
    status: int
    response_headers: dict[str, str]
    response_body_base64: str
    faulty: bool = False

    @classmethod
    def of(  # noqa: PLR0913 - an exchange has these parts, and no fewer
        cls,
        *,
        method: str,
        url: str,
        request_headers: dict[str, str],
        request_body: bytes,
        status: int,
        response_headers: dict[str, str],
        response_body: bytes,
        faulty: bool = False,
    ) -> "Exchange":
        """Write an exchange down, credentials left out."""
        return cls(
            method=method,
            url=url,
            request_headers=_without_secrets(request_headers),
            request_body_base64=_without_tokens(request_body),
            status=status,
            response_headers=_without_secrets(response_headers),
            response_body_base64=_without_tokens(response_body),
            faulty=faulty,
        )

    @property
    def request_body(self) -> bytes:
        """What was sent."""
        return b64decode(self.request_body_base64)

    @property
    def response_body(self) -> bytes:
        """What was answered."""
        return b64decode(self.response_body_base64)


@dataclass(slots=True)
class Recording:
    """The exchanges so far; empty unless switched on."""

    enabled: bool = False
    _exchanges: list[Exchange] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, exchange: Exchange) -> None:
        """Keep one exchange."""
        with self._lock:
            self._exchanges.append(exchange)

    def exchanges(self) -> list[Exchange]:
        """All of them, in the order in which the answers were ready."""
        with self._lock:
            return list(self._exchanges)


def _without_tokens(body: bytes) -> str:
    return b64encode(_TOKEN.sub(b"REDACTED", body)).decode()


def _without_secrets(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
