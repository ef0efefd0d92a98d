"""`bot.github` over a scripted transport, under the real githubkit."""

import inspect
import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import githubkit.exception
import httpx
import pytest
from githubkit.exception import GitHubException, RequestError
from githubkit.response import Response
from pydantic import SecretStr

from bot.errors import (
    BotError,
    GitHubRefusedError,
    GitHubUnavailableError,
    InstallationGoneError,
    PermissionMissingError,
    RepositoryGoneError,
)
from bot.github import App, Installation, NewPull
from bot.github.calls import Wire, redacted, translate, worth_again
from tests.factories import GUID, make_repository

TOKEN = "ghs_" + "a1.B2-c3_" * 58
API = "http://github.example/api/v3"
Answer = httpx.Response | Exception


class GitHubDouble:
    """Answers by (method, path) from a script; the last answer of a script stays."""

    def __init__(self) -> None:
        self.script: dict[tuple[str, str], list[Answer]] = {}
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self.expires = "2030-01-01T00:00:00Z"
        self.token = TOKEN
        self.on("GET", "/app", {"id": 7, "slug": "evoscale", "name": "EvoScale"})

    def on(self, method: str, path: str, *answers: object, status: int = 200) -> None:
        self.script[method, path] = [
            answer
            if isinstance(answer, httpx.Response | Exception)
            else httpx.Response(status, json=answer)
            for answer in answers
        ]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/api/v3")
        if path.endswith("/access_tokens") and ("POST", path) not in self.script:
            return httpx.Response(201, json={"token": self.token, "expires_at": self.expires})
        answers = self.script.get((request.method, path))
        if not answers:
            return httpx.Response(404, json={"message": "Not Found"})
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=answer.content, request=request
        )

    def sent(self, method: str = "", path: str = "") -> list[httpx.Request]:
        return [
            each for each in self.requests if method in ("", each.method) and path in each.url.path
        ]


@pytest.fixture
def double() -> GitHubDouble:
    return GitHubDouble()


@pytest.fixture
def app(double: GitHubDouble, key: SecretStr) -> App:
    wire = Wire(API, httpx.MockTransport(double), double.slept.append)
    return App(7, key, wire, now=lambda: 1_800_000_000.0)


@pytest.fixture
def repo(app: App) -> Installation:
    return app.installation(5, make_repository(), GUID)


def no(status: int, message: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"message": message}, headers=named)


ISSUE = {"number": 12, "title": "t", "body": None, "state": "open", "labels": [{"name": "bug"}]}
OURS = {"login": "evoscale[bot]", "type": "Bot"}


def test_a_read_carries_the_delivery_and_a_token_for_one_repository(
    double: GitHubDouble, repo: Installation
) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", ISSUE)
    found = repo.issue(12)
    assert found
    assert found.title == "t"
    [read] = double.sent("GET", "/issues/12")
    assert read.headers["x-github-delivery"] == GUID
    assert read.headers["authorization"] == f"token {TOKEN}"
    [mint] = double.sent("POST")
    assert json.loads(mint.content) == {
        "repository_ids": [1],
        "permissions": {
            "contents": "write",
            "issues": "write",
            "metadata": "read",
            "pull_requests": "write",
        },
    }
    assert mint.headers["authorization"].startswith("Bearer ey")


