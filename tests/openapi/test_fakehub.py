"""Every verb of fakehub takes what GitHub's description says it takes, and answers what that says.

The story below uses each verb once, failures included; a test of its own makes sure that none is
left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bot.fakehub import faults, rest_app, rest_issues, rest_pulls, rest_repository
from bot.fakehub.driver import DriverError
from bot.fakehub.recording import Exchange
from bot.fakehub.routing import RestRoute
from bot.fakehub.server import FakehubServer
from tests.bot.fakehub.app_client import AppClient, app_client
from tests.openapi.referee import Referee, RefereeTransport

pytestmark = pytest.mark.network

FIX = {"calc.py": "def add(a, b):\n    return a + b\n", "NEWS": "fixed\n"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Exchange]]:
    """What a long day between an app, an owner and a visitor leaves behind."""
    with FakehubServer(tmp_path_factory.mktemp("hub"), record=True) as hub:
        driver = hub.driver
        for login in ("ann", "bob"):
            driver.create_user(login)
        driver.create_repository("ann", "calc", {"calc.py": "def add(a, b):\n    return a - b\n"})
        installation_id = driver.install("ann", ["calc"])
        with app_client(driver.credentials()) as app:
            app_speaks(app, installation_id)
            people_speak(hub)
            token = app.token(installation_id)
            issues_are_worked_on(app, token)
            pulls_are_worked_on(hub, app, token)
            refusals(hub, app, token, installation_id)
        yield driver.exchanges()


def app_speaks(app: AppClient, installation_id: int) -> None:
    app.as_app("GET", "/app")
    app.as_app("GET", "/app/installations", params={"per_page": 1})
    app.as_app("GET", f"/app/installations/{installation_id}")
    app.as_app("GET", "/repos/ann/calc/installation")
    app.token(installation_id, repositories=["calc"], permissions={"issues": "write"})
    token = app.token(installation_id)
    app.as_installation(token, "GET", "/installation/repositories")
    app.as_installation(token, "GET", "/users/evoscale[bot]")
    app.as_installation(token, "GET", "/rate_limit")


def people_speak(hub: FakehubServer) -> None:
    driver = hub.driver
    number = driver.open_issue("ann/calc", "add is wrong", "really", as_user="bob", labels=["x"])
    driver.add_label("ann/calc", number, "evoscale", as_user="ann")
    driver.add_label("ann/calc", number, "kind/bug", as_user="ann")
    driver.remove_label("ann/calc", number, "kind/bug", as_user="ann")
    driver.comment("ann/calc", number, "/evoscale", as_user="ann")
    driver.push("ann/calc", "bot/issue-1", FIX, as_user="ann", start="main")
    driver.push("ann/calc", "other", {"x": b"\x00"}, as_user="ann", start="main")
    driver.close_issue("ann/calc", number, as_user="bob")
    driver.reopen_issue("ann/calc", number, as_user="ann")
    driver.wait_until_delivered()


def issues_are_worked_on(app: AppClient, token: str) -> None:
    def send(method: str, path: str, **content: object) -> httpx.Response:
        options = {"json": content} if content else {}
        return app.as_installation(token, method, f"/repos/ann/calc{path}", **options)

    send("GET", "")
    send("GET", "/branches/main")
    send("GET", "/branches/bot/issue-1")
    send("GET", "/git/ref/heads/bot/issue-1")
    send("GET", "/collaborators/bob/permission")
    send("GET", "/issues?state=all&labels=evoscale&since=2020-01-01T00:00:00Z&per_page=1&page=1")
    send("POST", "/issues", title="found by the app", body="x", labels=["evoscale"])
    send("GET", "/issues/1")
    send("GET", "/issues/1/events")
    send("PATCH", "/issues/1", title="add is very wrong", state="open")
    send("POST", "/issues/1/labels", labels=["bug"])
    send("GET", "/issues/1/labels")
    send("DELETE", "/issues/1/labels/bug")
    comment = send("POST", "/issues/1/comments", body="I look at it").json()["id"]
    send("GET", "/issues/1/comments?per_page=1")
    send("GET", f"/issues/comments/{comment}")
    send("PATCH", f"/issues/comments/{comment}", body="I looked at it")
    send("POST", f"/issues/comments/{comment}/reactions", content="eyes")
    send("POST", f"/issues/comments/{comment}/reactions", content="eyes")
    send("GET", f"/issues/comments/{comment}/reactions")
    send("POST", "/issues/1/reactions", content="+1")
    send("GET", "/issues/1/reactions")
    send("DELETE", f"/issues/comments/{comment}")


def pulls_are_worked_on(hub: FakehubServer, app: AppClient, token: str) -> None:
    def send(method: str, path: str, **content: object) -> httpx.Response:
        options = {"json": content} if content else {}
        return app.as_installation(token, method, f"/repos/ann/calc{path}", **options)

    new = {"head": "bot/issue-1", "base": "main", "body": "Fixes #1", "draft": True}
    number = send("POST", "/pulls", title="Fix add", **new).json()["number"]
    send("POST", "/pulls", title="Fix add", **new)
    send("GET", "/pulls?state=open&head=ann:bot/issue-1&base=main")
    send("GET", f"/pulls/{number}")
    accept = {"Accept": "application/vnd.github.diff"}
    app.as_installation(token, "GET", f"/repos/ann/calc/pulls/{number}", headers=accept)
    send("PATCH", f"/pulls/{number}", title="Fix addition", body="Fixes #1.")
    send("GET", f"/pulls/{number}/files")
    send("GET", f"/pulls/{number}/commits")
    hub.driver.review("ann/calc", number, "REQUEST_CHANGES", "why?", as_user="ann")
    hub.driver.review_comment("ann/calc", number, "calc.py", 2, "here", as_user="ann")
    send("GET", f"/pulls/{number}/reviews")
    send("GET", f"/pulls/{number}/comments")
    send("POST", f"/pulls/{number}/reviews", event="COMMENT", body="because")
    other = send("POST", "/pulls", title="Noise", head="other", base="main").json()["number"]
    send("GET", f"/pulls/{other}/files")
    hub.driver.merge("ann/calc", other, as_user="ann")
    send("GET", f"/issues/{other}")
    send("GET", f"/pulls/{other}")
    send("PATCH", f"/pulls/{number}", state="closed")


def refusals(hub: FakehubServer, app: AppClient, token: str, installation_id: int) -> None:
    failed = app.as_app("GET", "/app/hook/deliveries", params={"per_page": 1}).json()[0]
    app.as_app("POST", f"/app/hook/deliveries/{failed['id']}/attempts")
    app.as_installation(token, "GET", "/repos/ann/nothing")
    app.as_installation("wrong", "GET", "/repos/ann/calc")
    long = {"body": "x" * 70_000}
    app.as_installation(token, "POST", "/repos/ann/calc/issues/1/comments", json=long)
    hub.driver.add_fault(faults.html("/repos/ann/calc"))
    app.as_installation(token, "GET", "/repos/ann/calc")
    with pytest.raises(DriverError):
        hub.driver.add_label("ann/calc", 1, "x", as_user="bob")
    hub.driver.suspend(installation_id)
    app.as_app("POST", f"/app/installations/{installation_id}/access_tokens")
    app.as_app("GET", "/app/installations")
    hub.driver.suspend(installation_id, suspended=False)
    hub.driver.rename("ann/calc", "calculator")
    moved = app.as_installation(token, "GET", "/repos/ann/calc/issues?per_page=1")
    app.as_installation(token, "GET", moved.headers["location"])


def test_every_exchange_is_as_github_describes_it(
    recorded: list[Exchange], openapi_referee: Referee
) -> None:
    openapi_referee.check(recorded)


def test_every_verb_was_used(recorded: list[Exchange]) -> None:
    routers = [("", rest_app)]
    routers += [("/repos/[^/]+/[^/]+", one) for one in (rest_repository, rest_issues, rest_pulls)]
    verbs = [
        (method, f"^{prefix}{route.path_regex.pattern.removeprefix('^')}")
        for prefix, module in routers
        for route in module.router.routes
        if isinstance(route, RestRoute)
        for method in route.methods
    ]
    assert len(verbs) > 35
    used = [(one.method, httpx.URL(one.url).path) for one in recorded if one.status < 400]
    unused = [
        verb
        for verb in verbs
        if not any(verb[0] == how and re.match(verb[1], path) for how, path in used)
    ]
    assert unused == []


def test_a_transport_judges_what_passes_through_it(
    tmp_path: Path, openapi_referee: Referee
) -> None:
    with FakehubServer(tmp_path) as hub:
        hub.driver.create_user("ann")
        hub.driver.create_repository("ann", "calc", {"a": "a"})
        inner = httpx.HTTPTransport(trust_env=False)
        with RefereeTransport(openapi_referee, inner) as transport:
            client = httpx.Client(base_url=hub.base_url, transport=transport)
            assert client.get("/repos/ann/calc").status_code == 200
            assert transport.complaints == []
            client.get("/repos/ann/calc/isues")
            client.get("/repos/ann/calc/issues", params={"state": "half-open"})
    assert [complaint.where for complaint in transport.complaints] == [
        "GET /repos/ann/calc/isues asks",
        "GET /repos/ann/calc/issues asks",
    ]
