"""The manifest: valid for GitHub, no permission and no event that nothing needs."""

import re
from pathlib import Path

import yaml

from bot.github.app import PERMISSIONS
from bot.webhook import KNOWN_EVENTS

PATH = Path(__file__).parents[2] / "app.yml"
MANIFEST = yaml.safe_load(PATH.read_text(encoding="utf-8"))
KNOWN_KEYS = {
    "name", "url", "hook_attributes", "redirect_url", "callback_urls", "setup_url", "description", "public",
    "default_events", "default_permissions", "request_oauth_on_install", "setup_on_update",
}  # fmt: skip


def test_the_manifest_has_only_keys_that_github_knows() -> None:
    assert set(MANIFEST) <= KNOWN_KEYS
    assert {"url", "hook_attributes"} <= set(MANIFEST)
    assert set(MANIFEST["hook_attributes"]) == {"url", "active"}
    assert MANIFEST["hook_attributes"]["url"].endswith("/webhooks/github")
    assert MANIFEST["public"] is False
    assert len(MANIFEST["name"]) <= 34


def test_the_permissions_are_those_that_tokens_are_asked_for() -> None:
    assert MANIFEST["default_permissions"] == PERMISSIONS


def test_the_events_are_those_that_the_receiver_reads() -> None:
    assert set(MANIFEST["default_events"]) == KNOWN_EVENTS


def test_every_permission_and_event_says_what_needs_it() -> None:
    text = PATH.read_text(encoding="utf-8")
    granted = list(MANIFEST["default_permissions"]) + MANIFEST["default_events"]
    for name in granted:
        assert re.search(rf"^\s+(- )?{name}\b.* # \S", text, re.MULTILINE), name
