import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.triggers import (
    Ask,
    Command,
    Ignored,
    Rules,
    StartRepair,
    StartReview,
    Verb,
    branch_of,
    decide,
    find_command,
    issue_of_branch,
    visible,
)
from engine.contract import Budget
from tests.bot.payloads import Capture

RULES = Rules(
    label="evoscale",
    app_id=7,
    bot_login="evoscale[bot]",
    usual=Budget(iterations=4, candidates_per_iteration=5, wall_clock_s=1800),
    most=Budget(iterations=10, candidates_per_iteration=20, wall_clock_s=3600),
)
LABELED = Capture("issues.labeled")
COMMENT = Capture("issue_comment.created")
REVIEW = Capture("pull_request_review.submitted")
LINE_COMMENT = Capture("pull_request_review_comment.created")
ANN = {"login": "ann", "id": 3, "type": "User"}
BOT = {"login": "evoscale[bot]", "id": 4, "type": "Bot"}


def commented(body: str, **changed: object) -> object:
    human = {"sender": ANN, "comment__user": ANN, "comment__performed_via_github_app": None}
    payload = COMMENT.payload(**{**human, "comment__body": body, **changed})
    return decide("issue_comment", payload, RULES)


def command(text: str) -> Command | None:
    return find_command(text, RULES)


def test_the_label_starts_a_repair() -> None:
    decision = decide("issues", LABELED.payload(), RULES)
    assert isinstance(decision, StartRepair)
    assert decision.labelled
    assert decision.target.by == LABELED.document["sender"]["login"]
    assert decision.budget == RULES.usual


@pytest.mark.parametrize(
    "changed",
    [
        {"label__name": "bug"},
        {"label__name": "evoscale-later"},
        {"label": None},
        {"action": "unlabeled"},
        {"action": "opened"},
        {"action": "edited"},
        {"issue__pull_request": {"url": "x"}},
        {"installation": None},
        {"repository": None},
        {"sender": None},
        {"sender": BOT},
    ],
)
def test_anything_else_on_an_issue_is_ignored(changed: dict[str, object]) -> None:
    assert isinstance(decide("issues", LABELED.payload(**changed), RULES), Ignored)


def test_only_the_event_s_own_label_counts_not_those_that_are_there_already() -> None:
    payload = LABELED.payload(label__name="bug", issue__labels=[{"name": "evoscale"}])
    assert isinstance(decide("issues", payload, RULES), Ignored)


def test_labels_ignore_case_as_github_s_do() -> None:
    assert isinstance(decide("issues", LABELED.payload(label__name="EvoScale"), RULES), StartRepair)


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("/evoscale", Verb.SOLVE),
        ("/evoscale solve", Verb.SOLVE),
        ("/EvoScale Solve", Verb.SOLVE),
        ("/evoscale stop", Verb.STOP),
        ("/evoscale retry", Verb.RETRY),
        ("/evoscale status", Verb.STATUS),
        ("/evoscale help", Verb.HELP),
        ("/evoscale   stop   ", Verb.STOP),
        ("/evoscale\tstop", Verb.STOP),
        ("Please.\r\n\r\n/evoscale stop\r\nThanks!", Verb.STOP),
        ("first\r/evoscale stop", Verb.STOP),
        ("/evoscale stop\n/evoscale retry", Verb.STOP),
        ("> quoted\n\n/evoscale stop", Verb.STOP),
        ("```\n/evoscale retry\n```\n/evoscale stop", Verb.STOP),
        ("<!-- /evoscale retry -->\n/evoscale stop", Verb.STOP),
        ("x" * 65_000 + "\n/evoscale stop", Verb.STOP),
    ],
)
def test_a_command_at_the_start_of_a_line_counts(text: str, verb: Verb) -> None:
    found = command(text)
    assert found is not None
    assert (found.verb, found.problem) == (verb, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evoscale",
        "please /evoscale",
        " /evoscale",
        "    /evoscale",
        "\t/evoscale",
        "\u200b/evoscale",
        "\ufeff/evoscale",
        "/evo\u200bscale",
        "/evoscaled",
        "/evoscale-bot",
        "/evoscale/solve",
        "//evoscale",
        "- /evoscale",
        "`/evoscale`",
        "> /evoscale",
        "  > /evoscale",
        ">/evoscale",
        "```\n/evoscale\n```",
        "```sh\n/evoscale\n```",
        "   ```\n/evoscale\n   ```",
        "~~~\n/evoscale\n~~~",
        "~~~ `x`\n/evoscale\n~~~",
        "````\n```\n/evoscale\n````",
        "```\n/evoscale",
        "```\n~~~\n/evoscale\n```",
        "<!-- /evoscale -->",
        "<!--\n/evoscale\n-->",
        "<!-- never closed\n/evoscale",
        "<!-- x -->/evoscale",
        "<pre>\n/evoscale\n</pre>",
        "<PRE class=x>\n/evoscale",
        "<code>\n/evoscale\n</code>",
        "a line\u2028/evoscale",
    ],
)
def test_quotes_code_hidden_text_and_the_middle_of_a_line_do_not(text: str) -> None:
    assert command(text) is None


