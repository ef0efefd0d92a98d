"""Pure: the pull request's title, commit message and text."""

import re
import shlex

from bot.render.markdown import MAX_TITLE, cell, code, cut, fenced, fold, harmless, number, prose
from bot.render.reproduction import readable
from engine.contract import Evidence, Patched, RepairJob, Tally, TestOutcome, TriggerKind

MAX_ROWS = 20
MAX_SUBJECT = 72

# What our box needs of a test command and nobody else does.
_OF_THE_BOX = re.compile(
    r" (?:-p no:cacheprovider|-p no:randomly|-o junit_family=\S+|\S*/tmp/evoscale/\S*"
    r"|--rootdir=/repo|--color=no|'\{tests\}')(?= |$)"
)
_DIFF_FILE = re.compile(r"^\+\+\+ (?:b/)?(.+?)\t?$", re.MULTILINE)


def job_marker(job_id: str) -> str:
    """The hidden text that ties a pull request to its job."""
    return f"<!-- evoscale:job={job_id} -->"


def pull_title(job: RepairJob) -> str:
    """Render the title of a pull request: plain text, one line."""
    title = " ".join(harmless(job.issue.title).split())
    return (f"Fix: {title}" if title else f"Fix issue {job.issue.number}")[:MAX_TITLE]


def commit_message(job: RepairJob, outcome: Patched) -> str:
    """Render the commit's message; the same job always gives the same."""
    proof = "its tests pass" if outcome.evidence.resolved else "no regression, not proven to fix"
    subject = pull_title(job)[:MAX_SUBJECT].rstrip()
    trailer = f"Evoscale-Job: {job.job_id}"
    return f"{subject}\n\n{proof.capitalize()}; issue {job.issue.number}.\n\n{trailer}\n"


def pull_body(job: RepairJob, outcome: Patched, base_commit: str, page_url: str = "") -> str:
    """Render a pull request's text: what was wrong, what changed, how it was proved and found."""
    evidence = outcome.evidence
    parts = (
        f"{job_marker(job.job_id)}\nFixes #{job.issue.number}",
        f"**What was wrong.** {_wrong(job, evidence)}",
        f"**What changed.** {_changed(outcome)}",
        f"### Evidence\n\n{_verdict(evidence)}",
        _counts(evidence),
        _table(evidence.tests),
        _quarantined(evidence),
        _caveats(evidence),
        fold("The issue's examples, run as tests", readable(evidence.reproduction or ""), "python"),
        f"### How it was found\n\n{_search(evidence)}",
        f"### Reproduce it\n\n{_reproduce(job, evidence, base_commit)}",
        f"Everything that was tried: {page_url}" if page_url else "",
        f"A review with what to change starts another search from this branch.{_asked(job)}",
    )
    return cut("\n\n".join(part for part in parts if part))


def _wrong(job: RepairJob, evidence: Evidence) -> str:
    failing = [test for test in evidence.tests if _was_fixed(test)]
    title = prose(job.issue.title) or "The issue has no title"
    if not failing:
        return f"{title}. No test failed because of it before."
    shown = ", ".join(code(test.test_id) for test in failing[:3])
    return f"{title}. Before, {number(len(failing), 'test')} failed: {shown}."


def _changed(outcome: Patched) -> str:
    files = _DIFF_FILE.findall(outcome.patch)
    shown = ", ".join(code(name) for name in files[:MAX_ROWS] if name != "/dev/null")
    lines = outcome.patch.splitlines()
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    return f"{prose(outcome.explanation)} {shown} (+{added} \u2212{removed} lines)".strip()


def _verdict(evidence: Evidence) -> str:
    if evidence.resolved:
        return (
            "**Resolved**: every test that shows the problem failed before and passes now, "
            "and nothing that passed before fails."
        )
    if evidence.no_regression:
        return (
            "**No regression, not proven to fix**: everything that passed before still passes, but "
            "no test shows that the problem is gone. Please check that yourself."
        )
    return "**Unproven**: not all tests that passed before pass now."


def _counts(evidence: Evidence) -> str:
    return (
        "| tests | before | now |\n|---|---|---|\n"
        f"{_tally('that show the problem (FAIL_TO_PASS)', 'all fail', evidence.fail_to_pass)}\n"
        f"{_tally('that passed before (PASS_TO_PASS)', 'all pass', evidence.pass_to_pass)}"
    )


