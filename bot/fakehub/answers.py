"""Answers that are not a success, in GitHub's words, and pages of answers that are."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import JSONResponse

from bot.fakehub.model import JsonObject

DOCUMENTATION_URL = "https://docs.github.com/rest"

# What the real one enforces for bodies of issues, comments and pull requests.
MAX_BODY_CHARACTERS = 65_536
MAX_PER_PAGE = 100


class ApiError(Exception):
    """Raised where GitHub answers with an error; carries that answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Sequence[JsonObject] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = tuple(errors)
        self.headers = headers or {}

    def to_response(self) -> JSONResponse:
        """The answer as GitHub shapes it."""
        content: JsonObject = {
            "message": self.message,
            "documentation_url": DOCUMENTATION_URL,
            "status": str(self.status),
        }
        if self.errors:
            content["errors"] = list(self.errors)
        return JSONResponse(content, self.status, self.headers)


def not_found() -> ApiError:
    """What GitHub says of what is not there, and of what the caller may not know of."""
    return ApiError(HTTPStatus.NOT_FOUND, "Not Found")


def invalid(resource: str, field: str, code: str, message: str | None = None) -> ApiError:
    """A 422 that names one field."""
    error: JsonObject = {"resource": resource, "field": field, "code": code}
    if message is not None:
        error["message"] = message
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Validation Failed", errors=[error])


def check_body(resource: str, body: str | None) -> None:
    """Refuse a body that GitHub would call too long.

    Raises:
        ApiError: 422 `too_long`.
    """
    if body is not None and len(body) > MAX_BODY_CHARACTERS:
        message = f"body is too long (maximum is {MAX_BODY_CHARACTERS} characters)"
        raise invalid(resource, "body", "too_long", message)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list the caller asked for."""

    number: int
    size: int


def page_of(request: Request) -> Page:
    """Read `page` and `per_page`; nonsense becomes the default, as at GitHub."""
    number = _positive(request.query_params.get("page"), 1)
    size = min(_positive(request.query_params.get("per_page"), 30), MAX_PER_PAGE)
    return Page(number, size)


def paged(request: Request, items: Sequence[JsonObject], *, base_path: str) -> JSONResponse:
    """One page of `items`, with a `Link` header where there are others.

    Args:
        request: the request, for its query.
        items: all of them.
        base_path: where the links point; GitHub uses `/repositories/<id>/...` there.
    """
    page = page_of(request)
    first = (page.number - 1) * page.size
    last_page = max(1, -(-len(items) // page.size))
    numbers: dict[str, int] = {}
    if page.number > 1:
        numbers |= {"prev": page.number - 1, "first": 1}
    if page.number < last_page:
        numbers |= {"next": page.number + 1, "last": last_page}
    links = [
        f'<{base_path}?{_query(request, page=str(number))}>; rel="{relation}"'
        for relation, number in numbers.items()
    ]
    headers = {"link": ", ".join(links)} if links else None
    return JSONResponse(list(items[first : first + page.size]), headers=headers)


def _query(request: Request, **changed: str) -> str:
    return urlencode({**request.query_params, **changed})


def _positive(text: str | None, default: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or int(text) < 1:
        return default
    return int(text)