def test_the_token_is_minted_once_for_eight_threads(double: GitHubDouble, app: App) -> None:
    threads = [threading.Thread(target=app.token, args=(5, 1)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(double.sent("POST")) == 1


@pytest.mark.parametrize(
    "expires", ["2027-01-15T09:05:00Z", "2027-01-15T08:00:00.123Z", "2027-01-15T10:03:00+02:00"]
)
def test_a_token_about_to_expire_is_replaced(double: GitHubDouble, app: App, expires: str) -> None:
    """The clock stands at 2027-01-15T08:00:00Z; a token is used until five minutes before."""
    double.expires = expires
    app.token(5, 1)
    app.token(5, 1)
    assert len(double.sent("POST")) == (1 if "09:05" in expires else 2)


@pytest.mark.parametrize("token", ["ghs_" + "a" * 36, TOKEN, "ghs_7_" + "e.y-J_" * 333])
def test_tokens_of_any_length_work_and_are_redacted(
    double: GitHubDouble, repo: Installation, token: str
) -> None:
    double.token = token
    double.on("GET", "/repos/ann/calc/issues/12", ISSUE)
    assert repo.issue(12)
    assert redacted(f"fatal: {token} was refused") == "fatal: [token] was refused"
    assert token not in repr(repo.token())
    assert token not in repr(repo.__dict__)


def test_a_rejected_token_is_minted_anew_once_and_the_request_repeated(
    double: GitHubDouble, repo: Installation
) -> None:
    double.on("POST", "/repos/ann/calc/issues/12/comments", no(401, "Bad credentials"), {"id": 1})
    double.on("GET", "/repos/ann/calc/issues/12/comments", [])
    repo.say(12, "marker", "marker text")
    assert len(double.sent("POST", "access_tokens")) == 2
    assert len(double.sent("POST", "/comments")) == 2


def test_a_token_that_stays_rejected_fails_clearly(
    double: GitHubDouble, repo: Installation
) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", no(401, "Bad credentials"))
    with pytest.raises(GitHubRefusedError, match="credentials were rejected"):
        repo.issue(12)
    assert len(double.sent("POST", "access_tokens")) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (no(404, "Not Found"), InstallationGoneError),
        (no(403, "This installation has been suspended"), InstallationGoneError),
        (no(401, "'Expiration time' claim ('exp') is too far in the future"), GitHubRefusedError),
        (no(500), GitHubUnavailableError),
        (no(422, "The permissions requested are not granted"), GitHubRefusedError),
    ],
)
def test_a_sign_in_that_fails_says_how(
    double: GitHubDouble, repo: Installation, answer: httpx.Response, error: type[BotError]
) -> None:
    double.on("POST", "/app/installations/5/access_tokens", answer)
    with pytest.raises(error):
        repo.issue(12)


@pytest.mark.parametrize(
    "trouble", [no(502), no(503), httpx.ConnectError("x"), httpx.ReadTimeout("x")]
)
def test_a_read_is_repeated_after_a_passing_failure(
    double: GitHubDouble, repo: Installation, trouble: Answer
) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", trouble, trouble, ISSUE)
    assert repo.issue(12)
    assert len(double.slept) == 2


def test_a_read_gives_up_after_four_tries(double: GitHubDouble, repo: Installation) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", no(502))
    with pytest.raises(GitHubUnavailableError):
        repo.issue(12)
    assert len(double.sent("GET", "/issues/12")) == 4
    assert sum(double.slept) < 30


@pytest.mark.parametrize(
    "trouble", [no(502), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")]
)
def test_a_post_is_never_repeated_blindly(
    double: GitHubDouble, repo: Installation, trouble: Answer
) -> None:
    path = "/repos/ann/calc/issues/12/comments"
    double.on("POST", path, trouble)
    double.on("GET", path, [], [{"id": 3, "body": "marker text", "user": OURS}])
    with pytest.raises(GitHubUnavailableError):
        repo.say(12, "marker", "marker text")
    repo.say(12, "marker", "marker text")
    assert len(double.sent("POST", path)) == 1


IN_AN_HOUR = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
SECONDARY = "You have exceeded a secondary rate limit"
RESET_IN_50_MINUTES = str(int((datetime.now(UTC) + timedelta(minutes=50)).timestamp()))


@pytest.mark.parametrize(
    ("answer", "least", "most"),
    [
        (no(403, SECONDARY, retry_after="3600"), 3600, 3600),
        (no(403, SECONDARY, retry_after=IN_AN_HOUR), 1800, 3600),
        (no(403, SECONDARY, retry_after="Thu, 01 Jan 2015 00:00:00 GMT"), 60, 60),
        (no(403, SECONDARY, retry_after="soon"), 60, 60),
        (no(403, SECONDARY, retry_after="0"), 60, 60),
        (no(403, SECONDARY, x_ratelimit_remaining="21"), 60, 60),
        (no(403, "You have triggered an abuse detection mechanism"), 60, 60),
        (no(429, ""), 60, 60),
        (no(429, SECONDARY, retry_after="120"), 120, 120),
        (
            no(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset="1"),
            1,
            1,
        ),
        (
            no(
                403,
                "API rate limit exceeded",
                x_ratelimit_remaining="0",
                x_ratelimit_reset=RESET_IN_50_MINUTES,
            ),
            1500,
            3000,
        ),
        (
            no(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset="?"),
            1,
            60,
        ),
    ],
)
def test_a_rate_limit_puts_the_task_off_and_is_never_slept_on(
    double: GitHubDouble, repo: Installation, answer: httpx.Response, least: float, most: float
) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", answer)
    with pytest.raises(GitHubUnavailableError) as raised:
        repo.issue(12)
    assert least <= raised.value.retry_after_s <= most
    assert double.slept == []
    assert len(double.sent("GET", "/issues/12")) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (no(403, "Resource not accessible by integration"), PermissionMissingError),
        (no(403, "Repository was archived so is read-only."), RepositoryGoneError),
        (no(451, "Repository access blocked"), RepositoryGoneError),
        (no(422, "Validation Failed"), GitHubRefusedError),
        (no(403, "This installation has been suspended"), InstallationGoneError),
    ],
)
def test_a_refusal_says_which(
    double: GitHubDouble, repo: Installation, answer: httpx.Response, error: type[BotError]
) -> None:
    double.on("POST", "/repos/ann/calc/issues/comments/3/reactions", answer)
    with pytest.raises(error):
        repo.react(3, "eyes")