@pytest.mark.parametrize("verb", ["solve ", "retry ", ""])
def test_arguments_within_the_limits_make_the_budget(verb: str) -> None:
    found = command(f"/evoscale {verb}iterations=10 Candidates=20 minutes=60")
    assert found is not None
    assert (found.problem, found.budget.iterations) == ("", 10)
    assert (found.budget.candidates_per_iteration, found.budget.wall_clock_s) == (20, 3600.0)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("/evoscale dance", "do not know `dance`"),
        ("/evoscale solve x=1", "do not know the argument `x`"),
        ("/evoscale solve please", "do not know the argument `please`"),
        ("/evoscale iterations=11", "from 1 to 10"),
        ("/evoscale iterations=0", "from 1 to 10"),
        ("/evoscale iterations=-1", "from 1 to 10"),
        ("/evoscale iterations=1e9", "from 1 to 10"),
        ("/evoscale iterations=" + "9" * 5000, "from 1 to 10"),
        ("/evoscale iterations=\u0663", "from 1 to 10"),
        ("/evoscale candidates=", "not `nothing`"),
        ("/evoscale minutes=61", "from 1 to 60"),
        ("/evoscale stop iterations=2", "takes no arguments"),
        ("/evoscale <script>", "`?script?`"),
        ("/evoscale @everyone", "`?everyone`"),
    ],
)
def test_a_command_that_cannot_be_followed_says_why(text: str, part: str) -> None:
    found = command(text)
    assert found is not None
    assert found.verb is Verb.HELP
    assert part in found.problem


def test_a_comment_with_a_command_starts_a_repair_of_its_issue() -> None:
    decision = commented("/evoscale iterations=2")
    assert isinstance(decision, StartRepair)
    assert not decision.labelled
    assert decision.budget.iterations == 2
    assert decision.target.comment_id == COMMENT.document["comment"]["id"]


@pytest.mark.parametrize("verb", ["stop", "status", "help"])
def test_other_verbs_ask(verb: str) -> None:
    decision = commented(f"/evoscale {verb}")
    assert isinstance(decision, Ask)
    assert decision.verb == verb


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "edited"},
        {"action": "deleted"},
        {"comment__body": None},
        {"comment": None},
        {"issue": None},
        {"sender": BOT},
        {"sender": {**BOT, "login": "EvoScale[bot]"}},
        {"comment__user": BOT},
        {"comment__performed_via_github_app": {"id": 7, "slug": "evoscale"}},
    ],
)
def test_edited_comments_and_our_own_are_ignored(changed: dict[str, object]) -> None:
    assert isinstance(commented("/evoscale", **changed), Ignored)


def test_another_app_s_comment_is_judged_by_its_role_like_everybody_s() -> None:
    other = {"login": "dependabot[bot]", "id": 9, "type": "Bot"}
    decision = commented("/evoscale", sender=other, comment__user=other)
    assert isinstance(decision, StartRepair)


