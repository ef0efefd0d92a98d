"""One request to GitHub: our own timeout, patience and translation of errors.

Idempotent requests are tried again on a broken connection or a 5xx; a POST never is, because it may
have been carried out: whoever sent it looks first when it comes back. A rate limit is never waited
for here: the task is put off instead.
"""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from githubkit import GitHub, TokenAuthStrategy
from githubkit.auth import AppAuthStrategy
from githubkit.cache import MemCacheStrategy
from githubkit.exception import (
    GitHubException,
    RateLimitExceeded,
    RequestError,
    RequestFailed,
    RequestTimeout,
    SecondaryRateLimitExceeded,
)
from githubkit.response import Response
from pydantic import BaseModel, ValidationError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from bot.errors import (
    BotError,
    GitHubRefusedError,
    GitHubUnavailableError,
    InstallationGoneError,
    PermissionMissingError,
    RepositoryGoneError,
)

TIMEOUT = httpx.Timeout(connect=5.0, read=20.0, write=20.0, pool=5.0)
ATTEMPTS = 4
LIMITED_S = 60.0
MAX_PAGES = 50
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, GONE, TOO_MANY = 401, 403, 404, 410, 429
UNAVAILABLE_FOR_LEGAL_REASONS, SERVER_ERROR = 451, 500

_TOKEN = re.compile(r"gh[a-z]_[A-Za-z0-9._\-]{20,}|eyJ[A-Za-z0-9._\-]{20,}")
_LIMIT = re.compile(r"secondary rate|rate limit|abuse detection", re.IGNORECASE)
_CREDENTIALS = "its credentials were rejected; check EVOSCALE_BOT_APP_ID, the key and the clock"

M = TypeVar("M", bound=BaseModel)
Auth = TokenAuthStrategy | AppAuthStrategy
Client = GitHub[Auth]
Answer = Response[Any, Any]
Ask = Callable[[Client], Answer]


@dataclass(frozen=True, slots=True)
class Wire:
    """How we reach GitHub: where, through what (tests), how we wait, one TLS set-up for all."""

    base_url: str
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)


def client(wire: Wire, auth: Auth, delivery_id: str) -> Client:
    """Build a githubkit client that does nothing behind our back: no retry, no cache."""

    def stamp(request: httpx.Request) -> None:
        if delivery_id:
            request.headers["X-GitHub-Delivery"] = delivery_id

    return GitHub(
        auth,
        base_url=wire.base_url,
        user_agent="evoscale",
        timeout=TIMEOUT,
        transport=wire.transport,
        ssl_verify=wire.tls,
        event_hooks={"request": [stamp], "response": [plain_limits]},
        cache_strategy=MemCacheStrategy(),
        http_cache=False,
        auto_retry=False,
    )


def plain_limits(response: httpx.Response) -> None:
    """Make the limit headers numbers, since githubkit stumbles over anything else."""
    after = response.headers.get("retry-after")
    if after is not None and not after.isdecimal():
        response.headers["retry-after"] = str(_seconds_until(after))
    reset = response.headers.get("x-ratelimit-reset")
    if reset is not None and not reset.isdecimal():
        del response.headers["x-ratelimit-reset"]


def _seconds_until(date: str) -> int:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return int(LIMITED_S)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int((moment - datetime.now(UTC)).total_seconds()))


