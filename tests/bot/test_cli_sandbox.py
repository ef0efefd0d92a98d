import json

import pytest
from typer.testing import CliRunner

from bot.cli import app
from sandbox.conformance import PROBES, hostile
from tests.sandbox.conftest import opened

KEPT = ("the network is closed", "memory is limited", "processes are limited")
PLANTED = "contained: files in shared places"


@pytest.fixture(autouse=True)
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones that must always hold: all of them take their time in `tests/sandbox`."""
    opened("bubblewrap")
    for name in [name for name in PROBES if name not in KEPT]:
        monkeypatch.delitem(PROBES, name)
    one = {PLANTED: hostile.trials()[PLANTED]}
    monkeypatch.setattr(hostile, "trials", lambda **_: one)


def test_check_says_what_holds_here() -> None:
    ran = CliRunner().invoke(app, ["sandbox", "check", "--sandbox", "bubblewrap", "--json"])
    assert ran.exit_code == 0
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["isolation"] in ("bubblewrap", "bubblewrap/user")
    assert told["refused"] is None
    assert {check["name"] for check in told["checks"]} == {
        *KEPT,
        PLANTED,
        "files are limited",
        "boxes are fresh",
    }


def test_check_ends_with_1_where_the_network_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBES, KEPT[0], lambda _: "reached 169.254.169.254")
    ran = CliRunner().invoke(app, ["sandbox", "check", "--sandbox", "bubblewrap"])
    assert ran.exit_code == 1
    assert "broken" in ran.stdout


def test_check_ends_with_1_where_what_the_operator_demands_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVOSCALE_SANDBOX_REQUIRE", "gvisor")
    ran = CliRunner().invoke(app, ["sandbox", "check", "--sandbox", "bubblewrap"])
    assert ran.exit_code == 1
    assert "refused" in ran.stdout
