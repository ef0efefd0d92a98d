from collections.abc import Callable
from dataclasses import replace

import pytest

from sandbox.conformance import (
    OPTIONAL,
    SMALL,
    Bench,
    checks,
    makes_too_many_files,
    run_check,
)
from sandbox.contract import Limits, Sandbox
from sandbox.errors import SandboxUnavailableError


@pytest.mark.parametrize("name", checks())
def test_a_box_keeps_its_promises(name: str, sandbox: Sandbox, bare: str) -> None:
    problem = run_check(checks()[name], Bench(sandbox, bare))
    if problem is not None and name in OPTIONAL.get(sandbox.isolation, ()):
        pytest.skip(f"not on this machine: {problem}")
    assert problem is None


def test_a_sandbox_that_fails_does_not_hold(sandbox: Sandbox) -> None:
    any_check: Callable[[Bench], str | None] = checks()["the network is closed"]
    problem = run_check(any_check, Bench(sandbox, "no-such-image"))
    assert problem is not None
    assert "no-such-image" in problem


def test_an_image_that_is_not_there_cannot_be_opened(sandbox: Sandbox) -> None:
    assert not sandbox.has_image("no-such-image")
    with pytest.raises(SandboxUnavailableError), sandbox.open("no-such-image", Limits()):
        pass


@pytest.mark.parametrize(
    ("wall_clock_s", "files", "found"),
    [(0.01, 10**6, "/tmp: nothing is known, its time ran out"), (30.0, 10, "/tmp: made 9")],
)
def test_files_are_not_said_to_be_limited_where_no_limit_was_reached(
    sandbox: Sandbox, bare: str, wall_clock_s: float, files: int, found: str
) -> None:
    with sandbox.open(bare, replace(SMALL, wall_clock_s=wall_clock_s)) as box:
        assert makes_too_many_files("/tmp", files, box) == found
