"""What the embedded back end adds to the conformance suite: constraints, scores, clear errors."""

import json
import shutil
from pathlib import Path

import pytest

from engine.errors import ModelUnavailableError, PromptTooLongError
from engine.line_format import parse, render_prompt
from engine.models.base import EditFormat, Profile, Prompt, Sampling
from engine.models.transformers_local import TransformersLocal
from tests.engine.models.tiny import make_tiny

LINE = Profile(EditFormat.LINE, evolves=False, context_tokens=512)
CHAT = Profile(EditFormat.SEARCH_REPLACE, evolves=False, context_tokens=512)
SOURCE = 'def f(a, b):\n    """Say."""\n\n    c = a - b\n    return c\n'
PROMPT = Prompt("", render_prompt(SOURCE, issue="", previous=["<L4>    return b"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def texts(folder: Path, sampling: Sampling, profile: Profile = LINE) -> list[str]:
    model = TransformersLocal(folder, name="tiny", profile=profile, threads=1)
    prompt = PROMPT if profile is LINE else Prompt("Be brief.", "<code>x")
    return [c.text for c in sorted(model.sample(prompt, sampling), key=lambda c: c.sample)]


def test_an_untrained_line_model_still_names_only_lines_that_it_was_shown(folder):
    edits = [parse(text) for text in texts(folder, Sampling(40, 1.5, 8, seed=1))]
    named = {number for edit in edits if edit for number in (edit.start, edit.end)}
    assert named <= {0, 3, 4}
    assert len(named) > 1
    assert sum(edit is not None for edit in edits) > 20


def test_other_seeds_give_other_texts_and_zero_temperature_one_text(folder):
    sampling = Sampling(6, 1.0, 8, seed=1)
    assert texts(folder, sampling) != texts(folder, Sampling(6, 1.0, 8, seed=2))
    assert len(set(texts(folder, sampling))) > 1
    assert len(set(texts(folder, Sampling(6, 0.0, 8, seed=1)))) == 1


def test_no_completion_is_longer_than_asked_or_than_the_context(folder):
    model = TransformersLocal(folder, name="tiny", profile=LINE, threads=1)
    first = next(iter(model.sample(PROMPT, Sampling(1, 1.0, 4, seed=0))))
    assert first.tokens_out <= 5
    narrow = Profile(EditFormat.LINE, evolves=False, context_tokens=first.tokens_in + 16)
    model = TransformersLocal(folder, name="tiny", profile=narrow, threads=1)
    assert all(c.tokens_out <= 17 for c in model.sample(PROMPT, Sampling(4, 1.0, 99, seed=0)))


def test_a_prompt_without_room_for_an_answer_says_how_long_it_is(folder):
    profile = Profile(EditFormat.LINE, evolves=False, context_tokens=20)
    model = TransformersLocal(folder, name="tiny", profile=profile)
    with pytest.raises(PromptTooLongError, match="the model takes 20"):
        model.sample(PROMPT, Sampling(1, 1.0, 4, seed=0))


def test_scores_are_log_likelihoods_of_the_whole_completion(folder):
    model = TransformersLocal(folder, name="tiny", profile=LINE, threads=1)
    told = ["<L3>    c = a + b", "<L3>", ""]
    scores = model.score(PROMPT, told)
    longest, short, empty = scores.log_likelihoods
    assert longest < short < empty < 0
    assert scores.tokens_out[1:] == (2, 1)
    alone = [model.score(PROMPT, [text]).log_likelihoods[0] for text in told]
    assert scores.log_likelihoods == pytest.approx(alone, abs=1e-3)
    lines = model.score(PROMPT, ["<L2>", "<L3>"], closed=False)
    assert lines.tokens_out == (1, 1)
    assert lines.log_likelihoods[1] > short  # a beginning is likelier than anything it begins
    with pytest.raises(PromptTooLongError):
        model.score(PROMPT, ["x " * 600])


def test_a_chat_model_is_asked_through_its_template(folder, tmp_path: Path):
    chat = tmp_path / "chat"
    shutil.copytree(folder, chat)
    path = chat / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["chat_template"] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    path.write_text(json.dumps(settings))
    model = TransformersLocal(chat, name="chat", profile=CHAT, threads=1)
    one = list(model.sample(Prompt("", "<code>x"), Sampling(1, 0.0, 4, seed=0)))
    two = list(model.sample(Prompt("Be brief.", "<code>x"), Sampling(1, 0.0, 4, seed=0)))
    assert two[0].tokens_in > one[0].tokens_in > 3


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_a_missing_or_broken_file_is_named(folder, tmp_path: Path, file: str):
    broken = tmp_path / "model"
    shutil.copytree(folder, broken)
    (broken / file).write_bytes(b"\x00 no \xff")
    with pytest.raises(ModelUnavailableError, match=file):
        texts(broken, Sampling(1, 1.0, 2, seed=0))
    (broken / file).unlink()
    with pytest.raises(ModelUnavailableError, match=file):
        texts(broken, Sampling(1, 1.0, 2, seed=0))
