"""Deliveries are signed, numbered, kept, and sent once."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator

import pytest

from bot.fakehub.webhooks import sign
from tests.bot.fakehub.conftest import Place
from tests.bot.fakehub.receiver import Receiver, receiver


@pytest.fixture
def listening(place: Place) -> Iterator[Receiver]:
    with receiver() as found:
        place.driver.wait_until_delivered()
        place.driver.set_webhook(found.url)
        yield found
        place.driver.wait_until_delivered()


def test_the_signature_is_githubs() -> None:
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert sign("It's a Secret to Everybody", b"Hello, World!") == expected


def test_a_delivery_looks_like_githubs(place: Place, listening: Receiver) -> None:
    number = place.driver.open_issue(place.repository, "add is wrong", "ü", as_user=place.visitor)
    received = listening.take()
    secret = place.app.credentials.webhook_secret.encode()
    digest = hmac.new(secret, received.body, hashlib.sha256).hexdigest()
    assert received.headers["x-hub-signature-256"] == f"sha256={digest}"
    assert received.headers["x-github-event"] == "issues"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("GitHub-Hookshot/")
    assert uuid.UUID(received.headers["x-github-delivery"]).version == 4
    payload = json.loads(received.body)
    assert payload["action"] == "opened"
    assert payload["issue"]["number"] == number
    assert payload["installation"]["id"] == place.installation_id
    assert payload["repository"]["full_name"] == place.repository
    assert payload["sender"]["login"] == place.visitor


def test_an_issue_with_labels_is_opened_and_labelled(place: Place, listening: Receiver) -> None:
    place.driver.open_issue(place.repository, "x", as_user=place.owner, labels=["evoscale", "bug"])
    told = [json.loads(listening.take().body) for _ in range(3)]
    assert [(one["action"], one.get("label", {}).get("name")) for one in told] == [
        ("opened", None),
        ("labeled", "evoscale"),
        ("labeled", "bug"),
    ]


def test_a_failed_delivery_is_not_repeated_until_asked(place: Place, listening: Receiver) -> None:
    listening.status = 500
    place.driver.open_issue(place.repository, "x", as_user=place.owner)
    first = listening.take()
    place.driver.wait_until_delivered()
    listening.status = 202
    failed = place.app.as_app(
        "GET", "/app/hook/deliveries", params={"status": "failure", "per_page": 1}
    ).json()
    assert [(one["guid"], one["status_code"]) for one in failed] == [
        (first.headers["x-github-delivery"], 500)
    ]
    again = place.app.as_app("POST", f"/app/hook/deliveries/{failed[0]['id']}/attempts")
    assert (again.status_code, again.json()) == (202, {})
    second = listening.take()
    assert second.headers["x-github-delivery"] == first.headers["x-github-delivery"]
    assert second.body == first.body
    place.driver.wait_until_delivered()
    newest = place.app.as_app("GET", "/app/hook/deliveries", params={"per_page": 1}).json()[0]
    assert (newest["redelivery"], newest["status"], newest["guid"]) == (
        True,
        "OK",
        failed[0]["guid"],
    )


def test_deliveries_are_listed_page_by_page(place: Place, listening: Receiver) -> None:
    for index in range(5):
        place.driver.open_issue(place.repository, f"x{index}", as_user=place.owner)
        listening.take()
    place.driver.wait_until_delivered()
    answer = place.app.as_app("GET", "/app/hook/deliveries", params={"per_page": 2})
    found = [one["id"] for one in answer.json()]
    for _ in range(2):
        answer = place.app.as_app("GET", answer.links["next"]["url"])
        found += [one["id"] for one in answer.json()]
    assert found == sorted(set(found), reverse=True)
    assert len(found) == 6
    assert place.app.as_app("GET", "/app/hook/deliveries?cursor=x").status_code == 400


def test_held_deliveries_come_late_and_out_of_order(place: Place, listening: Receiver) -> None:
    place.driver.hold_deliveries()
    place.driver.open_issue(place.repository, "x", as_user=place.owner, labels=["evoscale"])
    place.driver.release_deliveries(reverse=True)
    actions = [json.loads(listening.take().body)["action"] for _ in range(2)]
    assert actions == ["labeled", "opened"]


def test_dropped_deliveries_are_listed_as_failed(place: Place, listening: Receiver) -> None:
    place.driver.hold_deliveries()
    place.driver.open_issue(place.repository, "x", as_user=place.owner)
    place.driver.drop_deliveries()
    place.driver.release_deliveries()
    failed = place.app.as_app("GET", "/app/hook/deliveries", params={"per_page": 1}).json()[0]
    assert failed["status"] == "failed to connect to host: dropped"
    place.driver.redeliver(failed["id"])
    assert listening.take().headers["x-github-delivery"] == failed["guid"]


def test_an_unreachable_app_is_a_failed_delivery(place: Place) -> None:
    with receiver() as gone:
        pass
    place.driver.set_webhook(gone.url)
    place.driver.ping()
    place.driver.wait_until_delivered()
    assert place.driver.deliveries()[-1].status == "failed to connect to host: ConnectError"


def test_a_suspended_installation_is_told_nothing_more(place: Place) -> None:
    place.driver.suspend(place.installation_id)
    before = place.driver.deliveries()
    place.driver.open_issue(place.repository, "x", as_user=place.owner)
    assert (before[-1].event, before[-1].action) == ("installation", "suspend")
    assert len(place.driver.deliveries()) == len(before)


def test_what_people_do_is_told(place: Place) -> None:
    driver, repository, owner = place.driver, place.repository, place.owner
    start = len(driver.deliveries())
    number = driver.open_issue(repository, "x", as_user=place.visitor)
    comment_id = driver.comment(repository, number, "one", as_user=owner)
    driver.edit_comment(repository, comment_id, "two", as_user=owner)
    driver.edit_issue(repository, number, "more", as_user=place.visitor)
    driver.add_label(repository, number, "evoscale", as_user=owner)
    driver.remove_label(repository, number, "evoscale", as_user=owner)
    driver.close_issue(repository, number, as_user=owner)
    driver.reopen_issue(repository, number, as_user=owner)
    driver.archive(repository)
    driver.archive(repository, archived=False)
    driver.rename(repository, "calculator")
    driver.delete_repository(f"{owner}/calculator")
    told = [(one.event, one.action) for one in driver.deliveries()[start:]]
    assert told == [
        ("issues", "opened"),
        ("issue_comment", "created"),
        ("issue_comment", "edited"),
        ("issues", "edited"),
        ("issues", "labeled"),
        ("issues", "unlabeled"),
        ("issues", "closed"),
        ("issues", "reopened"),
        ("repository", "archived"),
        ("repository", "unarchived"),
        ("repository", "renamed"),
        ("repository", "deleted"),
    ]


def test_a_comment_on_a_pull_request_shows_it_as_an_issue(place: Place) -> None:
    place.driver.push(place.repository, "fix", {"a": "a"}, as_user=place.owner, start="main")
    new = {"title": "Fix", "head": "fix", "base": "main"}
    number = place.app.as_installation(place.token, "POST", f"{place.api}/pulls", json=new).json()[
        "number"
    ]
    place.driver.comment(place.repository, number, "/evoscale", as_user=place.owner)
    comment = json.loads(place.driver.deliveries()[-1].body)
    assert comment["issue"]["pull_request"]["url"].endswith(f"/pulls/{number}")
    place.driver.review(place.repository, number, "REQUEST_CHANGES", "no", as_user=place.owner)
    review = json.loads(place.driver.deliveries()[-1].body)
    assert (review["review"]["state"], review["pull_request"]["number"]) == (
        "changes_requested",
        number,
    )


def test_installing_elsewhere_too_is_told(place: Place) -> None:
    place.driver.create_repository(place.owner, "other", {"a": "a"})
    assert place.driver.install(place.owner, ["other"]) == place.installation_id
    told = json.loads(place.driver.deliveries()[-1].body)
    assert [one["full_name"] for one in told["repositories_added"]] == [f"{place.owner}/other"]
