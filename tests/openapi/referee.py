"""Holds requests and answers against GitHub's description of its API.

Five differences between the description and github.com are known, and allowed for:

- a property that is `nullable` and an `enum` may be null, though the enum does not list it
  (`state_reason` of an open issue, for one);
- the account of a listed installation must not be both a user and an enterprise, as `allOf` would
  have it;
- errors that GitHub answers everywhere (401, 403, 404, 409, 5xx) are described for few verbs: those
  need a `message` only;
- media types that are asked for, as diffs are, are not described: only JSON answers are judged;
- `/repositories/<id>`, which links between pages use, is the same as `/repos/<owner>/<name>`.

In one point the referee is stricter: a field of a request body that the description does not know
is an error, since GitHub would ignore it and nobody would notice the misspelling.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpx
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.responses.exceptions import ResponseFinderError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from bot.fakehub.recording import Exchange

HOST = "https://api.github.com"
ERRORS_EVERYWHERE = frozenset({400, 401, 403, 404, 405, 409, 410, 422, 429, 500, 502, 503, 504})
# Path parameters that contain slashes, which a path template cannot match unless they are escaped.
_WITH_SLASHES = re.compile(
    r"^(/repos/[^/]+/[^/]+/(?:git/ref|git/refs|branches|contents|issues/\d+/labels))/(.+)$"
)


@dataclass(frozen=True)
class Complaint:
    """One thing that is not as GitHub describes it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class _Request:
    host_url: str
    path: str
    method: str
    parameters: RequestParameters
    content_type: str
    body: bytes | None


@dataclass
class _Response:
    status_code: int
    headers: Headers
    content_type: str
    data: bytes


class Referee:
    """Judges exchanges by a description.

    Args:
        description: `api.github.com.json`; it is changed as this module's docstring says.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        _mend(description)
        _forbid_unknown_fields(description)
        self._api = OpenAPI.from_dict(description, config=Config(spec_validator_cls=None))

    def complaints(self, exchange: Exchange) -> list[Complaint]:
        """Everything wrong with one exchange; of a faulty answer nothing is expected."""
        request = _request(exchange)
        where = f"{exchange.method} {urlsplit(exchange.url).path}"
        errors = list(self._api.iter_request_errors(request))
        found = [_complaint(f"{where} asks", error) for error in errors]
        if not exchange.faulty and not any(isinstance(e, PathError) for e in errors):
            found += self._answer_complaints(where, request, exchange)
        return found

    def check(self, exchanges: Iterable[Exchange]) -> None:
        """Fail if anything is wrong with any of them.

        Raises:
            AssertionError: with every complaint.
        """
        found = [str(complaint) for one in exchanges for complaint in self.complaints(one)]
        if found:
            raise AssertionError("\n".join(["GitHub describes it differently:", *found]))

    def _answer_complaints(
        self, where: str, request: _Request, exchange: Exchange
    ) -> list[Complaint]:
        where = f"{where} answers {exchange.status}"
        if exchange.status in (301, 304, 307) or _is_other_media_type(exchange):
            return []
        response = _response(exchange)
        errors = list(self._api.iter_response_errors(request, response))
        if exchange.status in ERRORS_EVERYWHERE and any(_is_undescribed(error) for error in errors):
            return _without_message(where, exchange)
        return [_complaint(where, error) for error in errors]


class RefereeTransport(httpx.BaseTransport):
    """A transport that lets a referee look at everything that passes.

    Args:
        referee: who judges.
        inner: who carries.
    """

    def __init__(self, referee: Referee, inner: httpx.BaseTransport) -> None:
        self.complaints: list[Complaint] = []
        self._referee = referee
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request, and judge it and its answer."""
        response = self._inner.handle_request(request)
        response.read()
        exchange = Exchange.of(
            method=request.method,
            url=str(request.url),
            request_headers=dict(request.headers),
            request_body=request.read(),
            status=response.status_code,
            response_headers=dict(response.headers),
            response_body=response.content,
        )
        self.complaints += self._referee.complaints(exchange)
        return response

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


def _is_other_media_type(exchange: Exchange) -> bool:
    answered = exchange.response_headers.get("content-type", "").split(";")[0]
    asked = exchange.request_headers.get("accept", "")
    return answered.startswith("application/vnd.github.") and answered.split(".")[-1] in asked


def _is_undescribed(error: Exception) -> bool:
    return isinstance(error, ResponseFinderError) or isinstance(
        error.__cause__, ResponseFinderError
    )


def _without_message(where: str, exchange: Exchange) -> list[Complaint]:
    found = json.loads(exchange.response_body)
    if isinstance(found, dict) and isinstance(found.get("message"), str):
        return []
    return [Complaint(where, "an error without a message")]


def _complaint(where: str, error: Exception) -> Complaint:
    details: list[str] = []
    cause = error
    while cause is not None:
        details += [_schema_complaint(one) for one in getattr(cause, "schema_errors", ())]
        cause = cause.__cause__
    return Complaint(where, "; ".join([type(error).__name__, *(details or [str(error)])])[:2000])


def _schema_complaint(error: Any) -> str:
    nested = "".join(f" ({_schema_complaint(one)})" for one in list(error.context or ())[:6])
    return f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}{nested}"


def _request(exchange: Exchange) -> _Request:
    parts = urlsplit(exchange.url)
    return _Request(
        host_url=HOST,
        path=_path(parts.path),
        method=exchange.method.lower(),
        parameters=RequestParameters(
            query=ImmutableMultiDict(parse_qsl(parts.query, keep_blank_values=True)),
            header=Headers(exchange.request_headers),
        ),
        content_type=exchange.request_headers.get("content-type", ""),
        body=exchange.request_body or None,
    )


def _path(path: str) -> str:
    path = re.sub(r"^/repositories/\d+", "/repos/owner/name", path)
    found = _WITH_SLASHES.match(path)
    return f"{found[1]}/{quote(unquote(found[2]), safe='')}" if found else path


def _response(exchange: Exchange) -> _Response:
    content_type = exchange.response_headers.get("content-type", "")
    if exchange.status == 204:
        content_type = ""
    return _Response(
        exchange.status, Headers(exchange.response_headers), content_type, exchange.response_body
    )


def _mend(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("nullable") and isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
        account = node.get("account")
        if isinstance(account, dict) and "allOf" in account:
            account["anyOf"] = account.pop("allOf")
        for child in node.values():
            _mend(child)
    elif isinstance(node, list):
        for child in node:
            _mend(child)


def _forbid_unknown_fields(description: dict[str, Any]) -> None:
    for path in description["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {})
            if "properties" in schema and not {"oneOf", "anyOf", "allOf"} & schema.keys():
                schema.setdefault("additionalProperties", False)