@pytest.mark.parametrize("status", [404, 410])
def test_a_deleted_issue_is_none(double: GitHubDouble, repo: Installation, status: int) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", no(status, "gone"))
    assert repo.issue(12) is None


def test_an_issue_that_moved_away_is_none(double: GitHubDouble, repo: Installation) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", {**ISSUE, "number": 3})
    assert repo.issue(12) is None


def test_an_issue_that_was_transferred_is_none(double: GitHubDouble, repo: Installation) -> None:
    there = {**ISSUE, "repository_url": f"{API}/repos/ann/other"}
    double.on("GET", "/repos/ann/calc/issues/12", there)
    assert repo.issue(12) is None
    double.on("GET", "/repos/ann/calc/issues/12", {**ISSUE, "repository_url": f"{API}/repos/Ann/calc"})  # fmt: skip
    assert repo.issue(12)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Unicorn!</html>"),
        httpx.Response(200, content=b'{"number": 12, "ti'),
        httpx.Response(200, json={"title": "no number"}),
        httpx.Response(200, json=[]),
    ],
)
def test_a_read_that_cannot_be_understood_is_tried_later(
    double: GitHubDouble, repo: Installation, answer: httpx.Response
) -> None:
    double.on("GET", "/repos/ann/calc/issues/12", answer)
    with pytest.raises(GitHubUnavailableError, match="cannot be read"):
        repo.issue(12)


@pytest.mark.parametrize(
    "answer", [httpx.Response(201, text="<html>"), httpx.Response(201, content=b'{"id":')]
)
def test_a_write_counts_as_done_whatever_its_answer_looks_like(
    double: GitHubDouble, repo: Installation, answer: httpx.Response
) -> None:
    double.on("POST", "/repos/ann/calc/issues/comments/3/reactions", answer)
    repo.react(3, "eyes")


ROLES = [
    ({"permission": "admin", "role_name": "admin"}, "admin"),
    ({"permission": "write", "role_name": "maintain"}, "maintain"),
    ({"permission": "write", "role_name": "write"}, "write"),
    ({"permission": "read", "role_name": "triage"}, "triage"),
    ({"permission": "read", "role_name": "read"}, "read"),
    ({"permission": "write", "role_name": "our-own-role"}, "write"),
    ({"permission": "write"}, "write"),
    ({"permission": "none", "role_name": ""}, "none"),
    ({}, "none"),
]


@pytest.mark.parametrize(("answer", "role"), ROLES)
def test_a_role_is_read_by_its_name(
    double: GitHubDouble, repo: Installation, answer: dict[str, str], role: str
) -> None:
    double.on("GET", "/repos/ann/calc/collaborators/bob/permission", answer)
    assert repo.role_of("bob") == role


