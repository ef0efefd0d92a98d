"""Box start-up: open a fresh box, run `true`, close it; against the bare command."""

import subprocess
import time
from collections.abc import Callable
from statistics import median

from sandbox.backends import open_sandbox
from sandbox.errors import SandboxError
from sandbox.images import bare
from sandbox.settings import SandboxSettings

ROUNDS = 20


def measure() -> dict[str, float | int | str]:
    figures: dict[str, float | int | str] = {"rounds": ROUNDS}
    figures["bare_ms"] = _median_ms(lambda: subprocess.run(["true"], check=True))
    for kind in ("docker", "bubblewrap"):
        settings = SandboxSettings(kind=kind)
        try:
            sandbox = open_sandbox(kind, settings)
            image = bare(sandbox)
        except SandboxError as error:
            figures[f"{kind}_ms"] = f"not here: {error}"
            continue

        def once() -> None:
            with sandbox.open(image, settings.limits()) as box:  # noqa: B023 - called in this round
                box.exec(["true"])

        figures[f"{kind}_ms"] = _median_ms(once)
    return figures


def _median_ms(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent)
