"""Pull requests, reviews and comments on lines behave as at GitHub."""

from typing import Any

import httpx
import pytest

from bot.fakehub.driver import DriverError
from tests.bot.fakehub.conftest import Place

FIX = {"calc/__init__.py": "def add(a, b):\n    return a + b\n"}


def as_bot(place: Place, method: str, path: str, **options: Any) -> httpx.Response:
    return place.app.as_installation(place.token, method, f"{place.api}{path}", **options)


def propose(place: Place, **changed: object) -> httpx.Response:
    """Open a pull request from `fix`, which is pushed first unless it is there."""
    if as_bot(place, "GET", "/branches/fix").status_code == 404:
        place.driver.push(place.repository, "fix", FIX, as_user=place.owner, start="main")
    body = {"title": "Fix add", "head": "fix", "base": "main", "body": "Fixes #1", **changed}
    return as_bot(place, "POST", "/pulls", json=body)


def test_a_pull_request_says_what_it_changes(place: Place) -> None:
    answer = propose(place, draft=True)
    assert answer.status_code == 201
    pull = answer.json()
    assert (pull["draft"], pull["mergeable"], pull["mergeable_state"]) == (True, True, "draft")
    assert (pull["commits"], pull["additions"], pull["deletions"], pull["changed_files"]) == (
        1,
        1,
        1,
        1,
    )
    assert pull["head"]["sha"] == as_bot(place, "GET", "/git/ref/heads/fix").json()["object"]["sha"]
    assert pull["base"]["sha"] == as_bot(place, "GET", "/branches/main").json()["commit"]["sha"]
    files = as_bot(place, "GET", f"/pulls/{pull['number']}/files").json()
    assert [(one["filename"], one["status"], one["changes"]) for one in files] == [
        ("calc/__init__.py", "modified", 2)
    ]
    assert files[0]["patch"].splitlines()[-2:] == ["-    return a - b", "+    return a + b"]


def test_issues_and_pull_requests_share_numbers(place: Place) -> None:
    issue = place.driver.open_issue(place.repository, "x", as_user=place.visitor)
    pull = propose(place).json()["number"]
    assert (issue, pull) == (1, 2)
    assert "pull_request" in place.driver.issue(place.repository, pull)
    assert as_bot(place, "GET", f"/pulls/{issue}").status_code == 404


def test_a_diff_is_given_to_who_accepts_one(place: Place) -> None:
    number = propose(place).json()["number"]
    accept = {"Accept": "application/vnd.github.diff"}
    diff = as_bot(place, "GET", f"/pulls/{number}", headers=accept).text
    assert diff == place.driver.diff(place.repository, number)
    assert diff.startswith("diff --git a/calc/__init__.py b/calc/__init__.py\n")
    assert "\n+    return a + b\n" in diff


def test_there_is_one_open_pull_request_for_a_branch(place: Place) -> None:
    number = propose(place).json()["number"]
    again = propose(place, head=f"{place.owner}:fix")
    assert again.status_code == 422
    assert (
        again.json()["errors"][0]["message"]
        == f"A pull request already exists for {place.owner}:fix."
    )
    place.driver.close_issue(place.repository, number, as_user=place.owner)
    assert propose(place).status_code == 201


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"head": "nowhere"}, "head"),
        ({"base": "nowhere"}, "base"),
        ({"head": "stranger:fix"}, "head"),
    ],
)
def test_a_pull_request_needs_its_branches(
    place: Place, changed: dict[str, object], field: str
) -> None:
    answer = propose(place, **changed)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_a_pull_request_needs_commits(place: Place) -> None:
    answer = propose(place, head="main")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "No commits between main and main"


def test_pull_requests_are_found_by_branch_and_state(place: Place) -> None:
    number = propose(place).json()["number"]

    def found(**query: str) -> list[int]:
        return [pull["number"] for pull in as_bot(place, "GET", "/pulls", params=query).json()]

    assert found(head=f"{place.owner}:fix") == [number]
    assert found(head=f"{place.owner}:main") == []
    assert found(base="main", state="all") == [number]
    assert found(state="closed") == []