@pytest.mark.parametrize("login", ["bob/../../orgs", "", "a b", "x" * 200, "bob?x=1"])
def test_an_odd_login_has_no_role_and_is_never_asked_for(
    double: GitHubDouble, repo: Installation, login: str
) -> None:
    assert repo.role_of(login) == "none"
    assert double.sent("GET", "collaborators") == []


def test_somebody_unknown_has_no_role(repo: Installation) -> None:
    assert repo.role_of("stranger") == "none"


@pytest.mark.parametrize("answer", [no(403, "Must have push access"), no(500)])
def test_a_role_that_cannot_be_asked_for_is_no_yes(
    double: GitHubDouble, repo: Installation, answer: httpx.Response
) -> None:
    double.on("GET", "/repos/ann/calc/collaborators/bob/permission", answer)
    with pytest.raises(BotError):
        repo.role_of("bob")


def test_the_comment_is_found_on_the_second_page_and_only_if_it_is_ours(
    double: GitHubDouble, repo: Installation
) -> None:
    path = "/repos/ann/calc/issues/12/comments"
    forged = {"id": 1, "body": "marker", "user": {"login": "mallory"}}
    ghost = {"id": 2, "body": "marker", "user": None}
    first = httpx.Response(
        200,
        json=[forged, ghost],
        headers={"link": '<http://evil.example/repositories/1/x?per_page=100&page=2>; rel="next"'},
    )
    double.on("GET", path, first, [{"id": 3, "body": "marker", "user": OURS}])
    found = repo.comment(12, "marker")
    assert found
    assert found.id == 3
    assert {each.url.host for each in double.requests} == {"github.example"}


def test_the_same_text_twice_is_one_write(double: GitHubDouble, repo: Installation) -> None:
    path = "/repos/ann/calc/issues/12/comments"
    double.on("GET", path, [{"id": 3, "body": "marker\r\ntext", "user": OURS}])
    repo.say(12, "marker", "marker\ntext")
    assert double.sent("PATCH") == []
    double.on("PATCH", "/repos/ann/calc/issues/comments/3", {"id": 3})
    repo.say(12, "marker", "marker\nother text")
    [change] = double.sent("PATCH")
    assert json.loads(change.content) == {"body": "marker\nother text"}


def repository(**changed: object) -> dict[str, object]:
    known = {"id": 1, "name": "calc", "full_name": "ann/calc", "owner": {"login": "ann"}}
    return {**known, **changed}


def test_a_renamed_repository_is_found_and_written_to_by_its_new_name(
    double: GitHubDouble, repo: Installation
) -> None:
    moved = httpx.Response(301, headers={"location": f"{API}/repositories/1"})
    double.on("GET", "/repos/ann/calc", moved)
    double.on("GET", "/repositories/1", repository(name="sums", full_name="ann/sums"))
    double.on("POST", "/repos/ann/sums/issues/comments/3/reactions", {}, status=201)
    assert repo.repository().full_name == "ann/sums"
    repo.react(3, "eyes")
    assert len(double.sent("POST", "/repos/ann/sums/")) == 1


def test_a_post_that_became_a_get_on_its_way_wrote_nothing(
    double: GitHubDouble, repo: Installation
) -> None:
    path = "/repos/ann/calc/issues/comments/3/reactions"
    double.on("POST", path, httpx.Response(301, headers={"location": f"{API}/repositories/1"}))
    double.on("GET", "/repositories/1", repository())
    with pytest.raises(GitHubRefusedError, match="nothing was written"):
        repo.react(3, "eyes")


def test_a_redirect_to_another_host_gets_no_token(double: GitHubDouble, repo: Installation) -> None:
    away = httpx.Response(301, headers={"location": "http://evil.example/repos/ann/calc"})
    double.on("GET", "/repos/ann/calc", away, repository())
    repo.repository()
    assert "authorization" not in double.requests[-1].headers


def test_another_repository_of_the_same_name_is_not_ours(
    double: GitHubDouble, repo: Installation
) -> None:
    double.on("GET", "/repos/ann/calc", repository(id=2))
    with pytest.raises(RepositoryGoneError, match="another repository"):
        repo.repository()


def test_a_deleted_repository_is_gone(repo: Installation) -> None:
    with pytest.raises(RepositoryGoneError, match="deleted"):
        repo.repository()


NEW = NewPull("evoscale/issue-12", "main", "Fix", "body")


