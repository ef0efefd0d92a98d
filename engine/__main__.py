"""`python -m engine ISSUE.md REPO`: the whole search, no GitHub, no queue, no accelerator."""

import argparse
import sys
import time
from pathlib import Path

from engine.contract import Progress
from engine.errors import EngineError
from engine.settings import EngineSettings
from engine.solve import SolveOptions, solution, solve
from sandbox.errors import SandboxError
from sandbox.settings import SandboxSettings


def main() -> int:
    """Solve one issue and print the result as JSON; `evoscale solve` is the comfortable form."""
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.add_argument("issue", type=Path, help="a Markdown file, the title in its first line")
    parser.add_argument("repo", type=Path, help="the checkout to repair; it is not changed")
    given = parser.parse_args()
    began = time.monotonic()
    settings = EngineSettings()
    options = SolveOptions(issue=given.issue, repo=given.repo, seed=settings.seed)
    try:
        outcome = solve(options, settings, SandboxSettings(), _print_progress)
    except (EngineError, SandboxError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    spent = time.monotonic() - began
    result = solution(outcome, settings.model_name or settings.model, options.seed, spent)
    sys.stdout.write(result.model_dump_json() + "\n")
    return 0 if result.patch else 3


def _print_progress(progress: Progress) -> None:
    sys.stderr.write(f"{progress.stage}: {progress.candidates} candidates {progress.note}\n")


if __name__ == "__main__":
    sys.exit(main())
