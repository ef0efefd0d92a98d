"""What `evoscale sandbox check` says of hostile candidates: what got through, by which way."""

from dataclasses import replace

import pytest

from sandbox.conformance import hostile
from sandbox.conformance.hostile.attack import HONEST, Attack, BadPatch, honest, lying
from sandbox.conformance.hostile.walls import USES_UP
from sandbox.contract import Sandbox
from sandbox.guarantees import Finding, safe_to_bomb, withstand
from tests.sandbox.conftest import opened, settings


@pytest.fixture(scope="module")
def bubblewrap() -> Sandbox:
    return opened("bubblewrap")


@pytest.fixture(autouse=True)
def no_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in ("WAY_OUT", "STATE", "FAKES", "BAD_PATCHES"):
        monkeypatch.setattr(hostile, table, ())


def found(
    sandbox: Sandbox, attack: Attack, monkeypatch: pytest.MonkeyPatch, table: str = "WAY_OUT"
) -> Finding:
    monkeypatch.setattr(hostile, table, (attack,))
    findings = {each.name: each for each in withstand(sandbox, settings(), bombs=False)}
    return findings[f"{'seen through' if table == 'FAKES' else 'contained'}: {attack.name}"]


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
    finding, _ = withstand(bubblewrap, settings(), bombs=False)
    assert finding.problem == "reached: a name, a mount"


def test_a_sandbox_that_fails_does_not_hold(
    bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = hostile.prepare(bubblewrap, settings())
    gone = hostile.Target(bubblewrap, replace(target.suite, image="no-such-image"))
    monkeypatch.setattr(hostile, "prepare", lambda *_: gone)
    finding, _ = withstand(bubblewrap, settings(), bombs=False)
    assert not finding.holds


@pytest.mark.parametrize(
    ("attack", "problem"),
    [
        (Attack("a fix", HONEST), "it was believed"),
        (Attack("unnamed", lying(""), said="the results are made up"), "it was believed"),
        (Attack("breaks", "def add(a, b):\n    return 7\n", said="made up"), "not said to be"),
    ],
)
def test_a_fake_that_is_believed_or_not_named_is_said(
    attack: Attack, problem: str, bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert problem in (found(bubblewrap, attack, monkeypatch, "FAKES").problem or "")


def test_a_bad_patch_that_is_taken_is_said(
    bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = BadPatch("a fix", Attack("a fix", HONEST).patch, "leads out")
    monkeypatch.setattr(hostile, "BAD_PATCHES", (good,))
    *_, finding = withstand(bubblewrap, settings(), bombs=False)
    assert (finding.name, finding.problem) == ("1 bad patches are refused", "a fix: taken")


def test_bombs_are_kept_back_where_they_would_harm() -> None:
    kept = {"the network is closed", "memory is limited", "processes are limited"}
    found = [Finding(name, None, optional=False) for name in kept]
    assert safe_to_bomb(found)
    assert not safe_to_bomb(found[1:])
    assert not safe_to_bomb([replace(found[0], problem="reached"), *found[1:]])
    assert len(hostile.trials(bombs=True)) - len(hostile.trials(bombs=False)) == len(USES_UP)