def test_a_pull_request_is_a_draft(double: GitHubDouble, repo: Installation) -> None:
    double.on("POST", "/repos/ann/calc/pulls", {"number": 13}, status=201)
    repo.open_pull(NEW)
    [sent] = double.sent("POST", "/pulls")
    assert json.loads(sent.content)["draft"] is True


def test_where_drafts_are_not_to_be_had_it_is_a_plain_one(
    double: GitHubDouble, repo: Installation
) -> None:
    refused = no(422, "Draft pull requests are not supported in this repository.")
    double.on("POST", "/repos/ann/calc/pulls", refused, {"number": 13})
    repo.open_pull(NEW)
    assert [json.loads(r.content)["draft"] for r in double.sent("POST", "/pulls")] == [True, False]


def test_a_pull_request_that_exists_already_is_no_failure(
    double: GitHubDouble, repo: Installation
) -> None:
    details = {"message": "A pull request already exists for ann:evoscale/issue-12."}
    double.on(
        "POST",
        "/repos/ann/calc/pulls",
        httpx.Response(422, json={"message": "Validation Failed", "errors": [details]}),
    )
    repo.open_pull(NEW)


def pull(number: int, state: str = "open", branch: str = "evoscale/issue-12") -> dict[str, object]:
    return {"number": number, "state": state, "head": {"ref": branch, "sha": "x", "repo": None}}


def test_the_open_pull_request_comes_before_closed_ones_and_those_of_other_branches(
    double: GitHubDouble, repo: Installation
) -> None:
    found = [pull(9, "closed"), pull(8, branch="main"), pull(7), pull(5)]
    double.on("GET", "/repos/ann/calc/pulls", found)
    ours = repo.pull_of("evoscale/issue-12")
    assert ours
    assert ours.number == 7
    assert double.sent("GET", "/pulls")[0].url.params["head"] == "ann:evoscale/issue-12"


def test_a_review_comes_with_its_own_comments_only(
    double: GitHubDouble, repo: Installation
) -> None:
    double.on("GET", "/repos/ann/calc/pulls/13/reviews", [{"id": 1, "body": "x"}, {"id": 2}])
    double.on(
        "GET",
        "/repos/ann/calc/pulls/13/comments",
        [
            {"id": 5, "pull_request_review_id": 2, "body": "ours", "path": "a.py", "line": 3},
            {"id": 6, "pull_request_review_id": 1, "body": "other"},
        ],
    )
    found = repo.feedback(13, 2)
    assert found
    assert (found.review, [each.id for each in found.comments]) == ("", [5])
    assert repo.feedback(13, 99) is None


def test_who_set_the_label_last(double: GitHubDouble, repo: Installation) -> None:
    def event(number: int, kind: str, label: str, login: str | None) -> dict[str, object]:
        actor = {"login": login} if login else None
        when = f"2026-01-0{number}T00:00:00Z"
        return {"id": number, "event": kind, "label": {"name": label}, "actor": actor, "created_at": when}  # fmt: skip

    events = [
        event(1, "labeled", "evoscale", "ann"),
        event(2, "labeled", "EvoScale", "bob"),
        event(3, "labeled", "bug", "eve"),
        event(4, "unlabeled", "evoscale", "eve"),
        {"id": 5, "event": "closed", "created_at": "2026-01-05T00:00:00Z"},
    ]
    double.on("GET", "/repos/ann/calc/issues/12/events", events)
    found = repo.labelled(12, "evoscale")
    assert found
    assert found.actor
    assert (found.id, found.actor.login) == (2, "bob")
    double.on("GET", "/repos/ann/calc/issues/12/events", no(404))
    assert repo.labelled(12, "evoscale") is None


def test_failed_deliveries_are_those_without_any_good_attempt(
    double: GitHubDouble, app: App
) -> None:
    def sent(number: int, guid: str, status: int, hour: int) -> dict[str, object]:
        when = f"2026-01-01T{hour:02}:00:00Z"
        return {"id": number, "guid": guid, "status_code": status, "delivered_at": when}

    first = httpx.Response(
        200,
        json=[sent(9, "a", 503, 9), sent(8, "b", 202, 8)],
        headers={"link": f'<{API}/app/hook/deliveries?cursor=v1_7>; rel="next"'},
    )
    double.on("GET", "/app/hook/deliveries", first, [sent(7, "b", 500, 7), sent(6, "c", 0, 6)])
    found = app.failed_deliveries(datetime(2026, 1, 1, 5, tzinfo=UTC))
    assert [(each.id, each.guid) for each in found] == [(6, "c"), (9, "a")]
    assert double.requests[-1].url.params["cursor"] == "v1_7"


