"""The app proves who it is, and gets tokens that allow what was granted and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.fakehub.server import FakehubServer
from tests.bot.fakehub.app_client import app_client, assertion
from tests.bot.fakehub.conftest import Place


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, 0, 0, 123456, UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(tmp_path: Path, clock: Clock) -> Iterator[FakehubServer]:
    with FakehubServer(tmp_path, clock=clock) as server:
        yield server


def test_the_app_is_known_by_its_assertion(place: Place) -> None:
    answer = place.app.as_app("GET", "/app")
    assert answer.status_code == 200
    assert answer.json()["id"] == place.app.credentials.app_id


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": 1}, 401),
        ({"iat": 9_999_999_999}, 401),
        ({"exp": 9_999_999_999}, 401),
        ({"iat": "now"}, 401),
        ({"exp": None}, 401),
        ({"iss": "1"}, 404),
    ],
)
def test_an_assertion_with_wrong_claims_is_refused(
    place: Place, claims: dict[str, object], status: int
) -> None:
    wrong = assertion(place.app.credentials, **claims)
    answer = place.app.client.get("/app", headers={"Authorization": f"Bearer {wrong}"})
    assert answer.status_code == status


def test_an_assertion_by_another_key_is_refused(place: Place) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    forged = place.app.credentials.model_copy(update={"private_key": key.decode()})
    headers = {"Authorization": f"Bearer {assertion(forged)}"}
    answer = place.app.client.get("/app", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["message"] == "A JSON web token could not be decoded"


def test_a_token_looks_like_githubs(place: Place) -> None:
    path = f"/app/installations/{place.installation_id}/access_tokens"
    document = place.app.as_app("POST", path).json()
    assert document["token"].startswith(f"ghs_{place.app.credentials.app_id}_")
    assert 500 < len(document["token"]) < 540
    datetime.strptime(document["expires_at"], "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007  # the form is what is tested, not the time


def test_a_token_dies_after_an_hour(timed: FakehubServer, clock: Clock) -> None:
    driver = timed.driver
    driver.create_user("ann")
    driver.create_repository("ann", "calc", {"a": "a"})
    installation_id = driver.install("ann", ["calc"])
    with app_client(driver.credentials()) as app:
        path = f"/app/installations/{installation_id}/access_tokens"
        document = app.as_app("POST", path, now=clock.now).json()
        assert document["expires_at"] == "2026-11-20T13:00:00Z"
        assert app.as_installation(document["token"], "GET", "/repos/ann/calc").status_code == 200
        clock.now += timedelta(hours=1)
        answer = app.as_installation(document["token"], "GET", "/repos/ann/calc")
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_a_suspended_installation_gets_no_token_and_its_tokens_stop(place: Place) -> None:
    token = place.token
    place.driver.suspend(place.installation_id)
    path = f"/app/installations/{place.installation_id}/access_tokens"
    assert place.app.as_app("POST", path).status_code == 403
    assert place.app.as_installation(token, "GET", place.api).status_code == 403
    place.driver.suspend(place.installation_id, suspended=False)
    assert place.app.as_installation(token, "GET", place.api).status_code == 200


def test_an_uninstalled_app_gets_404_and_its_tokens_401(place: Place) -> None:
    token = place.token
    place.driver.uninstall(place.installation_id)
    path = f"/app/installations/{place.installation_id}/access_tokens"
    assert place.app.as_app("POST", path).status_code == 404
    assert place.app.as_app("GET", f"{place.api}/installation").status_code == 404
    assert place.app.as_installation(token, "GET", place.api).status_code == 401


def test_a_token_can_be_limited_to_permissions(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "A bug", as_user=place.visitor)
    token = place.app.token(place.installation_id, permissions={"issues": "read"})
    path = f"{place.api}/issues/{number}"
    assert place.app.as_installation(token, "GET", path).status_code == 200
    answer = place.app.as_installation(token, "POST", f"{path}/comments", json={"body": "hello"})
    assert answer.status_code == 403
    assert answer.json()["message"] == "Resource not accessible by integration"
    assert "issues=write" in answer.headers["x-accepted-github-permissions"]


@pytest.mark.parametrize(
    "limits",
    [
        {"permissions": {"administration": "write"}},
        {"repositories": ["nothing"]},
        {"repository_ids": [1]},
    ],
)
def test_a_token_cannot_exceed_its_installation(place: Place, limits: dict[str, object]) -> None:
    path = f"/app/installations/{place.installation_id}/access_tokens"
    assert place.app.as_app("POST", path, json=limits).status_code == 422


def test_a_token_can_be_limited_to_repositories(place: Place) -> None:
    place.driver.create_repository(place.owner, "other", {"a": "a"}, private=True)
    place.driver.install(place.owner, ["other"])
    token = place.app.token(place.installation_id, repositories=["calc"])
    other = f"/repos/{place.owner}/other"
    assert place.app.as_installation(token, "GET", other).status_code == 404
    assert place.app.as_installation(place.token, "GET", other).status_code == 200
    listed = place.app.as_installation(token, "GET", "/installation/repositories").json()
    assert [one["name"] for one in listed["repositories"]] == ["calc"]


def test_a_token_keeps_the_permissions_it_was_made_with(place: Place) -> None:
    before = place.token
    place.driver.set_permissions(place.installation_id, {"metadata": "read", "issues": "write"})
    number = place.driver.open_issue(place.repository, "A bug", as_user=place.visitor)
    pull = {"title": "x", "head": "nowhere", "base": "main"}
    assert (
        place.app.as_installation(before, "POST", f"{place.api}/pulls", json=pull).status_code
        == 422
    )
    assert (
        place.app.as_installation(place.token, "POST", f"{place.api}/pulls", json=pull).status_code
        == 403
    )
    said = {"body": "hello"}
    path = f"{place.api}/issues/{number}/comments"
    assert place.app.as_installation(place.token, "POST", path, json=said).status_code == 201


@pytest.mark.parametrize(
    "header", ["token nonsense", "Bearer ghs_1_a.b.c", "Basic !!!", "Basic AAAA"]
)
def test_bad_credentials_are_401(place: Place, header: str) -> None:
    answer = place.app.client.get(place.api, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_the_app_itself_cannot_act_in_a_repository(place: Place) -> None:
    answer = place.app.as_app("POST", f"{place.api}/issues", json={"title": "A bug"})
    assert answer.status_code == 401
    assert place.app.as_installation(place.token, "GET", "/app").status_code == 401


def test_installations_are_listed_and_found(place: Place) -> None:
    found = place.app.as_app("GET", f"{place.api}/installation").json()
    assert found["id"] == place.installation_id
    assert found == place.app.as_app("GET", f"/app/installations/{place.installation_id}").json()
    listed = place.app.as_app("GET", "/app/installations", params={"per_page": 100}).json()
    assert found in listed
