"""The receiver over ASGI, on a real database: every bad input has its answer, none is a 500."""

import asyncio
import json
import sqlite3
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import SecretStr

from bot import webhook
from bot.inbox import Delivery, DeliveryState, Inbox, Receipt, deliveries
from bot.signature import sign
from engine.store import connect
from tests.factories import GUID, SECRET

PATH = "/webhooks/github"
LABELED = json.dumps(
    {"action": "labeled", "installation": {"id": 5}, "repository": {"id": 1}, "issue": {}}
).encode()
Send = Callable[..., httpx.Response]


def headers_for(body: bytes, **changed: str) -> list[tuple[bytes, bytes]]:
    named = {
        "content-type": "application/json",
        "x-github-event": "issues",
        "x-github-delivery": GUID,
        "x-hub-signature-256": sign(SECRET, body),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return [(name.encode(), value.encode("latin-1")) for name, value in named.items() if value]


@pytest.fixture
def inbox(database: sa.Engine) -> Inbox:
    return Inbox(database)


@pytest.fixture
def send(inbox: Inbox) -> Send:
    return sender(inbox.accept)


def sender(accept: webhook.Accept, limits: webhook.Limits | None = None) -> Send:
    app = FastAPI()
    old = SecretStr("the secret before this one")
    app.include_router(webhook.make_router(accept, [SECRET, old], limits))

    def go(
        body: bytes | AsyncIterator[bytes] = LABELED,
        headers: list[tuple[bytes, bytes]] | None = None,
        method: str = "POST",
        path: str = PATH,
    ) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
                known = headers if headers is not None else headers_for(bytes(body))
                return await client.request(method, path, content=body, headers=known)

        return asyncio.run(once())

    return go


def rows(database: sa.Engine) -> list[sa.RowMapping]:
    with database.connect() as connection:
        return list(connection.execute(sa.select(deliveries)).mappings())


def test_a_good_delivery_is_written_down_and_accepted(send: Send, database: sa.Engine) -> None:
    answer = send()
    assert (answer.status_code, answer.json()) == (202, {"message": "new"})
    [row] = rows(database)
    assert (row["delivery_id"], row["event"], row["action"]) == (GUID, "issues", "labeled")
    assert (row["installation_id"], row["repository_id"]) == (5, 1)
    assert row["body"] == LABELED
    assert row["state"] == "received"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=" + "0" * 64,
        sign(SECRET, LABELED).upper(),
        sign(SECRET, LABELED) + " x",
        sign(SECRET, LABELED).replace("sha256=", "sha1="),
        sign(SECRET, LABELED).replace("sha256=", "md5="),
        "sha256=\xfc\xff",
        "sha256=" + "7" * 10_000,
        sign(SECRET, LABELED + b"\n"),
    ],
)
def test_a_bad_signature_is_401_and_leaves_nothing(
    send: Send, database: sa.Engine, signature: str
) -> None:
    answer = send(headers=headers_for(LABELED, x_hub_signature_256=signature))
    assert answer.status_code == 401
    assert rows(database) == []


def test_only_a_sha1_signature_is_401(send: Send) -> None:
    old = headers_for(LABELED, x_hub_signature_256="", x_hub_signature="sha1=" + "0" * 40)
    assert send(headers=old).status_code == 401


def test_two_signatures_are_401(send: Send) -> None:
    twice = [*headers_for(LABELED), (b"x-hub-signature-256", sign(SECRET, LABELED).encode())]
    assert send(headers=twice).status_code == 401


def test_json_that_was_written_anew_on_the_way_is_401(send: Send) -> None:
    anew = json.dumps(json.loads(LABELED), indent=1).encode()
    assert send(anew, headers_for(LABELED)).status_code == 401


def test_the_previous_secret_is_accepted(send: Send) -> None:
    old = sign(SecretStr("the secret before this one"), LABELED)
    assert send(headers=headers_for(LABELED, x_hub_signature_256=old)).status_code == 202


BAD_BODIES = {
    "empty": b"",
    "no json": b"hello",
    "cut short": LABELED[:-5],
    "byte order mark": b"\xef\xbb\xbf" + LABELED,
    "bad utf-8": b'{"a": "\xff"}',
    "array": b"[]",
    "number": b"1",
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "deep array": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "lone surrogate": b'{"a": "\\ud800"}',
    "utf-16": "{}".encode("utf-16"),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_no_json_object_is_400_and_kept_as_a_hash(
    send: Send, database: sa.Engine, body: bytes
) -> None:
    assert send(body).status_code == 400
    [row] = rows(database)
    assert (row["state"], row["body"]) == ("rejected", b"")


@pytest.mark.parametrize(
    "body",
    [
        b'{"action": "labeled", "issue": {"title": "a\\u0000b"}}',
        b'{"action": "labeled", "action": "opened"}',
        b'{"action": 7, "installation": [], "repository": {"id": "x"}}',
        b'{"action": "a\\u0000", "installation": {"id": 99999999999999999999999}}',
        b'{"action": null, "installation": null, "repository": {"id": true}}',
        b"{}",
    ],
)
def test_odd_but_valid_json_is_stored_as_it_came(
    send: Send, database: sa.Engine, body: bytes
) -> None:
    assert send(body).status_code == 202
    [row] = rows(database)
    assert row["body"] == body
    assert row["installation_id"] is None


def test_an_announced_length_over_the_limit_is_413_before_the_body_is_read(inbox: Inbox) -> None:
    send = sender(inbox.accept, webhook.Limits(body_bytes=100))
    assert send(b"x" * 101).status_code == 413


def test_a_body_without_an_end_is_413_at_the_limit(inbox: Inbox) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield b"x" * 1000

    app = FastAPI()
    app.include_router(webhook.make_router(inbox.accept, [SECRET], webhook.Limits(body_bytes=5000)))
    status = asyncio.run(raw_request(app, endless()))
    assert (status, sent) == (413, 6000)


def test_a_body_that_comes_too_slowly_is_408(inbox: Inbox) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    app = FastAPI()
    app.include_router(webhook.make_router(inbox.accept, [SECRET], webhook.Limits(body_s=0.01)))
    assert asyncio.run(raw_request(app, slow())) == 408


async def raw_request(app: FastAPI, body: AsyncIterator[bytes]) -> int:
    """Drive the application without httpx, which reads request bodies to their end first."""
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": await anext(body), "more_body": True}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers_for(b""),
    }
    run: Callable[..., Awaitable[None]] = app
    await run(scope, receive, send)
    return statuses[0]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_another_content_type_is_415_with_advice(send: Send, kind: str) -> None:
    answer = send(headers=headers_for(LABELED, content_type=kind))
    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]


