from collections.abc import Iterator, Sequence

import pytest

from engine.line_format import apply, parse, read_prompt, render_prompt
from engine.models.base import EditFormat, Profile, Prompt, Sampling
from engine.models.ranked import MAX_DRAWN_CHARS, RankedRewrites, from_pool, rewrites_of, shared_out
from engine.models.scores import Scores
from engine.models.transformers_local import TransformersLocal
from engine.reach import reaches
from tests.engine.models.tiny import make_tiny

LINE = Profile(EditFormat.LINE, evolves=False, context_tokens=512)
SOURCE = "def f(a, b):\n\n    c = a - b\n    return c"
PROMPT = Prompt("", render_prompt(SOURCE, issue="wrong sign", previous=["<L3>    return b"]))


class LongestFirst:
    """A scorer whose taste is known: the longer the likelier."""

    name = "longest"
    profile = LINE

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator:
        del prompt, sampling
        return iter(())

    def score(self, prompt: Prompt, completions: Sequence[str], *, closed: bool = True) -> Scores:
        lengths = [len(text) + closed for text in completions]
        return Scores(len(prompt.user), tuple(lengths), tuple(float(n) for n in lengths))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TransformersLocal:
    return TransformersLocal(
        make_tiny(tmp_path_factory.mktemp("tiny")), name="tiny", profile=LINE, threads=1
    )


def test_the_pool_holds_distinct_edits_that_apply_and_were_not_tried():
    shown = read_prompt(PROMPT.user)
    assert shown is not None
    pool = rewrites_of(shown)
    assert len(pool) > 50
    assert len(set(pool)) == len(pool)
    assert "<L3>    return b" not in pool
    for text in pool:
        edit = parse(text)
        assert edit is not None
        assert apply(edit, SOURCE) is not None
        assert 1 not in {edit.start, edit.end}


def test_at_temperature_zero_the_likeliest_come_in_order():
    texts = [c.text for c in RankedRewrites(LongestFirst()).sample(PROMPT, Sampling(9, 0.0, 96, 1))]
    assert texts == sorted(texts, key=len, reverse=True)
    assert len(texts[0]) > 25


def test_heat_mixes_and_the_seed_decides(tiny):
    model = RankedRewrites(tiny, heat=1.0)
    drawn = [
        [c.text for c in model.sample(PROMPT, Sampling(8, 1.0, 96, seed))] for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(texts)) == 8 for texts in drawn)


def test_without_heat_the_seed_and_the_temperature_change_nothing(tiny):
    model = RankedRewrites(tiny)
    first, other = (
        [c.text for c in model.sample(PROMPT, Sampling(8, temperature, 96, seed))]
        for temperature, seed in ((0.0, 1), (1.5, 2))
    )
    assert first == other


def test_what_failing_tests_never_ran_is_not_rewritten(tiny):
    model = RankedRewrites(tiny)
    for reached in ({2}, {3}, {0, 2}):
        drawn = model.sample(PROMPT, Sampling(24, 0.8, 96, 1, reached=frozenset(reached)))
        edits = [parse(completion.text) for completion in drawn]
        assert all(edit and reaches(edit, SOURCE, reached) for edit in edits)


def test_rewrites_that_do_not_fit_the_context_are_left_out(tiny):
    line = "    c = a + " + " + ".join(f"word{k}" for k in range(20))
    prompt = Prompt("", render_prompt(f"def f(a):\n{line}\n    return c", issue="", previous=()))
    room = len(tiny._encode(prompt)) + 24
    narrow = Profile(EditFormat.LINE, evolves=False, context_tokens=room)
    model = RankedRewrites(
        TransformersLocal(tiny._folder.path, name="t", profile=narrow, threads=1)
    )
    drawn = list(model.sample(prompt, Sampling(9, 0.8, 8, 1)))
    assert len(drawn) == 9
    assert all(completion.tokens_out <= 24 for completion in drawn)


def test_a_function_far_too_long_for_any_context_is_not_rewritten():
    source = "def f(a):\n    return [" + "a + 1, " * (MAX_DRAWN_CHARS // 7) + "]"
    shown = read_prompt(render_prompt(source, issue="", previous=()))
    assert shown is not None
    assert rewrites_of(shown) == []


@pytest.mark.parametrize("source", ["while (", "ü = 1"])
def test_text_without_a_pool_is_left_to_the_model(tiny, source):
    prompt = Prompt("", render_prompt(source, issue="", previous=()))
    completions = list(RankedRewrites(tiny).sample(prompt, Sampling(3, 1.0, 8, 1)))
    assert [c.sample for c in completions] == [0, 1, 2]


def test_a_small_pool_is_filled_up_by_the_model(tiny):
    prompt = Prompt("", render_prompt("def f():\n    return 1", issue="", previous=()))
    completions = list(RankedRewrites(tiny).sample(prompt, Sampling(300, 1.0, 4, 1)))
    assert sorted(c.sample for c in completions) == list(range(300))
    assert RankedRewrites(tiny).name == "tiny"
    assert RankedRewrites(tiny).profile is LINE


def test_a_share_can_be_written_freely(tiny):
    shown = read_prompt(PROMPT.user)
    assert shown is not None
    pool = set(rewrites_of(shown))
    for share, ranked in ((0.0, 8), (0.25, 6), (1.0, 0)):
        texts = [c.text for c in RankedRewrites(tiny, share).sample(PROMPT, Sampling(8, 1.0, 8, 1))]
        assert [text in pool for text in texts] == [True] * ranked + [False] * (8 - ranked)


def test_a_share_holds_for_single_samples_too():
    counts = [from_pool(1, 0.25, seed) for seed in range(400)]
    assert set(counts) == {0, 1}
    assert 260 < sum(counts) < 340


def test_where_rewrites_are_too_many_the_suspected_lines_keep_most():
    source = "def f(a, b, c, d):\n" + "\n".join(
        f"    x{k} = (a + {k}) * b[{k}:c] - d" for k in range(12)
    )
    prompt = Prompt("", render_prompt(source, issue="", previous=()))

    class SuspectsLineFive(LongestFirst):
        def score(
            self, prompt: Prompt, completions: Sequence[str], *, closed: bool = True
        ) -> Scores:
            if closed:
                return super().score(prompt, completions)
            told = tuple(0.0 if text == "<L5>" else -4.0 for text in completions)
            return Scores(1, (1,) * len(told), told)

    texts = [
        c.text for c in RankedRewrites(SuspectsLineFive()).sample(prompt, Sampling(256, 0, 96, 1))
    ]
    lines = [text[: text.index(">") + 1] for text in texts]
    assert lines.count("<L5>") > 3 * max(lines.count(f"<L{k}>") for k in (1, 2, 3, 7, 9))
    assert len(set(lines)) > 8


def test_sharing_out_gives_every_group_its_turn():
    assert shared_out([["a1", "a2", "a3"], ["b1", "b2"]], [2.0, 1.0], 4) == ["a1", "a2", "b1", "a3"]
    assert shared_out([["a1"], ["b1"]], [1.0, 0.0], 9) == ["a1", "b1"]


def test_what_was_tried_before_is_left_out(tiny):
    model = RankedRewrites(tiny)
    first = [c.text for c in model.sample(PROMPT, Sampling(8, 0.0, 96, 1))]
    again = model.sample(PROMPT, Sampling(8, 0.0, 96, 1, frozenset(first)))
    assert not set(first) & {c.text for c in again}
