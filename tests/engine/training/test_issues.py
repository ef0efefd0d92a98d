from random import Random

import pytest

from engine.line_format import MAX_ISSUE_CHARS
from engine.models.rewrites.kinds import HELD_OUT, KINDS
from engine.training import issues
from engine.training.issues import Failure, issue_text, title, write_issue

NAMES = [kind.rewrite.__name__ for kind in KINDS + HELD_OUT]
WRONG = Failure("add(1, 2)", "3", "-1")
RAISES = Failure("add(1, 2)", "3", "raises TypeError")
HANGS = Failure("add(1, 2)", "3", "")


def drawn(failure: Failure | None, count: int = 200) -> list[str]:
    return [issue_text("binary_operator", "add", Random(k), failure) for k in range(count)]


def test_there_are_at_least_thirty_ways_to_say_it():
    shown = {text for texts in issues._SHOWN.values() for text in texts}
    unshown = {text for texts in issues._UNSHOWN.values() for text in texts}
    assert len(shown | unshown) >= 30


def test_every_kind_of_bug_has_words_of_its_own():
    likely = set(issues._LIKELY)
    assert not likely - set(NAMES)
    assert len(likely & set(NAMES)) >= 40
    assert set(NAMES[-2:]) <= likely


@pytest.mark.parametrize("kind", NAMES)
def test_a_title_is_one_line_that_the_line_model_can_be_shown(kind):
    titles = {title(kind, "count", Random(k)) for k in range(40)}
    assert len(titles) > 5
    assert all(text and "\n" not in text and len(text) <= MAX_ISSUE_CHARS for text in titles)
    assert not any("{" in text for text in titles)


@pytest.mark.parametrize("failure", [None, WRONG, RAISES, HANGS])
def test_the_same_seed_writes_the_same_issue(failure):
    assert drawn(failure, 20) == drawn(failure, 20)
    assert len(set(drawn(failure))) > 20


def test_an_issue_about_a_wrong_value_names_call_and_values_now_and_then():
    texts = drawn(WRONG)
    assert any("add(1, 2)" in text and "-1" in text and "3" in text for text in texts)
    assert any("add(1, 2)" not in text for text in texts)
    assert any("\n" in text for text in texts)
    assert any("\n" not in text for text in texts)


def test_an_issue_about_an_exception_may_hold_its_traceback():
    texts = drawn(RAISES)
    assert any("Traceback (most recent call last)" in text for text in texts)
    assert all("hang" not in text for text in texts)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (HANGS, ("hang", "forever", "never returns", "infinite", "CPU", "interrupt")),
        (Failure("f(0)", "raises ValueError", "1"), ("ValueError", "refuse")),
        (Failure("f(0)", "raises ValueError", "raises KeyError"), ("KeyError",)),
        (Failure("f(0)", "3", "None"), ("None", "nothing back")),
        (Failure("f(0)", "printed 3\n", "raised KeyError: 'a'\n"), ("KeyError",)),
    ],
)
def test_the_symptom_chooses_the_words(failure, words):
    found = [write_issue("index", "f", Random(k), failure) for k in range(100)]
    assert sum(any(word in issue.text for word in words) for issue in found) > 50


def test_long_values_are_cut_and_braces_in_them_are_only_text():
    failure = Failure("f({})".format("'x', " * 50), "{1: {2}}", "{name}")
    texts = [issue_text("index", "f", Random(k), failure) for k in range(100)]
    assert max(len(text) for text in texts) < 1000
    assert any("{name}" in text for text in texts)
