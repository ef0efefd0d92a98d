"""Issues, labels, comments and reactions behave as at GitHub."""

from typing import Any

import httpx
import pytest

from bot.fakehub.driver import DriverError
from tests.bot.fakehub.conftest import Place


def as_bot(place: Place, method: str, path: str, **options: Any) -> httpx.Response:
    return place.app.as_installation(place.token, method, f"{place.api}{path}", **options)


def test_a_person_opens_an_issue_and_the_bot_answers(place: Place) -> None:
    number = place.driver.open_issue(
        place.repository, "add is wrong", "It is.", as_user=place.visitor
    )
    comment = as_bot(
        place, "POST", f"/issues/{number}/comments", json={"body": "I look at it"}
    ).json()
    assert comment["user"]["login"] == "evoscale[bot]"
    assert comment["user"]["type"] == "Bot"
    assert comment["performed_via_github_app"]["id"] == place.app.credentials.app_id
    assert place.driver.comments(place.repository, number) == [comment]
    issue = place.driver.issue(place.repository, number)
    assert (issue["title"], issue["body"], issue["comments"]) == ("add is wrong", "It is.", 1)


def test_labels_of_a_stranger_are_dropped_and_those_of_the_owner_kept(place: Place) -> None:
    one = place.driver.open_issue(place.repository, "x", as_user=place.visitor, labels=["evoscale"])
    two = place.driver.open_issue(place.repository, "x", as_user=place.owner, labels=["evoscale"])
    assert place.driver.issue(place.repository, one)["labels"] == []
    labels = as_bot(place, "GET", f"/issues/{two}/labels").json()
    assert [label["name"] for label in labels] == ["evoscale"]


def test_a_stranger_can_neither_label_nor_close(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.owner)
    with pytest.raises(DriverError) as refusal:
        place.driver.add_label(place.repository, number, "evoscale", as_user=place.visitor)
    assert refusal.value.status == 403
    with pytest.raises(DriverError):
        place.driver.close_issue(place.repository, number, as_user=place.visitor)


