"""The referee sees what is wrong, and lets pass what GitHub itself does."""

import json

import pytest

from bot.fakehub.recording import Exchange
from tests.openapi.referee import Referee

pytestmark = pytest.mark.network

JSON = {"content-type": "application/json; charset=utf-8"}
REPOSITORY = "https://api.github.com/repos/ann/calc"


def exchange(
    method: str,
    path: str,
    body: object = None,
    *,
    status: int = 404,
    answer: object = None,
    faulty: bool = False,
) -> Exchange:
    return Exchange.of(
        method=method,
        url=f"{REPOSITORY}{path}",
        request_headers=JSON if body is not None else {},
        request_body=b"" if body is None else json.dumps(body).encode(),
        status=status,
        response_headers=JSON,
        response_body=json.dumps({"message": "Not Found"} if answer is None else answer).encode(),
        faulty=faulty,
    )


@pytest.mark.parametrize(
    "good",
    [
        exchange("GET", "/issues/1"),
        exchange("GET", "/git/ref/heads/bot/issue-1"),
        exchange("POST", "/issues/1/comments", {"body": "hello"}),
        exchange("POST", "/pulls", {"title": "x", "head": "a", "base": "b", "draft": True}),
        exchange("GET", "/issues/1", status=301, answer={}),
        exchange("GET", "/issues/1", status=200, answer={}, faulty=True),
    ],
)
def test_what_is_right_passes(openapi_referee: Referee, good: Exchange) -> None:
    assert openapi_referee.complaints(good) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (exchange("GET", "/isues/1"), "PathNotFound"),
        (exchange("PUT", "/issues/1"), "OperationNotFound"),
        (exchange("POST", "/issues/1/comments"), "MissingRequiredRequestBody"),
        (exchange("POST", "/issues/1/comments", {"body": 1}), "is not of type 'string'"),
        (exchange("POST", "/issues/1/comments", {"body": "x", "bdy": "y"}), "bdy"),
        (exchange("POST", "/pulls", {"title": "x", "head": "a"}), "'base' is a required property"),
        (exchange("POST", "/issues/1/reactions", {"content": "banana"}), "banana"),
        (exchange("GET", "/issues?state=half-open"), "half-open"),
        (exchange("GET", "/issues/1", status=200, answer={}), "is a required property"),
        (exchange("GET", "/issues/1", status=418), "ResponseNotFound"),
        (
            exchange("GET", "/collaborators/ann/permission", status=403, answer={}),
            "without a message",
        ),
    ],
)
def test_what_is_wrong_is_named(openapi_referee: Referee, bad: Exchange, reason: str) -> None:
    assert reason in "\n".join(map(str, openapi_referee.complaints(bad)))


def test_a_check_fails_with_every_complaint(openapi_referee: Referee) -> None:
    wrong = [exchange("GET", "/isues/1"), exchange("GET", "/isues/2")]
    with pytest.raises(AssertionError, match=r"(?s)isues/1.*isues/2"):
        openapi_referee.check(wrong)
