from hypothesis import given
from hypothesis import strategies as st

from engine.candidate import Candidate, CodeContext, ConditioningExample, SourceFile, Span
from engine.contract import Issue
from engine.models.base import EditFormat, Profile, PromptShape
from engine.prompts import chat_prompt, line_requests, shares
from sandbox.contract import Patch

ISSUE = Issue(number=3, title="off by one", body="last item is lost")
CHAT = Profile(EditFormat.SEARCH_REPLACE, evolves=False, context_tokens=4096)
CONTEXT = CodeContext((SourceFile("a.py", "x = 1\n"),))


@given(st.integers(0, 12), st.integers(0, 64))
def test_all_samples_are_shared_out_and_the_first_function_gets_most(spans, n):
    split = shares(spans, n)
    assert sum(split) == (n if spans else 0)
    assert split == sorted(split, reverse=True)


def test_prompts_of_all_iterations_begin_with_the_same_bytes():
    context = CodeContext((SourceFile("a.py", "x = 1\n"),))
    example = ConditioningExample(Candidate(0, 0, "", Patch("diff")), "boom")
    first, later = (
        chat_prompt(ISSUE, context, (), CHAT),
        chat_prompt(ISSUE, context, [example], CHAT),
    )
    assert first.system == later.system
    shared = first.user.index("# Task")
    assert first.user[:shared] == later.user[:shared]
    assert "boom" in later.user


def test_a_file_too_large_for_the_context_is_shown_by_its_suspicious_functions():
    filler = "".join(f"y{n} = {n}\n" for n in range(3000))
    text = filler + "def f():\n    return 1\n"
    context = CodeContext((SourceFile("a.py", text),), (Span("a.py", "f", 3001, 3002),))
    prompt = chat_prompt(ISSUE, context, (), CHAT)
    assert "def f()" in prompt.user
    assert "y2999" not in prompt.user


def test_a_line_prompt_shows_only_the_failed_edits_of_its_own_function():
    text = "def f():\n    return 1\n\n\ndef g():\n    return 2\n"
    f, g = Span("a.py", "f", 1, 2), Span("a.py", "g", 5, 6)
    context = CodeContext((SourceFile("a.py", text),), (f, g))
    example = ConditioningExample(Candidate(0, 0, "<L1>    return 3", Patch("d"), focus=g))
    of_f, of_g = line_requests(ISSUE, context, [example], 4)
    assert "<prev>" not in of_f.prompt.user
    assert "<prev><L1>    return 3" in of_g.prompt.user


SATORI = Profile(
    EditFormat.SEARCH_REPLACE,
    evolves=True,
    context_tokens=8192,
    prompt_shape=PromptShape.SATORI,
)


def test_a_satori_model_is_asked_in_the_published_order():
    first = chat_prompt(ISSUE, CONTEXT, (), SATORI)
    parts = ["# Issue Statement", "# Files to be Modified", "# Reasoning Guidelines"]
    assert sorted(parts, key=first.user.index) == parts
    assert "Peer" not in first.user
    assert "<<<<<<< SEARCH" in first.system


def test_a_satori_model_reviews_its_peers_before_it_analyses():
    example = ConditioningExample(Candidate(0, 0, "", Patch("--- a/x\n+++ b/x\n")))
    prompt = chat_prompt(ISSUE, CONTEXT, [example], SATORI)
    parts = [
        "# Files to be Modified",
        "# Peer Patches",
        "1. Peer patch review",
        "2. Issue analysis",
    ]
    assert sorted(parts, key=prompt.user.index) == parts