def test_labels_are_added_once_and_removed_once(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    as_bot(place, "POST", f"/issues/{number}/labels", json={"labels": ["a", "b/c d", "A"]})
    names = [label["name"] for label in as_bot(place, "GET", f"/issues/{number}/labels").json()]
    assert names == ["a", "b/c d"]
    assert as_bot(place, "DELETE", f"/issues/{number}/labels/a").status_code == 200
    again = as_bot(place, "DELETE", f"/issues/{number}/labels/a")
    assert (again.status_code, again.json()["message"]) == (404, "Label does not exist")


def test_labels_with_slashes_can_be_removed(place: Place) -> None:
    number = place.driver.open_issue(
        place.repository, "x", as_user=place.owner, labels=["kind/bug"]
    )
    place.driver.remove_label(place.repository, number, "kind/bug", as_user=place.owner)
    assert place.driver.issue(place.repository, number)["labels"] == []


def test_events_say_who_set_which_label_when(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.owner, labels=["bug"])
    as_bot(place, "POST", f"/issues/{number}/labels", json={"labels": ["evoscale"]})
    place.driver.remove_label(place.repository, number, "bug", as_user=place.owner)
    place.driver.close_issue(place.repository, number, as_user=place.owner)
    events = as_bot(place, "GET", f"/issues/{number}/events").json()
    assert [
        (one["event"], one["actor"]["login"], one.get("label", {}).get("name")) for one in events
    ] == [
        ("labeled", place.owner, "bug"),
        ("labeled", "evoscale[bot]", "evoscale"),
        ("unlabeled", place.owner, "bug"),
        ("closed", place.owner, None),
    ]


def test_an_issue_is_closed_and_reopened(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    place.driver.close_issue(place.repository, number, as_user=place.visitor)
    closed = place.driver.issue(place.repository, number)
    assert (closed["state"], closed["state_reason"]) == ("closed", "completed")
    place.driver.reopen_issue(place.repository, number, as_user=place.owner)
    assert place.driver.issue(place.repository, number)["closed_at"] is None


def test_lists_filter_and_have_pages(place: Place) -> None:
    numbers = [
        place.driver.open_issue(
            place.repository, f"issue {index}", as_user=place.owner, labels=["bug"]
        )
        for index in range(5)
    ]
    place.driver.open_issue(place.repository, "unlabelled", as_user=place.owner)
    place.driver.close_issue(place.repository, numbers[0], as_user=place.owner)
    query = {"labels": "bug", "state": "all", "per_page": "2"}
    answer = as_bot(place, "GET", "/issues", params=query)
    found = [issue["number"] for issue in answer.json()]
    while "next" in answer.links:
        url = answer.links["next"]["url"]
        assert "/repositories/" in url
        answer = place.app.as_installation(place.token, "GET", url)
        found += [issue["number"] for issue in answer.json()]
    assert found == numbers[::-1]
    open_ones = as_bot(place, "GET", "/issues", params={"labels": "bug"}).json()
    assert [issue["number"] for issue in open_ones] == numbers[:0:-1]
    later = as_bot(place, "GET", "/issues", params={"since": "2999-01-01T00:00:00Z"}).json()
    assert later == []


@pytest.mark.parametrize("size", [65_536, 65_537])
def test_a_body_has_a_longest_length(place: Place, size: int) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    answer = as_bot(place, "POST", f"/issues/{number}/comments", json={"body": "x" * size})
    if size > 65_536:
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "too_long"
    else:
        assert answer.status_code == 201


@pytest.mark.parametrize("body", ["", "  \n"])
def test_an_empty_comment_is_refused(place: Place, body: str) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    assert (
        as_bot(place, "POST", f"/issues/{number}/comments", json={"body": body}).status_code == 422
    )


def test_a_comment_is_edited_and_deleted(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    comment_id = as_bot(place, "POST", f"/issues/{number}/comments", json={"body": "one"}).json()[
        "id"
    ]
    path = f"/issues/comments/{comment_id}"
    assert as_bot(place, "PATCH", path, json={"body": "two"}).json()["body"] == "two"
    assert as_bot(place, "GET", path).json()["body"] == "two"
    assert as_bot(place, "DELETE", path).status_code == 204
    assert as_bot(place, "GET", path).status_code == 404


def test_one_reacts_once(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    comment_id = place.driver.comment(place.repository, number, "/evoscale", as_user=place.owner)
    for path in (f"/issues/{number}/reactions", f"/issues/comments/{comment_id}/reactions"):
        assert as_bot(place, "POST", path, json={"content": "eyes"}).status_code == 201
        assert as_bot(place, "POST", path, json={"content": "eyes"}).status_code == 200
        assert [one["content"] for one in as_bot(place, "GET", path).json()] == ["eyes"]
        assert as_bot(place, "POST", path, json={"content": "banana"}).status_code == 422


@pytest.mark.parametrize(
    ("login", "role", "permission"),
    [("owner", "admin", "admin"), ("visitor", "read", "read")],
)
def test_the_permission_endpoint_knows_owner_and_stranger(
    place: Place, login: str, role: str, permission: str
) -> None:
    name = place.owner if login == "owner" else place.visitor
    found = as_bot(place, "GET", f"/collaborators/{name}/permission").json()
    assert (found["role_name"], found["permission"]) == (role, permission)
    assert found["user"]["login"] == name


@pytest.mark.parametrize(
    ("role", "permission"), [("maintain", "write"), ("triage", "read"), ("write", "write")]
)
def test_the_older_permission_folds_roles(place: Place, role: Any, permission: str) -> None:
    place.driver.set_role(place.repository, place.visitor, role)
    found = as_bot(place, "GET", f"/collaborators/{place.visitor}/permission").json()
    assert (found["role_name"], found["permission"]) == (role, permission)


def test_a_stranger_has_no_permission_on_a_private_repository(place: Place) -> None:
    place.driver.make_private(place.repository)
    found = as_bot(place, "GET", f"/collaborators/{place.visitor}/permission").json()
    assert found["permission"] == "none"
    assert as_bot(place, "GET", "/collaborators/nobody/permission").status_code == 404


def test_broken_and_wrong_bodies_are_refused_in_githubs_words(place: Place) -> None:
    headers = {"Content-Type": "application/json"}
    broken = as_bot(place, "POST", "/issues", content=b'{"title":', headers=headers)
    assert (broken.status_code, broken.json()["message"]) == (400, "Problems parsing JSON")
    wrong = as_bot(place, "POST", "/issues", json={"body": "no title"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"] == [
        {"resource": "Request", "field": "title", "code": "missing_field"}
    ]


@pytest.mark.parametrize(
    "path", ["/issues/999", "/issues/999/comments", "/pulls/999", "/nothing", "/issues/x"]
)
def test_what_is_not_there_is_404(place: Place, path: str) -> None:
    answer = as_bot(place, "GET", path)
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


def test_a_locked_conversation_is_closed_to_strangers(place: Place) -> None:
    number = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    place.driver.lock_issue(place.repository, number)
    with pytest.raises(DriverError) as refusal:
        place.driver.comment(place.repository, number, "but", as_user=place.visitor)
    assert refusal.value.status == 403
    place.driver.comment(place.repository, number, "no", as_user=place.owner)


def test_nobody_in_particular_may_read_but_not_write(place: Place) -> None:
    assert place.app.client.get(f"{place.api}/issues").status_code == 200
    assert place.app.client.post(f"{place.api}/issues", json={"title": "x"}).status_code == 401


def test_answers_can_be_revalidated(place: Place) -> None:
    first = as_bot(place, "GET", "")
    again = as_bot(place, "GET", "", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["x-ratelimit-limit"] == "5000"


def test_the_cheap_verbs_answer(place: Place) -> None:
    assert place.app.client.get("/rate_limit").json()["rate"]["limit"] == 5000
    assert place.app.client.get("/users/evoscale[bot]").json()["type"] == "Bot"
    assert place.app.client.get("/users/nobody").status_code == 404
