"""Candidates a minute, sampled and tested: the search on the small project, no fix in reach."""

import tempfile
import time
from pathlib import Path

from engine.contract import Budget, NoPatch, Patched, Progress, Stage
from engine.settings import EngineSettings
from engine.solve import SolveOptions, solve
from sandbox.settings import SandboxSettings
from tests.engine import projects

UNREACHABLE = "```\n>>> from receipts import discounted\n>>> discounted(200, 10)\n'one hundred and eighty'\n```\n"


def measure() -> dict[str, float | int | str]:
    with tempfile.TemporaryDirectory() as folder:
        repo = projects.receipts(Path(folder) / "repo")
        issue = Path(folder) / "ISSUE.md"
        issue.write_text(f"{projects.ISSUE_TITLE}\n\n{UNREACHABLE}")
        options = SolveOptions(issue, repo, Budget(iterations=4, candidates_per_iteration=8))
        began: list[float] = []

        def hear(progress: Progress) -> None:
            if progress.stage is Stage.SEARCH and not began:
                began.append(time.perf_counter())

        outcome = solve(options, EngineSettings(), SandboxSettings(), hear)
        spent = time.perf_counter() - began[0]
    tried = outcome.candidates if isinstance(outcome, NoPatch) else 0
    if isinstance(outcome, Patched):
        tried = outcome.evidence.candidates
    return {"candidates": tried, "search_s": spent, "candidates_per_minute": 60 * tried / spent}
