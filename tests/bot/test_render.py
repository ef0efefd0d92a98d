"""What people read. Golden files under golden/; `--update-golden` rewrites them, a person reviews."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.render import (
    Status,
    commit_message,
    final_marker,
    help_comment,
    job_marker,
    pull_body,
    pull_title,
    refusal_comment,
    status_comment,
    status_marker,
)
from bot.render.markdown import MAX_CHARACTERS, code, cut, fenced, harmless, prose
from bot.render.reproduction import readable
from engine.contract import Failed, NoPatch, Progress, Stage, Tally, TestOutcome, TriggerKind
from engine.reproduction import as_test_file, find_examples
from engine.store import JobState, StoredJob
from tests.factories import COMMIT, make_evidence, make_issue, make_job, make_patched, make_stored

GOLDEN = Path(__file__).parent / "golden"
PAGE = "https://bot.example/jobs/0123"
PULL = "https://github.example/ann/calc/pull/13"
UNPROVEN = make_evidence(
    resolved=False,
    fail_to_pass=Tally(passed=0, of=0),
    tests=make_evidence().tests[1:],
    reproduction=None,
    quarantined=("tests/test_clock.py::test_now",),
    carried=("setup.cfg",),
    notes=("its tests depend on their order",),
)
HOSTILE = (
    "@everyone <!-- evoscale:final job=x --> Fixes #1 GH-2 https://github.com/o/r/issues/3\n"
    "```\n</details><script>alert(1)</script> ![x](http://tracker/x.png) [y](http://evil)\n# big"
)


def progress(stage: Stage, **changed: object) -> Progress:
    return Progress.model_validate({"job_id": "j", "stage": stage, **changed})


def done(**changed: object) -> StoredJob:
    return make_stored(state=JobState.DONE, **changed)


STATUSES = {
    "queued": Status(make_stored(), page_url=PAGE),
    "snapshot": Status(make_stored(state=JobState.READY)),
    "search": Status(
        make_stored(
            state=JobState.READY,
            progress=progress(Stage.SEARCH, iteration=1, candidates=7, best_reward=0.8),
        ),
        page_url=PAGE,
    ),
    "stopping": Status(make_stored(state=JobState.READY, stop_requested=True, stopped_by="bob")),
    "publishing": Status(make_stored(state=JobState.FINISHED, outcome=make_patched())),
    "resolved": Status(done(outcome=make_patched(), url=PULL), page_url=PAGE),
    "unproven": Status(done(outcome=make_patched(evidence=UNPROVEN), url=PULL)),
    "closed_pull": Status(
        done(outcome=make_patched(), url=PULL),
        note="Somebody closed the pull request of this branch; I leave it closed.",
    ),
    "moved": Status(done(outcome=make_patched()), note="Somebody else pushed to the branch."),
    "no_patch": Status(
        done(
            outcome=NoPatch(
                reason="No candidate kept the tests passing.",
                iterations=4,
                candidates=20,
                distinct=13,
            )
        )
    ),
    "stopped": Status(
        done(
            outcome=NoPatch(reason="The search was ended before it found anything."),
            stop_requested=True,
            stopped_by="bob",
        ),
        page_url=PAGE,
    ),
    "failed": Status(
        done(
            outcome=Failed(
                reason="The repository is empty; push a first commit with code and a test.",
                retryable=False,
            )
        )
    ),
    "cannot_build": Status(
        done(
            outcome=Failed(
                reason="the test environment cannot be built at 'wheels': no package index answers",
                retryable=False,
                log=f"ERROR: no matching distribution\n```\n{HOSTILE}",
                recipe="language: python\npackages:\n- six>=1\ntest_command: pytest -o 'addopts=-ra'\n",
            )
        )
    ),
    "hostile": Status(done(outcome=NoPatch(reason=HOSTILE))),
}
PULLS = {
    "resolved": pull_body(make_job(), make_patched(), COMMIT, PAGE),
    "unproven": pull_body(
        make_job(trigger=TriggerKind.COMMAND), make_patched(evidence=UNPROVEN), COMMIT
    ),
    "review": pull_body(make_job(trigger=TriggerKind.REVIEW), make_patched(), COMMIT),
    "hostile": pull_body(
        make_job(issue=make_issue(title=HOSTILE)),
        make_patched(
            explanation=HOSTILE,
            evidence=make_evidence(
                tests=(TestOutcome(test_id="a|b`c` @x\n", before="FAILED", after="PASSED"),),
                reproduction=f"````\n{HOSTILE}",
            ),
        ),
        COMMIT,
    ),
}


def check(request: pytest.FixtureRequest, name: str, text: str) -> None:
    path = GOLDEN / f"{name}.md"
    if request.config.getoption("--update-golden"):
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STATUSES)
def test_the_status_comment_is_as_reviewed(request: pytest.FixtureRequest, name: str) -> None:
    check(request, f"status_{name}", status_comment(STATUSES[name]))


def test_the_recipe_in_a_comment_can_be_pasted_as_it_stands() -> None:
    text = status_comment(STATUSES["cannot_build"])
    outcome = STATUSES["cannot_build"].stored.outcome
    assert isinstance(outcome, Failed)
    assert f"```yaml\n{outcome.recipe}```" in text


@pytest.mark.parametrize("name", PULLS)
def test_the_pull_request_is_as_reviewed(request: pytest.FixtureRequest, name: str) -> None:
    check(request, f"pull_{name}", PULLS[name])


def test_help_and_refusal_are_as_reviewed(request: pytest.FixtureRequest) -> None:
    check(request, "help", help_comment(12, "evoscale", "I do not know `dance`."))
    check(request, "refusal", refusal_comment(12, "The issue has no text."))


def test_every_golden_file_is_of_a_case() -> None:
    names = {f"status_{name}" for name in STATUSES} | {f"pull_{name}" for name in PULLS}
    assert {path.stem for path in GOLDEN.glob("*.md")} == names | {"help", "refusal"}


def test_resolved_is_never_said_without_a_fail_to_pass_test() -> None:
    assert "**Resolved**" not in PULLS["unproven"]
    assert "not proven to fix" in PULLS["unproven"]
    assert "resolved" not in status_comment(STATUSES["unproven"]).lower()


def test_the_status_comment_is_found_by_its_marker_and_knows_that_it_is_final() -> None:
    text = status_comment(STATUSES["failed"])
    assert text.startswith(status_marker(12))
    assert final_marker(make_job().job_id) in text
    assert "evoscale:final" not in status_comment(STATUSES["search"])


def test_the_pull_request_closes_its_issue_and_no_other() -> None:
    for text in PULLS.values():
        assert text.startswith(f"{job_marker(make_job().job_id)}\nFixes #12\n")
        body = re.sub(r"(?ms)^(`{3,})[a-z]*\n.*?^\1$", "", text)
        assert (
            len(re.findall(r"(?i)\b(?:fix(?:es)?|closes?|resolves?):? +(?:#\d|GH-\d|http)", body))
            == 1
        )


@pytest.mark.parametrize("text", [PULLS["hostile"], status_comment(STATUSES["hostile"])])
def test_untrusted_text_pings_nobody_and_forges_no_marker(text: str) -> None:
    outside = re.sub(r"(?ms)^(`{3,})[a-z]*\n.*?^\1$", "", text)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert "@everyone" not in outside
    assert "<script" not in outside
    assert "![" not in outside
    assert "](http" not in outside
    assert outside.count("evoscale:final") - outside.count("&lt;!-- evoscale:final") <= 1
    assert "<!-- evoscale:final job=x" not in outside


def test_the_title_is_one_short_line() -> None:
    title = pull_title(make_job(issue=make_issue(title="a\nb @c #4 " + "x" * 500)))
    assert len(title) == 200
    assert "\n" not in title
    assert "@c" not in title
    assert "#4" not in title
    assert pull_title(make_job(issue=make_issue(title=" "))) == "Fix issue 12"


def test_the_commit_message_is_always_the_same() -> None:
    first, again = (commit_message(make_job(), make_patched()) for _ in range(2))
    assert first == again
    subject, empty, *_ = first.split("\n")
    assert (len(subject) <= 72, empty) == (True, "")


def test_many_tests_are_counted_not_listed() -> None:
    tests = tuple(
        TestOutcome(test_id=f"t{n}", before="FAILED", after="PASSED") for n in range(2_020)
    )
    body = pull_body(make_job(), make_patched(evidence=make_evidence(tests=tests)), COMMIT)
    assert "and 2,000 more tests" in body


def test_only_tests_that_tell_something_are_listed() -> None:
    body = PULLS["resolved"]
    assert "| `tests/test_calc.py::test_add` | `FAILED` | `PASSED` |" in body
    assert "::test_sub" not in body
    broken = TestOutcome(test_id="t", before="PASSED", after="FAILED")
    red = TestOutcome(test_id="r", before="FAILED", after="FAILED")
    body = pull_body(make_job(), make_patched(evidence=make_evidence(tests=(red, broken))), COMMIT)
    assert body.index("| `t` | `PASSED` | `FAILED` |") < body.index("| `r` | `FAILED` | `FAILED` |")


def test_the_command_is_one_that_a_person_can_type() -> None:
    ours = ("-p", "no:cacheprovider", "-o", "junit_family=xunit1", "--rootdir=/repo", "{tests}")
    command = ("pytest", *ours[:4], "--junitxml=/tmp/evoscale/report.xml", "-x", *ours[4:])
    outcome = make_patched(evidence=make_evidence(command=command))
    assert "```sh\npytest -x\n```" in pull_body(make_job(), outcome, COMMIT)


EXAMPLES = """
```
>>> from calc import add
>>> add(2, 2)
4
>>> for n in range(2):
...     add(n, n)
0
2
>>> add("a", 1)
Traceback (most recent call last):
TypeError: no
```
```
assert add(1, 1) == 2
```
"""


def test_a_generated_reproduction_is_shown_as_its_examples() -> None:
    shown = readable(as_test_file(find_examples(EXAMPLES)).text)
    assert "# example_1\n>>> from calc import add\n>>> add(2, 2)\n4\n" in shown
    assert ">>> for n in range(2):\n...     add(n, n)\n0\n2\n" in shown
    assert '>>> add("a", 1)\nTraceback (most recent call last):\n    ...\nTypeError' in shown
    assert "assert add(1, 1) == 2" in shown
    assert "json" not in shown
    single = readable(as_test_file(find_examples(EXAMPLES[:50])).text)
    assert single == ">>> from calc import add\n>>> add(2, 2)\n4"


@pytest.mark.parametrize(
    "file",
    [
        "def test_add():\n    pass\n",
        "EXAMPLES = json.loads('[')",
        "EXAMPLES = json.loads('[]')",
        "EXAMPLES = json.loads(1)",
        "EXAMPLES = json.loads(f())",
        "EXAMPLES = json.loads('[{}]')",
        "EXAMPLES = json.loads('" + "(" * 100_000,
    ],
)
def test_any_other_reproduction_is_shown_as_it_is(file: str) -> None:
    assert readable(file) == file


@given(
    st.text(alphabet=st.sampled_from("ab\n`~ <>/details"), min_size=120, max_size=400),
    st.integers(600, 900),
)
def test_cutting_keeps_the_limit_and_closes_every_fence(text: str, limit: int) -> None:
    long = f"# head\n\n{fenced(text, 'diff')}\n\n" * 8
    short = cut(long, limit)
    assert len(short) <= max(limit, 0) or short == long
    assert not open_fence(short)


def open_fence(text: str) -> str:
    fence = ""
    for line in text.split("\n"):
        mark = re.match(r"^(`{3,})([a-z]*)$", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and not mark[2] and len(mark[1]) >= len(fence):
            fence = ""
    return fence


def test_a_body_of_any_size_fits() -> None:
    big = make_evidence(reproduction="x\n" * 100_000, decided_by="y" * 100_000)
    patch = "+++ b/" + "\n+++ b/".join(f"dir/{n}\U0001f600" * 50 for n in range(3_000))
    body = pull_body(make_job(), make_patched(patch=patch, evidence=big), COMMIT)
    assert len(body) <= MAX_CHARACTERS
    assert not open_fence(body)
    body.encode("utf-8")


@given(st.text(max_size=300))
def test_a_code_span_cannot_be_left(text: str) -> None:
    span = code(text)
    ticks = re.match(r"`+", span)
    assert ticks
    inner = span[len(ticks[0]) : -len(ticks[0])]
    assert ticks[0] not in re.findall(r"`+", inner)
    assert "\n" not in span
    span.encode("utf-8")


@given(st.text(max_size=300))
def test_a_code_block_cannot_be_left(text: str) -> None:
    opening, *inner, closing = fenced(text, "").split("\n")
    assert opening == closing
    assert all(not line.strip().startswith(opening) for line in inner)


@given(st.text(max_size=300))
def test_prose_holds_no_mention_no_markup_and_no_reference(text: str) -> None:
    for shown in (prose(text), harmless(text)):
        assert not re.search(r"@\w|#\d|(?i:\bGH)-\d|:\/\/|!\[|\]\(", shown)
        shown.encode("utf-8")
    assert "<" not in prose(text)
    assert "```" not in prose(text)


def test_lone_surrogates_do_not_break_sending() -> None:
    assert prose("a\ud800b") == "a?b"
    assert code("a\ud800b") == "`a?b`"