def _tally(name: str, before: str, tally: Tally) -> str:
    if not tally.of:
        return f"| {name} | there is none | \u2013 |"
    return f"| {name} | {before} | **{tally.passed} of {tally.of} pass** |"


def _table(tests: tuple[TestOutcome, ...]) -> str:
    """Each test that does not simply pass as before; the others are counted above."""
    told = [test for test in tests if not test.before == test.after == "PASSED"]
    if not told:
        return ""
    ordered = sorted(told, key=lambda test: (test.before == test.after, test.test_id))
    rows = [
        f"| {code(t.test_id)} | {code(t.before)} | {code(t.after)} |" for t in ordered[:MAX_ROWS]
    ]
    rest = len(told) - MAX_ROWS
    more = f"\n\n\u2026 and {number(rest, 'more test')}." if rest > 0 else ""
    return "| test | before | now |\n|---|---|---|\n" + "\n".join(rows) + more


def _quarantined(evidence: Evidence) -> str:
    if not evidence.quarantined:
        return ""
    shown = ", ".join(code(name) for name in evidence.quarantined[:MAX_ROWS])
    count = number(len(evidence.quarantined), "test")
    return f"Left out, because they fail or flicker without any change: {count} ({shown})."


def _caveats(evidence: Evidence) -> str:
    """What a reader has to know about how far the tests reach."""
    said: list[str] = []
    if evidence.carried:
        files = ", ".join(code(path) for path in evidence.carried[:MAX_ROWS])
        said.append(
            f"**Not judged**: {files}. The issue names this, so it is part of the patch, but the "
            "tests ran without the change. Please check it yourself."
        )
    if evidence.notes:
        notes = "; ".join(prose(note) for note in evidence.notes)
        said.append(f"About the suite: {notes}.")
    return "\n\n".join(said)


def _search(evidence: Evidence) -> str:
    candidates = number(evidence.candidates, "candidate")
    tried = (
        f"{candidates} in {number(evidence.iterations, 'iteration')}, "
        f"{evidence.distinct} of them distinct, {evidence.passing} passing"
    )
    rows = (
        ("tried", tried),
        ("chosen by", prose(evidence.decided_by)),
        ("tests ran in", code(evidence.isolation)),
        ("blind trial of FAIL_TO_PASS", prose(evidence.trial) or "none"),
        *((("tests of", code(evidence.project)),) if evidence.project else ()),
        *((("it also touches", prose("; ".join(evidence.beside))),) if evidence.beside else ()),
        ("image", code(evidence.image)),
        ("model", code(evidence.model)),
        ("seed", str(evidence.seed)),
        ("cost", f"{evidence.tokens:,} tokens, {evidence.wall_s:,.0f} s"),
    )
    head, *rest = (f"| {name} | {cell(value)} |" for name, value in rows)
    return "\n".join((head, "|---|---|", *rest))


def _reproduce(job: RepairJob, evidence: Evidence, base_commit: str) -> str:
    budget = job.budget
    issue = (
        f"gh issue view {job.issue.number} --json title,body "
        "--jq '.title + \"\\n\\n\" + .body' > ISSUE.md"
    )
    solve = (
        f"evoscale solve ISSUE.md --repo . --model {shlex.quote(evidence.model)} "
        f"--seed {evidence.seed} --iterations {budget.iterations} "
        f"--candidates {budget.candidates_per_iteration} --minutes {budget.wall_clock_s / 60:.0f}"
    )
    search = fenced("\n".join((f"git checkout {base_commit}", issue, solve)), "sh")
    suite = _OF_THE_BOX.sub("", shlex.join(evidence.command))
    tests = fenced(suite, "sh") if suite else ""
    return f"The search, in a clone of this repository:\n\n{search}" + (
        f"\n\nThe suite, on this branch:\n\n{tests}" if tests else ""
    )


def _asked(job: RepairJob) -> str:
    how = {
        TriggerKind.LABEL: "set the label",
        TriggerKind.COMMAND: "wrote the command",
        TriggerKind.REVIEW: "wrote the review",
    }
    return f" {code(job.requested_by)} {how[job.trigger]}."


def _was_fixed(test: TestOutcome) -> bool:
    return test.before in ("FAILED", "ERROR") and test.after == "PASSED"