def test_installations_and_their_repositories_are_listed(double: GitHubDouble, app: App) -> None:
    double.on(
        "GET",
        "/app/installations",
        [{"id": 5}, {"id": 6, "suspended_at": "2026-01-01T00:00:00Z"}],
    )
    double.on("GET", "/installation/repositories", {"repositories": [repository()]})
    assert app.installations() == [5]
    assert [each.full_name for each in app.repositories(5)] == ["ann/calc"]
    assert json.loads(double.sent("POST")[0].content).get("repository_ids") is None


def test_two_writes_leave_a_gap(double: GitHubDouble, key: SecretStr) -> None:
    wire = Wire(API, httpx.MockTransport(double), double.slept.append)
    app = App(7, key, wire, write_gap_s=1.0, now=lambda: 1_800_000_000.0)
    double.on("POST", "/repos/ann/calc/issues/comments/3/reactions", {})
    repo = app.installation(5, make_repository(), GUID)
    repo.react(3, "eyes")
    repo.react(3, "eyes")
    assert double.slept == [1.0]


def made(kind: type[Exception]) -> Exception:
    """An exception of any class of githubkit's or httpx's, made with what it asks for."""
    request = httpx.Request("GET", "http://x")
    response = httpx.Response(418, request=request, json={"message": "teapot"})
    ready: dict[str, object] = {
        "response": Response(response, object),
        "retry_after": timedelta(seconds=5),
        "request": request,
        "exc": httpx.ReadTimeout("x", request=request),
        "name": "x",
        "message": "x",
    }
    if issubclass(kind, httpx.HTTPStatusError):
        return kind("x", request=request, response=response)
    if issubclass(kind, httpx.StreamError) and kind is not httpx.StreamError:
        return kind()
    if kind.__init__ is Exception.__init__:
        return kind("x")
    names = inspect.signature(kind).parameters
    return kind(**{name: ready[name] for name in names if name in ready})


def classes(of: type[Exception]) -> list[type[Exception]]:
    below = [each for kind in of.__subclasses__() for each in classes(kind)]
    return [of, *below]


EVERY = sorted(
    {*classes(GitHubException), *classes(httpx.HTTPError), httpx.InvalidURL, httpx.CookieConflict,
     *classes(httpx.StreamError)},
    key=lambda kind: kind.__name__,
)  # fmt: skip


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_exception_of_githubkit_and_httpx_becomes_one_of_ours(kind: type[Exception]) -> None:
    error = made(kind)
    wrapped = error if isinstance(error, GitHubException) else RequestError(error)
    ours = translate("do it", wrapped)
    assert isinstance(ours, GitHubUnavailableError | GitHubRefusedError)
    passing = (githubkit.exception.RequestTimeout, githubkit.exception.RateLimitExceeded)
    broken = (httpx.TransportError, httpx.DecodingError)
    cause = wrapped.exc if type(wrapped) is RequestError else wrapped
    assert ours.retryable == isinstance(cause, (*passing, *broken))
    assert isinstance(worth_again(wrapped), bool)


def test_a_refusal_wrapped_by_the_sign_in_is_unwrapped() -> None:
    response = httpx.Response(
        403, request=httpx.Request("POST", "http://x"), json={"message": "suspended"}
    )
    inner = githubkit.exception.RequestFailed(Response(response, object))
    assert isinstance(translate("x", RequestError(RequestError(inner))), InstallationGoneError)


def test_an_answer_s_message_is_redacted(double: GitHubDouble, repo: Installation) -> None:
    double.on("POST", "/repos/ann/calc/issues/comments/3/reactions", no(422, f"bad {TOKEN}"))
    with pytest.raises(GitHubRefusedError) as raised:
        repo.react(3, "eyes")
    assert TOKEN not in str(raised.value)