def test_a_charset_beside_the_content_type_is_fine(send: Send) -> None:
    kind = "application/json; charset=utf-8"
    assert send(headers=headers_for(LABELED, content_type=kind)).status_code == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_405(send: Send, method: str) -> None:
    assert send(method=method).status_code == 405


def test_another_path_is_404(send: Send) -> None:
    assert send(path="/webhooks/gitlab").status_code == 404


@pytest.mark.parametrize(
    "changed",
    [
        {"x_github_delivery": ""},
        {"x_github_delivery": "1234"},
        {"x_github_delivery": "7" * 5000},
        {"x_github_delivery": GUID + "\t"},
        {"x_github_delivery": GUID.replace("-", "\xad")},
        {"x_github_event": ""},
        {"x_github_event": "Issues; DROP TABLE"},
        {"x_github_event": "i" * 65},
    ],
)
def test_missing_or_odd_event_and_delivery_are_400(
    send: Send, database: sa.Engine, changed: dict[str, str]
) -> None:
    assert send(headers=headers_for(LABELED, **changed)).status_code == 400
    assert rows(database) == []


@pytest.mark.parametrize("event", ["star", "installation", "check_run", "an_event_of_next_year"])
def test_an_unknown_event_is_202_and_ignored(send: Send, database: sa.Engine, event: str) -> None:
    answer = send(headers=headers_for(LABELED, x_github_event=event))
    assert (answer.status_code, answer.json()) == (202, {"message": "ignored"})
    [row] = rows(database)
    assert (row["state"], row["body"]) == ("ignored", b"")


def test_ping_is_answered_and_not_stored(send: Send, database: sa.Engine) -> None:
    answer = send(b'{"zen": "x"}', headers_for(b'{"zen": "x"}', x_github_event="ping"))
    assert answer.status_code == 200
    assert rows(database) == []


def test_the_same_delivery_again_is_202_and_one_row(send: Send, database: sa.Engine) -> None:
    assert [send().json()["message"], send().json()["message"]] == ["new", "duplicate"]
    assert len(rows(database)) == 1


def test_a_guid_in_upper_case_is_the_same_delivery(send: Send, database: sa.Engine) -> None:
    send()
    send(headers=headers_for(LABELED, x_github_delivery=GUID.upper()))
    assert len(rows(database)) == 1


def test_the_same_guid_with_another_body_keeps_the_first(send: Send, database: sa.Engine) -> None:
    send()
    answer = send(b'{"other": 1}')
    assert (answer.status_code, answer.json()) == (202, {"message": "different"})
    assert rows(database)[0]["body"] == LABELED


def test_the_same_delivery_twenty_times_at_once_is_one_row(
    inbox: Inbox, database: sa.Engine
) -> None:
    send = sender(inbox.accept)
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(send().status_code)) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [202] * 20
    assert len(rows(database)) == 1


def test_a_burst_of_deliveries_is_stored_without_loss(inbox: Inbox, database: sa.Engine) -> None:
    app = FastAPI()
    app.include_router(webhook.make_router(inbox.accept, [SECRET]))

    async def burst() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            sent = [
                client.post(
                    PATH,
                    content=LABELED,
                    headers=headers_for(LABELED, x_github_delivery=str(uuid.uuid4())),
                )
                for _ in range(100)
            ]
            return [answer.status_code for answer in await asyncio.gather(*sent)]

    assert asyncio.run(burst()) == [202] * 100
    assert len(rows(database)) == 100


def test_a_database_that_is_down_is_503(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/empty.sqlite3")
    send = sender(Inbox(engine).accept)
    assert send().status_code == 503
    engine.dispose()


def test_a_database_that_is_locked_is_503_in_time(
    inbox: Inbox, database: sa.Engine, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "bot.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    send = sender(inbox.accept, webhook.Limits(store_s=0.05))
    try:
        assert send().status_code == 503
    finally:
        other.rollback()
        other.close()


def test_what_was_answered_503_is_accepted_when_it_comes_again(
    inbox: Inbox, database: sa.Engine
) -> None:
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE deliveries RENAME TO gone"))
    assert sender(inbox.accept)().status_code == 503
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE gone RENAME TO deliveries"))
    assert sender(inbox.accept)().json() == {"message": "new"}


def test_nothing_but_the_database_decides_the_answer() -> None:
    taken: list[Delivery] = []

    def accept(delivery: Delivery, state: DeliveryState, reason: str | None) -> Receipt:
        taken.append(delivery)
        return Receipt.NEW

    assert sender(accept)().status_code == 202
    assert [each.delivery_id for each in taken] == [GUID]