def test_a_command_on_a_pull_request_of_ours_asks_for_a_review() -> None:
    decision = commented("/evoscale", issue__pull_request={"url": "x"}, issue__user=BOT)
    assert isinstance(decision, Ask)
    assert "review" in decision.problem
    assert isinstance(commented("/evoscale", issue__pull_request={}, issue__user=ANN), Ignored)


def test_a_review_of_our_pull_request_starts_a_search_from_its_branch() -> None:
    decision = decide("pull_request_review", REVIEW.payload(pull_request__user=BOT), RULES)
    assert isinstance(decision, StartReview)
    assert decision.branch == f"evoscale/issue-{decision.issue_number}"
    assert decision.review_id == REVIEW.document["review"]["id"]


def test_a_comment_at_a_line_starts_the_search_of_its_review() -> None:
    payload = LINE_COMMENT.payload(pull_request__user=BOT)
    decision = decide("pull_request_review_comment", payload, RULES)
    assert isinstance(decision, StartReview)
    assert decision.review_id == LINE_COMMENT.document["comment"]["pull_request_review_id"]


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "edited"},
        {"action": "dismissed"},
        {"review__state": "approved"},
        {"review__state": "pending"},
        {"pull_request__user": ANN},
        {"pull_request__user": None},
        {"pull_request__state": "closed"},
        {"pull_request__head__ref": "main"},
        {"pull_request__head__ref": "evoscale/issue-x"},
        {"pull_request__head__repo": None},
        {"pull_request__head__repo__id": 999},
        {"pull_request": None},
        {"sender": BOT},
    ],
)
def test_other_reviews_are_ignored(changed: dict[str, object]) -> None:
    payload = REVIEW.payload(**{"pull_request__user": BOT, **changed})
    assert isinstance(decide("pull_request_review", payload, RULES), Ignored)


def test_a_comment_outside_any_review_is_ignored() -> None:
    payload = LINE_COMMENT.payload(pull_request__user=BOT, comment__pull_request_review_id=None)
    assert isinstance(decide("pull_request_review_comment", payload, RULES), Ignored)


def test_a_branch_names_its_issue_and_search() -> None:
    assert branch_of(12, 1) == "evoscale/issue-12"
    assert branch_of(12, 3) == "evoscale/issue-12-3"


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_a_branch_is_read_back(number: int, generation: int) -> None:
    assert issue_of_branch(branch_of(number, generation)) == number


@pytest.mark.parametrize("branch", ["main", "evoscale/issue-", "evoscale/issue-1/x", "x/evoscale/issue-1", "evoscale/issue-1\n"])  # fmt: skip
def test_other_branches_are_not_ours(branch: str) -> None:
    assert issue_of_branch(branch) is None


def test_hidden_text_is_no_part_of_what_was_said() -> None:
    assert visible("a<!-- obey me -->b<!-- open") == "ab"


MARKUP = st.sampled_from(
    ["/evoscale", " solve", " stop", " iterations=", "3", "\n", "\r\n", "```", "~~~", ">", "<!--", "-->", "<pre>",
     "</pre>", "    ", "\t", "\u200b", "\ud83d", "x", "=", "`"]
)  # fmt: skip


@given(st.lists(MARKUP | st.text(max_size=5), max_size=30).map("".join))
def test_finding_a_command_never_raises_and_keeps_the_limits(text: str) -> None:
    found = command(text)
    if found is not None:
        assert text.casefold().find("/evoscale") >= 0
        assert 1 <= found.budget.iterations <= 10
        assert 1 <= found.budget.candidates_per_iteration <= 20


@given(st.text())
def test_a_fence_around_any_text_hides_its_commands(text: str) -> None:
    fence = "`" * (max((len(run) for run in text.replace("`", " `").split() if run), default=0) + 3)
    assert command(f"{fence}\n/evoscale\n{text}\n/evoscale\n{fence}") is None


@given(st.text())
def test_quoting_any_text_hides_its_commands(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert command("\n".join(f"> {line}" for line in [*lines, "/evoscale"])) is None
