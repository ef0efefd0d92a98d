"""`evoscale bench realbugs`: every real bug of the list, judged by a check that no search sees."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.demo import cases
from bot.demo.cases import Case, CaseUnavailableError
from engine.contract import Budget, Document, Patched, Progress, RepairOutcome
from engine.errors import BadInputError, EngineError
from engine.settings import EngineSettings
from engine.solve import SolveOptions, solve
from sandbox.backends import open_sandbox
from sandbox.contract import Patch
from sandbox.errors import SandboxError
from sandbox.images import prepare
from sandbox.runner import run_script
from sandbox.settings import SandboxSettings

NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one bug.

    `checked` is the hidden check's verdict on the patch, `same` says that the patch makes the very
    change that the maintainers made.
    """

    name: str
    release: str
    licence: str
    change: str
    status: str
    checked: bool
    same: bool
    candidates: int
    iterations: int
    seconds: float
    note: str

    @property
    def solved(self) -> bool:
        """Tests green and the hidden check too."""
        return self.status == "resolved" and self.checked


class Results(Document):
    """What is written down after each bug, and read again where a run goes on.

    `command` repeats it; `of` counts the bugs of this file.
    """

    solved: int = 0
    of: int = 0
    command: str
    bugs: tuple[Result, ...] = ()

    def plus(self, result: Result) -> "Results":
        """With one more bug, in the place of what was said of it before."""
        bugs = (*(each for each in self.bugs if each.name != result.name), result)
        solved = sum(each.solved for each in bugs)
        return Results(solved=solved, of=len(bugs), command=self.command, bugs=bugs)

    def has(self, name: str) -> bool:
        """Whether a bug was tried; one that could not be is tried again."""
        return any(each.name == name and each.status != NOT_TRIED for each in self.bugs)


def read_results(path: Path | None, command: str) -> Results:
    """What an earlier run left in `path`; nothing where there is no such file.

    Raises:
        BadInputError: the file is none of ours, or was made by another command.
    """
    if path is None or not path.exists():
        return Results(command=command)
    try:
        found = Results.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} holds no results of real bugs; name another file") from error
    if found.command != command:
        raise BadInputError(f"{path} was made by `{found.command}`; repeat that, or name another")
    return found


def run_all(
    names: Sequence[str],
    budget: Budget,
    sandbox: SandboxSettings,
    *,
    known: Results,
    say: Callable[[Result, Results], None],
) -> Results:
    """Try the named bugs, or all, but those that are known; `say` hears of each and of all so far.

    One that cannot be tried says why and does not stop the rest.
    """
    results = known
    for case in cases.load():
        if (not names or case.name in names) and not known.has(case.name):
            result = _try(case, budget, sandbox)
            results = results.plus(result)
            say(result, results)
    return results


def _try(case: Case, budget: Budget, sandbox: SandboxSettings) -> Result:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evoscale-bug-") as name:
        folder = Path(name)
        try:
            project = cases.project_of(case, folder)
            outcome = _solve(case, project.root, folder / "ISSUE.md", budget, sandbox)
            checked = isinstance(outcome, Patched) and _check(case, project.root, outcome, sandbox)
        except (CaseUnavailableError, EngineError, SandboxError) as error:
            return _result(case, None, began, checked=False, note=str(error))
        note = "" if isinstance(outcome, Patched) else outcome.reason
        return _result(case, outcome, began, checked=checked, note=note)


def _solve(
    case: Case, root: Path, issue: Path, budget: Budget, sandbox: SandboxSettings
) -> RepairOutcome:
    issue.write_text(f"# {case.title}\n\n{case.body}", encoding="utf-8")
    return solve(SolveOptions(issue, root, budget), EngineSettings(), sandbox, _quiet)


def _quiet(_progress: Progress) -> None:
    """The table is enough."""


def _check(case: Case, root: Path, outcome: Patched, settings: SandboxSettings) -> bool:
    """Run the hidden check on the patched project, in a box of its own."""
    sandbox = open_sandbox(settings.kind, settings)
    environment = prepare(sandbox, root, test_command=None, settings=settings)
    source = f"import sys\nsys.path.insert(0, '.')\n{case.check}"
    patch = Patch(outcome.patch)
    result = run_script(sandbox, environment.image, source, patch=patch, limits=settings.limits())
    return result.exit_code == 0


def _result(
    case: Case, outcome: RepairOutcome | None, began: float, *, checked: bool, note: str
) -> Result:
    evidence = outcome.evidence if isinstance(outcome, Patched) else None
    patch = outcome.patch if isinstance(outcome, Patched) else ""
    word: str = outcome.status if outcome else NOT_TRIED
    if evidence is not None:
        word = "resolved" if evidence.resolved else "no_regression"
    return Result(
        name=case.name,
        release=f"{case.project} {case.version}",
        licence=case.licence,
        change=case.change,
        status=word,
        checked=checked,
        same=bool(case.after) and f"+{case.after}\n" in patch,
        candidates=evidence.candidates if evidence else getattr(outcome, "candidates", 0),
        iterations=evidence.iterations if evidence else getattr(outcome, "iterations", 0),
        seconds=round(time.monotonic() - began, 1),
        note=note,
    )


def as_markdown(found: Results) -> str:
    """The table of `docs/results.md`."""
    results = found.bugs
    lines = [
        "# Real bugs\n",
        "Bugs of published releases that the next release fixed by one changed line, told in our",
        "own words; `bot/demo/cases.toml` pins each release by digest. The model is the embedded",
        "one. The goal of a search is the report's own example and the project's own tests; a",
        "hidden check, which no search sees, is the verdict. Every bug that was tried is listed.\n",
        f"**{found.solved} of {found.of} solved.** The command: `{found.command}`\n",
        "| bug | release | change | outcome | hidden check | their line | candidates | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.name} | {r.release} | {r.change} | {r.status} | {_word(r)} | "
        f"{'yes' if r.same else ''} | {r.candidates} | {r.seconds:.0f} |"
        for r in results
    ]
    unlucky = [r for r in results if r.note]
    lines += ["\n## Why not\n", *(f"- **{r.name}**: {_first(r.note)}" for r in unlucky)]
    return "\n".join(lines) + "\n"


def _word(result: Result) -> str:
    if result.status not in {"resolved", "no_regression"}:
        return ""
    return "passes" if result.checked else "**fails**"


def _first(note: str) -> str:
    return note.strip().splitlines()[0][:300]
