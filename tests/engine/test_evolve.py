from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.candidate import Candidate, CodeContext, ConditioningExample, Scored, SourceFile, Span
from engine.contract import Budget, Issue
from engine.errors import PromptTooLongError
from engine.evolve import RETRIES, Search, evolve
from engine.models.base import Completion, EditFormat, Prompt, Sampling
from engine.models.scripted import ScriptedModel
from engine.selection import by_tests, unscored

ISSUE = Issue(number=1, title="sum is wrong", body="it adds")
SOURCE = "def f(a, b):\n    return a + b\n"
CONTEXT = CodeContext((SourceFile("m.py", SOURCE),), (Span("m.py", "f", 1, 2),))


def edits(*expressions: str) -> list[str]:
    return [f"<L1>    return {expression}" for expression in expressions]


def run(model: ScriptedModel, budget: Budget, select=unscored, **kwargs):
    heard: list[Candidate] = []
    search = Search(ISSUE, CONTEXT, model)
    iterations = list(evolve(search, budget, select=select, on_candidate=heard.append, **kwargs))
    return iterations, heard


def budget(iterations=3, m=2, k=2) -> Budget:
    return Budget(iterations=iterations, candidates_per_iteration=m, conditioning_examples=k)


def test_the_first_iteration_is_unconditioned_and_later_ones_show_the_one_before():
    model = ScriptedModel(
        [edits("a - b", "a * b"), edits("a / b", "a % b"), edits("a | b", "a & b")],
        edit_format=EditFormat.LINE,
    )
    iterations, heard = run(model, budget())
    assert iterations[0].conditioning_examples == ()
    shown = [e.candidate.completion for e in iterations[2].conditioning_examples]
    assert shown == edits("a / b", "a % b")
    assert "<prev>" not in model.prompts[0].user
    assert model.prompts[2].user.count("<prev>") == 2
    assert [(c.iteration, c.sample) for c in heard] == [(t, s) for t in range(3) for s in range(2)]


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 4),
    st.booleans(),
    st.lists(
        st.lists(
            st.sampled_from(["a - b", "a +", "b", "a + b", "a * 2", "-a"]), min_size=1, max_size=5
        ),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=60, deadline=None)
def test_every_iteration_has_exactly_m_candidates_and_at_most_k_examples(t, m, k, guided, texts):
    model = ScriptedModel([edits(*row) for row in texts], edit_format=EditFormat.LINE)

    def score(candidates: Sequence[Candidate]) -> Sequence[Scored]:
        return [Scored(c, 0.5) for c in candidates]

    select = by_tests(score) if guided else unscored
    iterations, heard = run(model, budget(t, m, k), select)
    assert [len(i.candidates) for i in iterations] == [m] * t
    assert all(len(i.conditioning_examples) <= k for i in iterations)
    assert all(
        e.candidate.iteration == i.index - 1 for i in iterations for e in i.conditioning_examples
    )
    keys = [c.key for c in heard if c.key]
    assert len(keys) == len(set(keys)), "a candidate was tried twice"


def test_unusable_and_repeated_samples_are_sampled_again_at_most_five_times():
    model = ScriptedModel([edits("a +"), edits("a - b")], edit_format=EditFormat.LINE)
    iterations, _ = run(model, budget(iterations=2, m=1))
    assert iterations[0].candidates[0].patch is not None
    assert iterations[1].candidates[0].patch is None
    assert iterations[1].candidates[0].note == "repeats an earlier candidate"
    assert len(model.prompts) == 2 + (1 + RETRIES)


class Narrow(ScriptedModel):
    """A model that takes short prompts only."""

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        if len(prompt.user) > 200:
            raise PromptTooLongError(len(prompt.user), 200)
        return super().sample(prompt, sampling)


def test_a_function_that_is_too_long_for_the_model_leaves_the_others_their_chance():
    long = SOURCE + "".join(f"    c{k} = a\n" for k in range(20))
    files = (SourceFile("m.py", SOURCE), SourceFile("n.py", long))
    both = CodeContext(files, (Span("n.py", "f", 1, 22), Span("m.py", "f", 1, 2)))
    model = Narrow([edits("a - b")], edit_format=EditFormat.LINE)
    found = evolve(
        Search(ISSUE, both, model), budget(1, 3), select=unscored, on_candidate=lambda _: None
    )
    (iteration,) = found
    assert [bool(c.patch) for c in iteration.candidates] == [False, False, True]
    assert "the model takes 200" in iteration.candidates[0].note
    alone = CodeContext(files, both.focus[:1])
    with pytest.raises(PromptTooLongError):
        list(
            evolve(
                Search(ISSUE, alone, model),
                budget(1, 3),
                select=unscored,
                on_candidate=lambda _: None,
            )
        )


def test_the_caller_stops_by_not_asking_for_more():
    model = ScriptedModel([edits("a - b")], edit_format=EditFormat.LINE)
    search = Search(ISSUE, CONTEXT, model)
    iterations = evolve(search, budget(m=1), select=unscored, on_candidate=lambda _: None)
    next(iterations)
    assert len(model.prompts) == 1


def test_a_resumed_search_samples_only_what_is_missing():
    model = ScriptedModel([edits("a * b")], edit_format=EditFormat.LINE)
    known = Candidate(0, 1, "<L1>    return a - b", None, key="k")
    iterations, heard = run(model, budget(iterations=1), earlier=[known])
    assert [c.sample for c in heard] == [0]
    assert iterations[0].candidates[1] is known


def test_greedy_mode_asks_for_temperature_zero_first_and_warms_up_on_retries():
    class Recorder(ScriptedModel):
        def sample(self, prompt, sampling):
            temperatures.append(sampling.temperature)
            return super().sample(prompt, sampling)

    temperatures: list[float] = []
    model = Recorder([edits("a +"), edits("a - b")], edit_format=EditFormat.LINE)
    search = Search(ISSUE, CONTEXT, model, greedy_first=True)
    list(evolve(search, budget(1, 1), select=unscored, on_candidate=lambda _: None))
    assert temperatures[0] == 0.0
    assert temperatures[1] > 0.5


@pytest.mark.parametrize("edit_format", list(EditFormat))
def test_feedback_reaches_the_prompt_of_a_chat_model(edit_format):
    model = ScriptedModel([["nothing"]], edit_format=edit_format)
    example = ConditioningExample(
        Candidate(0, 0, "<L1>x", None, focus=CONTEXT.focus[0]), "AssertionError: 3"
    )
    list(
        evolve(
            Search(ISSUE, CONTEXT, model),
            budget(2, 1, 1),
            select=lambda *_: [example],
            on_candidate=lambda _: None,
        )
    )
    later = model.prompts[-1].user
    assert ("AssertionError: 3" in later) == (edit_format is EditFormat.SEARCH_REPLACE)
