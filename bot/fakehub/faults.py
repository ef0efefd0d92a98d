"""Faults on demand: what the network and GitHub do on a bad day, scripted rule by rule."""

import re
import threading
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

# A hang must end, or a test that meant to prove a timeout would hang itself.
MAX_DELAY_S = 120.0


class Fault(BaseModel):
    """One rule: which requests it hits, how often, and what happens to them.

    Without `status` and `reset` the real answer goes out, after `delay_s`, cut with `truncate`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = "*"
    path: str = Field(description="a regular expression that must match the whole path")
    count: int = Field(default=1, ge=1, description="how many requests are hit")
    skip: int = Field(default=0, ge=0, description="how many matching requests pass before that")
    applied: bool = Field(default=False, description="do what was asked before failing")
    delay_s: float = Field(default=0.0, ge=0.0, le=MAX_DELAY_S)
    status: int | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: str = ""
    truncate: bool = Field(default=False, description="send half of the answer as if it were all")
    reset: bool = Field(default=False, description="close the connection instead of answering")


def status(
    path: str, code: int, *, method: str = "*", count: int = 1, message: str = "Server Error"
) -> Fault:
    """Answer with an error and do nothing."""
    return Fault(
        method=method, path=path, count=count, status=code, body=_json(message), headers=_JSON
    )


def applied_but(path: str, code: int = 502, *, method: str = "POST", count: int = 1) -> Fault:
    """Do what was asked, then answer as if it had failed: cruel to whoever repeats requests."""
    return Fault(
        method=method,
        path=path,
        count=count,
        applied=True,
        status=code,
        body=_json("Bad Gateway"),
        headers=_JSON,
    )


def applied_but_lost(path: str, *, method: str = "POST", count: int = 1) -> Fault:
    """Do what was asked, then close the connection without an answer."""
    return Fault(method=method, path=path, count=count, applied=True, reset=True)


def hang(path: str, seconds: float, *, method: str = "*", count: int = 1) -> Fault:
    """Say nothing for a while, then close the connection; the request is not done."""
    return Fault(method=method, path=path, count=count, delay_s=seconds, reset=True)


def reset(path: str, *, method: str = "*", count: int = 1) -> Fault:
    """Close the connection at once."""
    return Fault(method=method, path=path, count=count, reset=True)


def slow(path: str, seconds: float, *, method: str = "*", count: int = 1) -> Fault:
    """Answer properly, but late."""
    return Fault(method=method, path=path, count=count, delay_s=seconds)


def truncated(path: str, *, method: str = "*", count: int = 1) -> Fault:
    """Do what was asked and send half of the JSON."""
    return Fault(method=method, path=path, count=count, truncate=True)


def html(path: str, code: int = 502, *, method: str = "*", count: int = 1) -> Fault:
    """Answer with a page meant for people, as a proxy in front of GitHub does."""
    page = "<!DOCTYPE html><html><title>Unicorn!</title><p>This page took too long to load.</p>"
    return Fault(
        method=method,
        path=path,
        count=count,
        status=code,
        body=page,
        headers={"content-type": "text/html"},
    )


def secondary_limit(
    path: str, retry_after: str | None, *, code: int = 403, method: str = "*", count: int = 1
) -> Fault:
    """Refuse by the secondary rate limit.

    Args:
        path: which requests.
        retry_after: the header as it shall be, seconds or an HTTP date; None leaves it out.
        code: 403 or 429, GitHub uses both.
        method: which method.
        count: how many requests.
    """
    headers = dict(_JSON)
    if retry_after is not None:
        headers["retry-after"] = retry_after
    message = (
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    )
    return Fault(
        method=method, path=path, count=count, status=code, body=_json(message), headers=headers
    )


def primary_limit(path: str, reset_at: int, *, method: str = "*", count: int = 1) -> Fault:
    """Refuse because the hour's requests are spent until `reset_at`, in seconds since 1970."""
    headers = {**_JSON, "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset_at)}
    message = "API rate limit exceeded for installation."
    return Fault(
        method=method, path=path, count=count, status=403, body=_json(message), headers=headers
    )


_JSON = {"content-type": "application/json; charset=utf-8"}


def _json(message: str) -> str:
    return f'{{"message": "{message}", "documentation_url": "https://docs.github.com/rest"}}'


@dataclass(slots=True)
class _Armed:
    fault: Fault
    skip: int
    left: int


@dataclass(slots=True)
class Faults:
    """The rules in force; the first that matches a request takes it."""

    _armed: list[_Armed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        """Arm a rule."""
        with self._lock:
            self._armed.append(_Armed(fault, fault.skip, fault.count))

    def clear(self) -> None:
        """Disarm all rules."""
        with self._lock:
            self._armed.clear()

    def left(self) -> list[Fault]:
        """The rules that have not done all they were meant to do."""
        with self._lock:
            return [armed.fault for armed in self._armed]

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, which is then used up by one."""
        with self._lock:
            for armed in self._armed:
                if _matches(armed.fault, method, path):
                    return self._use(armed)
        return None

    def _use(self, armed: _Armed) -> Fault | None:
        if armed.skip > 0:
            armed.skip -= 1
            return None
        armed.left -= 1
        if armed.left == 0:
            self._armed.remove(armed)
        return armed.fault


def _matches(fault: Fault, method: str, path: str) -> bool:
    return fault.method in ("*", method) and re.fullmatch(fault.path, path) is not None
