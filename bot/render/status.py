"""Pure: the status comment in every state, and the help reply."""

from dataclasses import dataclass

from bot.events import COMMAND
from bot.render.markdown import code, cut, fold, number, prose
from engine.contract import Evidence, Failed, NoPatch, Patched, Stage
from engine.store import JobState, StoredJob

STAGES = ("queued", "snapshot", "environment", "baseline", "search", "final check", "publish")

LOG = "What the log says"
RECIPE = "The recipe that was tried; change it in .github/evoscale.yml"


@dataclass(frozen=True, slots=True)
class Status:
    """What the status comment tells: the job, a last word of the publisher, where its page is."""

    stored: StoredJob
    note: str = ""
    page_url: str = ""


def status_marker(issue_number: int) -> str:
    """The hidden text by which the status comment is found again."""
    return f"<!-- evoscale:status issue={issue_number} -->"


def help_marker(issue_number: int) -> str:
    """The hidden text by which the one help reply is found again."""
    return f"<!-- evoscale:help issue={issue_number} -->"


def final_marker(job_id: str) -> str:
    """The hidden text that says: the comment tells how this job ended."""
    return f"<!-- evoscale:final job={job_id} -->"


def status_comment(status: Status) -> str:
    """Render the one comment on an issue, for a job in any state."""
    stored = status.stored
    job = stored.job
    final = stored.state is JobState.DONE
    head = [status_marker(job.issue.number)] + ([final_marker(job.job_id)] if final else [])
    body = _final(status) if final else _running(stored)
    if final and stored.stopped_by:
        body = (body[0], _stopper(stored).strip(), *body[1:])
    parts = ["\n".join(head), *body, _footer(status)]
    return cut("\n\n".join(part for part in parts if part))


def refusal_comment(issue_number: int, reason: str) -> str:
    """Render the status comment of a job that was not started."""
    return f"{status_marker(issue_number)}\n\n### EvoScale: not started\n\n{reason}"


def help_comment(issue_number: int, label: str, problem: str = "") -> str:
    """Render the one help reply."""
    usage = "\n".join(
        (
            f"| `{COMMAND}` or `{COMMAND} solve` | search for a patch for this issue |",
            f"| `{COMMAND} retry` | search once more, after a search has ended |",
            f"| `{COMMAND} stop` | end the search that is running |",
            f"| `{COMMAND} status` | bring the status comment up to date |",
            f"| `{COMMAND} help` | show this table |",
        )
    )
    parts = (
        help_marker(issue_number),
        problem,
        f"Write a command at the start of a line of a new comment, or set the label {code(label)}.",
        f"| command | what it does |\n|---|---|\n{usage}",
        "`solve` and `retry` take `iterations=`, `candidates=` and `minutes=`, for example "
        f"`{COMMAND} solve iterations=6 candidates=8 minutes=40`. You need write access.",
    )
    return "\n\n".join(part for part in parts if part)


def _running(stored: StoredJob) -> tuple[str, ...]:
    stage = _stage(stored)
    line = " \u00b7 ".join(f"**{name}**" if name == stage else name for name in STAGES)
    if stored.stop_requested:
        asked = "The search ends after what is running now."
        return ("### EvoScale: stopping", f"{_stopper(stored)}{asked}")
    return (f"### EvoScale: {stage}", line, _news(stored))


def _stopper(stored: StoredJob) -> str:
    """Who ended the search, where somebody did."""
    return f"Stopped by {code(stored.stopped_by)}. " if stored.stopped_by else ""


def _stage(stored: StoredJob) -> str:
    if stored.state is JobState.FINISHED:
        return "publish"
    if stored.progress is not None and stored.progress.stage is not Stage.DONE:
        return stored.progress.stage.value.replace("_", " ")
    return "snapshot" if stored.state is JobState.READY else "queued"


def _news(stored: StoredJob) -> str:
    progress, budget = stored.progress, stored.job.budget
    if progress is None:
        return (
            f"Up to {number(budget.iterations, 'iteration')} of "
            f"{number(budget.candidates_per_iteration, 'candidate')}, "
            f"at most {budget.wall_clock_s / 60:.0f} minutes."
        )
    said = [prose(progress.note)] if progress.note else []
    if progress.iteration is not None:
        said.append(f"Iteration {progress.iteration + 1} of {budget.iterations}.")
    if progress.candidates:
        said.append(f"{number(progress.candidates, 'candidate')} so far.")
    if progress.best_reward is not None:
        said.append(f"Best reward {progress.best_reward:.2f}.")
    return " ".join(said)


def _final(status: Status) -> tuple[str, ...]:
    stored = status.stored
    match stored.outcome:
        case Patched():
            return _patched(status, stored.outcome)
        case NoPatch(
            reason=reason, iterations=iterations, candidates=candidates, distinct=distinct
        ):
            tried = (
                f"{number(candidates, 'candidate')} in {number(iterations, 'iteration')}, "
                f"{distinct} of them distinct."
            )
            return (
                "### EvoScale: stopped" if stored.stop_requested else "### EvoScale: no patch",
                prose(reason),
                tried if candidates else "",
                f"To search again: `{COMMAND} retry`, with more `iterations=` if you like; an "
                "example that fails, in the issue's text, helps most.",
            )
        case Failed(reason=reason, log=log, recipe=recipe):
            again = f"When that is done, comment `{COMMAND} retry`."
            told = (fold(LOG, log, ""), fold(RECIPE, recipe, "yaml"))
            return ("### EvoScale: could not find out", prose(reason), *told, again)
    return ("### EvoScale: ended", prose(status.note) or "The job ended without an outcome.")


def _patched(status: Status, outcome: Patched) -> tuple[str, ...]:
    evidence, url = outcome.evidence, status.stored.url
    tests = (
        f"{_failing(evidence)} "
        f"Of the tests that passed before, {evidence.pass_to_pass.passed} of "
        f"{evidence.pass_to_pass.of} still pass. "
        f"Tried: {number(evidence.candidates, 'candidate')} in "
        f"{number(evidence.iterations, 'iteration')}."
    )
    if url:
        word = "resolved" if evidence.resolved else "a patch, not proven to fix"
        return (f"### EvoScale: {word}", f"Pull request: {url}", tests, prose(status.note))
    return (
        "### EvoScale: a patch, but no pull request",
        prose(status.note),
        tests,
        fold("The patch", outcome.patch, "diff"),
    )


def _failing(evidence: Evidence) -> str:
    tally = evidence.fail_to_pass
    if not tally.of:
        return "No test shows the problem."
    return f"Of the tests that show the problem, {tally.passed} of {tally.of} pass now."


def _footer(status: Status) -> str:
    job = status.stored.job
    page = f" \u00b7 [everything that was tried]({status.page_url})" if status.page_url else ""
    return f"<sub>Asked for by {code(job.requested_by)} \u00b7 search {job.generation}{page}</sub>"
