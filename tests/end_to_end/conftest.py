from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from bot.demo.stack import running
from tests.end_to_end.stories import LIMIT_S, Story, write_script
from tests.openapi.fixtures import openapi_referee

__all__ = ["openapi_referee"]

SOON = {
    "EVOSCALE_ENGINE_LEASE_S": "2",
    "EVOSCALE_BOT_WAKE_S": "1",
    "EVOSCALE_BOT_WRITE_GAP_S": "0",
}
"""What else would be waiting: for leases of the dead, for lost messages, between two writes."""


@pytest.fixture
def play(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Story]]:
    """Start a stack whose model follows a script; everything ends with the test.

    Its parts are killed at once, so what they have in a temporary folder lies in the test's own.
    """
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with ExitStack() as open_things:

        def start(
            script: Sequence[Sequence[str]] = (),
            sandbox: str = "bubblewrap",
            limit_s: float = LIMIT_S,
            **env: str,
        ) -> Story:
            told = write_script(tmp_path / "script.json", script) if script else {}
            folder = tmp_path / "stack"
            stack = open_things.enter_context(
                running(folder, sandbox, {**SOON, **told, **env}, record=True, stop_s=0.0)
            )
            story = Story(stack, limit_s)
            open_things.callback(story.close)
            return story

        yield start