def idempotent(wire: Wire, what: str, ask: Callable[[], Answer]) -> Answer:
    """Send a GET, PUT, PATCH or DELETE, again if need be.

    Raises:
        GitHubUnavailableError: GitHub cannot be reached, or asks for patience.
        GitHubRefusedError: GitHub said no; the subclass says which no.
    """
    again = Retrying(
        retry=retry_if_exception(worth_again),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=8),
        sleep=wire.sleep,
        reraise=True,
    )
    try:
        return again(ask)
    except (GitHubException, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise translate(what, error) from error


def once(what: str, ask: Callable[[], Answer]) -> Answer:
    """Send a POST, one time only.

    Raises:
        GitHubUnavailableError: it may or may not have been carried out; look before sending again.
        GitHubRefusedError: GitHub said no; the subclass says which no.
    """
    try:
        answer = ask()
    except (GitHubException, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise translate(what, error) from error
    if answer.raw_response.history and answer.raw_request.method != "POST":
        raise GitHubRefusedError(what, 301, "the address moved, so nothing was written")
    return answer


def worth_again(error: BaseException) -> bool:
    """Whether the same idempotent request may succeed in a moment: broken connection or 5xx."""
    cause = _unwrapped(error)
    if isinstance(cause, RequestFailed):
        return cause.response.status_code >= SERVER_ERROR
    return isinstance(cause, RequestTimeout | httpx.TransportError)


def is_unauthorized(error: BaseException) -> bool:
    """Whether GitHub rejected the credential itself; the request was not carried out."""
    cause = _unwrapped(error)
    return isinstance(cause, RequestFailed) and cause.response.status_code == UNAUTHORIZED


def is_missing(error: GitHubRefusedError) -> bool:
    """Whether the thing asked for is not there; a gone installation is another matter."""
    return type(error) is GitHubRefusedError and error.status in (NOT_FOUND, GONE)


def translate(what: str, error: Exception) -> BotError:
    """Say in our words what githubkit or httpx ran into."""
    cause = _unwrapped(error)
    if isinstance(cause, RateLimitExceeded):
        wait = cause.retry_after.total_seconds()
        least = LIMITED_S if isinstance(cause, SecondaryRateLimitExceeded) else 1.0
        return GitHubUnavailableError(what, "the rate limit is used up", max(wait, least))
    if isinstance(cause, RequestFailed):
        return _from_status(what, cause.response.raw_response)
    if isinstance(cause, RequestTimeout | httpx.TransportError | httpx.DecodingError):
        return GitHubUnavailableError(what, f"no answer ({type(cause).__name__})")
    return GitHubRefusedError(what, 0, f"{type(cause).__name__}: {redacted(str(cause))}")


def _unwrapped(error: BaseException) -> BaseException:
    """Reach the real error: githubkit wraps a failed sign-in as RequestError(RequestFailed)."""
    seen = 0
    while type(error) is RequestError and isinstance(error.exc, Exception) and seen < MAX_PAGES:
        error, seen = error.exc, seen + 1
    return error


def _from_status(what: str, response: httpx.Response) -> BotError:
    status, message = response.status_code, _message(response)
    limited = status == TOO_MANY or (status == FORBIDDEN and _LIMIT.search(message))
    if limited or status >= SERVER_ERROR:
        reason = "a secondary rate limit" if limited else f"GitHub answered {status}"
        return GitHubUnavailableError(what, reason, LIMITED_S)
    if status == UNAVAILABLE_FOR_LEGAL_REASONS or "archived" in message.lower():
        return RepositoryGoneError(what, status, message)
    if status == FORBIDDEN:
        return _forbidden(what, message)
    return GitHubRefusedError(what, status, _CREDENTIALS if status == UNAUTHORIZED else message)


def _forbidden(what: str, message: str) -> BotError:
    if "suspended" in message.lower():
        return InstallationGoneError(what, FORBIDDEN, message)
    return PermissionMissingError(
        what, FORBIDDEN, f"{message}; accept the app's permissions in the owner's settings"
    )


def _message(response: httpx.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        return redacted(response.text[:200]) or response.reason_phrase
    if not isinstance(document, dict):
        return response.reason_phrase
    details = document.get("errors")
    text = str(document.get("message", "")) + (f" {details}" if details else "")
    return redacted(text[:500])


def redacted(text: str) -> str:
    """The text without anything that looks like a token of GitHub's."""
    return _TOKEN.sub("[token]", text)


def parsed(what: str, kind: type[M], answer: Answer) -> M:
    """Read the fields that we need from what a GET answered.

    Raises:
        GitHubUnavailableError: they are not there; the answer was cut short or no JSON.
    """
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise GitHubUnavailableError(what, "an answer that cannot be read") from error


def listed(what: str, kind: type[M], answer: Answer, field: str = "") -> Sequence[M]:
    """Read a list from what a GET answered; `field` names it where it lies inside an object.

    Raises:
        GitHubUnavailableError: it is no such list.
    """
    try:
        document = answer.json()
        rows = document[field] if field else document
        if not isinstance(rows, list):
            raise GitHubUnavailableError(what, "an answer that is no list")
        return [kind.model_validate(row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise GitHubUnavailableError(what, "an answer that cannot be read") from error


def paged(what: str, kind: type[M], get: Callable[[int], Answer], field: str = "") -> Iterator[M]:
    """Read a list page by page, as far as the reader goes.

    Raises:
        GitHubUnavailableError: a page is no such list.
    """
    for number in range(1, MAX_PAGES + 1):
        answer = get(number)
        yield from listed(what, kind, answer, field)
        if next_query(answer, "page") is None:
            return


def next_query(answer: Answer, name: str) -> str | None:
    """The `name` of the next page in the Link header; its address itself is never followed."""
    link = answer.raw_response.links.get("next", {}).get("url")
    return httpx.URL(link).params.get(name) if link else None
