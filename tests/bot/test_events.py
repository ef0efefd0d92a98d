"""Payloads of real GitHub, of fakehub and of nobody: read what we need, never crash."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.events import Payload, read
from bot.triggers import Ignored, Rules, decide
from tests.bot.payloads import FOLDER, Capture, captures

RULES = Rules(label="evoscale", app_id=7, bot_login="evoscale[bot]")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["action", "issue", "comment", "review", "pull_request", "label", "sender", "repository",
     "installation", "user", "body", "number", "id", "login", "head", "repo", "state"]
)  # fmt: skip


@pytest.mark.parametrize("path", captures(), ids=lambda path: path.stem)
def test_our_captures_are_read(path: Path) -> None:
    payload = read(path.read_bytes())
    assert isinstance(payload, Payload)
    assert payload.installation is not None


def test_captures_of_others_are_read(pytestconfig: pytest.Config) -> None:
    given_folder = pytestconfig.getoption("--payloads")
    if not given_folder:
        pytest.skip("no folder of captures; give one with --payloads")
    files = sorted(Path(given_folder).rglob("*.json"))
    assert files
    for path in files:
        payload = read(path.read_bytes())
        assert isinstance(payload, Payload), (path, payload)
        event = path.name.partition(".")[0]
        assert decide(event, payload, RULES), path


@pytest.mark.parametrize(
    "changed",
    [
        {"sender": None},
        {"sender": ...},
        {"issue__user": None},
        {"issue__body": None},
        {"issue__labels": []},
        {"issue__labels": ...},
        {"label__description": ..., "label__color": ..., "label__node_id": ...},
        {"installation": None},
        {"repository": None},
        {"an_event_of_next_year": {"deep": [1, 2]}},
        {"action": "an_action_of_next_year"},
    ],
)
def test_missing_and_null_fields_are_no_failure(changed: dict[str, object]) -> None:
    decide("issues", Capture("issues.labeled").payload(**changed), RULES)


@pytest.mark.parametrize(
    "changed",
    [
        {"pull_request__head__repo": None},
        {"pull_request__user": None},
        {"review__user": None},
        {"review__body": None},
        {"pull_request__base": None},
    ],
)
def test_deleted_forks_and_ghosts_are_no_failure(changed: dict[str, object]) -> None:
    payload = Capture("pull_request_review.submitted").payload(**changed)
    decide("pull_request_review", payload, RULES)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"issue": "text"}',
        b'{"sender": {"login": 3}}',
        b'{"a": "\\ud800"}',
        b'{"repository": {"id": 1}}',
    ],
)
def test_what_cannot_be_read_is_a_sentence(body: bytes) -> None:
    assert isinstance(read(body), str)


def test_a_null_character_in_a_text_is_read() -> None:
    payload = Capture("issues.labeled").payload(issue__title="a\x00b")
    assert payload.issue
    assert payload.issue.title == "a\x00b"


@given(st.dictionaries(FIELDS, JSON, max_size=6), st.sampled_from(["issues", "issue_comment"]))
def test_reading_and_deciding_never_raise(document: dict[str, object], event: str) -> None:
    payload = read(json.dumps(document).encode())
    if isinstance(payload, Payload):
        assert isinstance(decide(event, payload, RULES), Ignored)


def test_the_captures_name_no_machine() -> None:
    for path in FOLDER.glob("*.json"):
        assert "127.0.0.1" not in path.read_text(encoding="utf-8")