def test_a_pull_request_follows_its_branch(place: Place) -> None:
    number = propose(place).json()["number"]
    sha = place.driver.push(place.repository, "fix", {"NEWS": "fixed\n"}, as_user=place.owner)
    pull = as_bot(place, "GET", f"/pulls/{number}").json()
    assert (pull["head"]["sha"], pull["commits"]) == (sha, 2)
    assert as_bot(place, "GET", f"/git/ref/pull/{number}/head").json()["object"]["sha"] == sha


def test_a_pull_request_in_conflict_says_so(place: Place) -> None:
    number = propose(place).json()["number"]
    other = {"calc/__init__.py": "def add(a, b):\n    return sum((a, b))\n"}
    place.driver.push(place.repository, "main", other, as_user=place.owner)
    pull = as_bot(place, "GET", f"/pulls/{number}").json()
    assert (pull["mergeable"], pull["mergeable_state"]) == (False, "dirty")
    with pytest.raises(DriverError) as refusal:
        place.driver.merge(place.repository, number, as_user=place.owner)
    assert refusal.value.status == 405


def test_a_pull_request_is_merged(place: Place) -> None:
    number = propose(place).json()["number"]
    place.driver.merge(place.repository, number, as_user=place.owner)
    pull = as_bot(place, "GET", f"/pulls/{number}").json()
    assert (pull["merged"], pull["state"], pull["merged_by"]["login"]) == (
        True,
        "closed",
        place.owner,
    )
    assert (
        place.driver.read_file(place.repository, "calc/__init__.py")
        == FIX["calc/__init__.py"].encode()
    )


def test_a_pull_request_whose_branch_goes_is_closed(place: Place) -> None:
    number = propose(place).json()["number"]
    place.driver.delete_branch(place.repository, "fix")
    pull = as_bot(place, "GET", f"/pulls/{number}").json()
    assert (pull["state"], pull["merged"], pull["changed_files"]) == ("closed", False, 1)


def test_a_pull_request_is_edited(place: Place) -> None:
    number = propose(place).json()["number"]
    changed = {"title": "Add properly", "body": "Really", "state": "closed"}
    pull = as_bot(place, "PATCH", f"/pulls/{number}", json=changed).json()
    assert {field: pull[field] for field in changed} == changed


def test_a_pull_request_is_reviewed(place: Place) -> None:
    number = propose(place).json()["number"]
    place.driver.review(place.repository, number, "REQUEST_CHANGES", "not yet", as_user=place.owner)
    place.driver.review(place.repository, number, "APPROVE", as_user=place.visitor)
    reviews = as_bot(place, "GET", f"/pulls/{number}/reviews").json()
    assert [(one["user"]["login"], one["state"], one["body"]) for one in reviews] == [
        (place.owner, "CHANGES_REQUESTED", "not yet"),
        (place.visitor, "APPROVED", ""),
    ]


def test_nobody_approves_their_own(place: Place) -> None:
    number = propose(place).json()["number"]
    answer = as_bot(place, "POST", f"/pulls/{number}/reviews", json={"event": "APPROVE"})
    assert answer.status_code == 422
    empty = as_bot(place, "POST", f"/pulls/{number}/reviews", json={"event": "COMMENT"})
    assert empty.status_code == 422


def test_a_line_is_commented_on(place: Place) -> None:
    number = propose(place).json()["number"]
    comment_id = place.driver.review_comment(
        place.repository, number, "calc/__init__.py", 2, "why?", as_user=place.owner
    )
    comments = as_bot(place, "GET", f"/pulls/{number}/comments").json()
    assert [(one["id"], one["path"], one["line"], one["body"]) for one in comments] == [
        (comment_id, "calc/__init__.py", 2, "why?")
    ]
    assert comments[0]["diff_hunk"].startswith("@@ ")
    reply = {"body": "because", "path": "calc/__init__.py", "commit_id": comments[0]["commit_id"]}
    answer = as_bot(
        place, "POST", f"/pulls/{number}/comments", json=reply | {"in_reply_to": comment_id}
    )
    assert answer.json()["in_reply_to_id"] == comment_id
    elsewhere = as_bot(
        place, "POST", f"/pulls/{number}/comments", json=reply | {"path": "README.md"}
    )
    assert elsewhere.status_code == 422


