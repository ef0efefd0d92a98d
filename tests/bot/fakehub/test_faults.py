"""Faults happen to the requests they are meant for, as often as they are meant to."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from bot.fakehub import faults
from bot.fakehub.faults import Fault
from tests.bot.fakehub.conftest import Place

COMMENTS = r"/repos/.*/issues/\d+/comments"


@pytest.fixture
def number(place: Place) -> int:
    return place.driver.open_issue(place.repository, "x", as_user=place.owner)


def say(place: Place, number: int, **options: Any) -> httpx.Response:
    path = f"{place.api}/issues/{number}/comments"
    token = options.pop("token", None) or place.token
    return place.app.as_installation(token, "POST", path, json={"body": "hello"}, **options)


def said(place: Place, number: int) -> int:
    place.driver.clear_faults()
    return len(place.driver.comments(place.repository, number))


def test_a_status_is_answered_and_nothing_done(place: Place, number: int) -> None:
    place.driver.add_fault(faults.status(COMMENTS, 503, count=2))
    assert [say(place, number).status_code for _ in range(3)] == [503, 503, 201]
    assert place.driver.faults_left() == []
    assert said(place, number) == 1


def test_a_request_may_be_done_and_its_answer_lost(place: Place, number: int) -> None:
    place.driver.add_fault(faults.applied_but(COMMENTS, 502))
    assert say(place, number).status_code == 502
    assert said(place, number) == 1


def test_a_connection_may_be_reset_before_or_after(place: Place, number: int) -> None:
    place.driver.add_fault(faults.reset(COMMENTS, method="POST"))
    place.driver.add_fault(faults.applied_but_lost(COMMENTS))
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            say(place, number)
    assert said(place, number) == 1


def test_a_hang_ends_in_a_timeout_of_the_client(place: Place, number: int) -> None:
    place.driver.add_fault(faults.hang(COMMENTS, 2.0))
    token = place.token
    with pytest.raises(httpx.ReadTimeout):
        say(place, number, token=token, timeout=0.1)
    assert said(place, number) == 0


def test_a_hang_ends(place: Place, number: int) -> None:
    place.driver.add_fault(faults.hang(COMMENTS, 0.01))
    with pytest.raises(httpx.TransportError):
        say(place, number)


def test_a_slow_answer_is_a_good_one(place: Place, number: int) -> None:
    place.driver.add_fault(faults.slow(COMMENTS, 0.01))
    assert say(place, number).status_code == 201


@pytest.mark.parametrize(
    "retry_after", ["60", None, format_datetime(datetime(2026, 11, 20, tzinfo=UTC), usegmt=True)]
)
@pytest.mark.parametrize("code", [403, 429])
def test_the_secondary_limit_has_several_faces(
    place: Place, number: int, retry_after: str | None, code: int
) -> None:
    place.driver.add_fault(faults.secondary_limit(COMMENTS, retry_after, code=code))
    answer = say(place, number)
    assert answer.status_code == code
    assert "secondary rate limit" in answer.json()["message"]
    assert answer.headers.get("retry-after") == retry_after


def test_the_primary_limit_says_when_it_ends(place: Place, number: int) -> None:
    place.driver.add_fault(faults.primary_limit(COMMENTS, 1_800_000_000))
    answer = say(place, number)
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.headers["x-ratelimit-reset"] == "1800000000"


def test_pages_meant_for_people_and_halves_of_json_come_instead(place: Place, number: int) -> None:
    place.driver.add_fault(faults.html(COMMENTS))
    place.driver.add_fault(faults.truncated(COMMENTS))
    page = say(place, number)
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    half = say(place, number)
    assert half.status_code == 201
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        half.json()
    assert said(place, number) == 1


def test_a_fault_waits_for_its_turn_and_its_method(place: Place, number: int) -> None:
    place.driver.add_fault(Fault(method="POST", path=COMMENTS, status=500, skip=1))
    path = f"{place.api}/issues/{number}/comments"
    assert place.app.client.get(path).status_code == 200
    assert [say(place, number).status_code for _ in range(3)] == [201, 500, 201]


def test_git_meets_faults_too(place: Place) -> None:
    place.driver.add_fault(faults.status(r"/.*\.git/info/refs", 500))
    path = f"/{place.repository}.git/info/refs?service=git-upload-pack"
    assert place.app.client.get(path).status_code == 500
    assert place.app.client.get(path).status_code == 200


@pytest.mark.parametrize("wrong", [{"count": 0}, {"delay_s": 1e9}, {"unknown": 1}])
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Fault.model_validate({"path": "/", **wrong})
