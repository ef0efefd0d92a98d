"""What `evoscale sandbox check` says of hostile candidates: what got through, by which way."""

from dataclasses import replace

import pytest

from sandbox.conformance import hostile
from sandbox.conformance.hostile.attack import Attack, honest, lying
from sandbox.contract import Sandbox
from sandbox.guarantees import Finding, withstand
from tests.sandbox.conftest import opened, settings


@pytest.fixture(scope="module")
def bubblewrap() -> Sandbox:
    return opened("bubblewrap")


def found(sandbox: Sandbox, attack: Attack, monkeypatch: pytest.MonkeyPatch) -> Finding:
    monkeypatch.setattr(hostile, "WAY_OUT", (attack,))
    monkeypatch.setattr(hostile, "STATE", ())
    return {each.name: each for each in withstand(sandbox, settings())}[f"contained: {attack.name}"]


def test_what_is_contained_holds(bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = Attack("files", honest("open('left', 'w')"), fix=True)
    assert found(bubblewrap, attack, monkeypatch).holds


@pytest.mark.parametrize(
    ("attack", "problem"),
    [
        (Attack("says so", lying("raise RuntimeError('got ' + 'through')")), "got through"),
        (Attack("passes", honest("")), "resolved=True"),
        (Attack("fails", lying(""), fix=True), "resolved=False"),
        (Attack("unnamed", lying(""), said="ran out of time"), "not said to be"),
    ],
)
def test_what_got_through_is_said(
    attack: Attack, problem: str, bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = found(bubblewrap, attack, monkeypatch)
    assert not finding.optional
    assert problem in (finding.problem or "")


def test_a_goal_that_is_reached_is_named(
    bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaching = hostile.REACHES.patch.replace("+reached = []", "+reached = ['a name', 'a mount']")
    monkeypatch.setattr(Attack, "patch", reaching)
    monkeypatch.setattr(hostile, "WAY_OUT", ())
    monkeypatch.setattr(hostile, "STATE", ())
    (finding,) = withstand(bubblewrap, settings())
    assert finding.problem == "reached: a name, a mount"


def test_a_sandbox_that_fails_does_not_hold(
    bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = hostile.prepare(bubblewrap, settings())
    gone = hostile.Target(bubblewrap, replace(target.suite, image="no-such-image"))
    monkeypatch.setattr(hostile, "prepare", lambda *_: gone)
    assert not any(each.holds for each in withstand(bubblewrap, settings()))