def test_added_removed_renamed_and_binary_files_are_told_apart(place: Place) -> None:
    files: dict[str, str | bytes | None] = {
        "README.md": None,
        "READ ME.txt": "# Calc\n\nAdds numbers.\n",
        "new.py": "x = 1\n",
        "data.bin": b"\x00\x01\x02",
        'odd "näme".txt': "x\n",
    }
    place.driver.push(place.repository, "fix", files, as_user=place.owner, start="main")
    number = propose(place).json()["number"]
    found = {one["filename"]: one for one in as_bot(place, "GET", f"/pulls/{number}/files").json()}
    assert {name: one["status"] for name, one in found.items()} == {
        "READ ME.txt": "renamed",
        "data.bin": "added",
        "new.py": "added",
        'odd "näme".txt': "added",
    }
    assert found["READ ME.txt"]["previous_filename"] == "README.md"
    assert "patch" not in found["data.bin"]
    assert found["new.py"]["patch"] == "@@ -0,0 +1 @@\n+x = 1"


def test_commits_are_listed_oldest_first(place: Place) -> None:
    number = propose(place).json()["number"]
    place.driver.push(
        place.repository, "fix", {"a": "a"}, as_user=place.owner, message="Second\n\nbody"
    )
    commits = as_bot(place, "GET", f"/pulls/{number}/commits").json()
    assert [one["commit"]["message"] for one in commits] == ["Change files", "Second\n\nbody"]
    assert commits[0]["author"]["login"] == place.owner


def test_an_archived_repository_takes_no_writes(place: Place) -> None:
    place.driver.archive(place.repository)
    answer = as_bot(place, "POST", "/issues", json={"title": "x"})
    assert (answer.status_code, answer.json()["message"]) == (
        403,
        "Repository was archived so is read-only.",
    )
    assert as_bot(place, "GET", "").json()["archived"] is True


def test_a_renamed_repository_redirects(place: Place) -> None:
    place.driver.rename(place.repository, "calculator")
    read = as_bot(place, "GET", "/issues?state=all")
    assert read.status_code == 301
    assert read.headers["location"].endswith("/issues?state=all")
    assert (
        place.app.as_installation(place.token, "GET", read.headers["location"]).status_code == 200
    )
    write = as_bot(place, "POST", "/issues", json={"title": "x"})
    assert write.status_code == 307
    moved = place.app.as_installation(
        place.token, "POST", write.headers["location"], json={"title": "x"}
    )
    assert moved.json()["repository_url"].endswith(f"{place.owner}/calculator")


def test_a_deleted_repository_is_gone(place: Place) -> None:
    token = place.token
    place.driver.delete_repository(place.repository)
    assert place.app.as_installation(token, "GET", place.api).status_code == 404


def test_branches_with_slashes_are_found(place: Place) -> None:
    place.driver.push(place.repository, "bot/issue-1", FIX, as_user=place.owner, start="main")
    assert as_bot(place, "GET", "/branches/bot/issue-1").json()["name"] == "bot/issue-1"
    assert (
        as_bot(place, "GET", "/git/ref/heads/bot/issue-1").json()["ref"] == "refs/heads/bot/issue-1"
    )
    assert as_bot(place, "GET", "/branches/bot").json()["message"] == "Branch not found"
    assert as_bot(place, "GET", "/git/ref/heads/bot").status_code == 404


def test_an_empty_repository_has_no_refs(place: Place) -> None:
    place.driver.create_repository(place.owner, "empty", {})
    path = f"/repos/{place.owner}/empty/git/ref/heads/main"
    assert place.app.client.get(path).status_code == 409
