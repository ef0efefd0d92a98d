"""What both local back ends add to the conformance suite: constraints, scores, clear errors."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx as onnx_library
import pytest

from engine.errors import ModelUnavailableError, PromptTooLongError
from engine.line_format import parse, render_prompt
from engine.models import EMBEDDED, EMBEDDED_PROFILE
from engine.models.base import EditFormat, Profile, Prompt, Sampling
from engine.models.decoding import batched_alike, token_tree
from engine.models.folder import ModelFolder
from engine.models.onnx_graph import qwen2_graph
from engine.models.onnx_local import OnnxLocal, read_shape
from engine.models.transformers_local import TransformersLocal
from tests.engine.models.tiny import make_tiny

LINE = Profile(EditFormat.LINE, evolves=False, context_tokens=512)
SOURCE = 'def f(a, b):\n    """Say."""\n\n    c = a - b\n    return c\n'
PROMPT = Prompt("", render_prompt(SOURCE, issue="", previous=["<L4>    return b"]))

Make = Callable[[Path, Profile], OnnxLocal | TransformersLocal]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=[OnnxLocal, TransformersLocal])
def make(request: pytest.FixtureRequest) -> Make:
    def made(folder: Path, profile: Profile = LINE) -> OnnxLocal | TransformersLocal:
        return request.param(folder, name="tiny", profile=profile, threads=1)

    return made


def texts(model: OnnxLocal | TransformersLocal, sampling: Sampling) -> list[str]:
    return [c.text for c in sorted(model.sample(PROMPT, sampling), key=lambda c: c.sample)]


def test_an_untrained_line_model_still_names_only_lines_that_it_was_shown(folder, make):
    edits = [parse(text) for text in texts(make(folder), Sampling(40, 1.5, 8, seed=1))]
    named = {number for edit in edits if edit for number in (edit.start, edit.end)}
    assert named <= {0, 3, 4}
    assert len(named) > 1
    assert sum(edit is not None for edit in edits) > 20


def test_other_seeds_give_other_texts_and_zero_temperature_one_text(folder, make):
    sampling = Sampling(6, 1.0, 8, seed=1)
    assert texts(make(folder), sampling) != texts(make(folder), Sampling(6, 1.0, 8, seed=2))
    assert len(set(texts(make(folder), sampling))) > 1
    assert len(set(texts(make(folder), Sampling(6, 0.0, 8, seed=1)))) == 1


def test_no_completion_is_longer_than_asked_or_than_the_context(folder, make):
    model = make(folder)
    first = next(iter(model.sample(PROMPT, Sampling(1, 1.0, 4, seed=0))))
    assert first.tokens_out <= 5
    narrow = Profile(EditFormat.LINE, evolves=False, context_tokens=first.tokens_in + 16)
    model = make(folder, narrow)
    assert all(c.tokens_out <= 17 for c in model.sample(PROMPT, Sampling(4, 1.0, 99, seed=0)))


def test_a_prompt_without_room_for_an_answer_says_how_long_it_is(folder, make):
    profile = Profile(EditFormat.LINE, evolves=False, context_tokens=20)
    model = make(folder, profile)
    with pytest.raises(PromptTooLongError, match="the model takes 20"):
        model.sample(PROMPT, Sampling(1, 1.0, 4, seed=0))


def test_scores_are_log_likelihoods_of_the_whole_completion(folder, make):
    model = make(folder)
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
    fits, does_not = model.score(PROMPT, ["<L3>", "x " * 600]).log_likelihoods
    assert fits == pytest.approx(short, abs=1e-3)
    assert does_not == -math.inf
    narrow = make(folder, Profile(EditFormat.LINE, evolves=False, context_tokens=20))
    with pytest.raises(PromptTooLongError, match="the model takes 20"):
        narrow.score(PROMPT, ["<L3>"])


def test_what_is_scored_together_is_bounded_in_tokens():
    texts = [[1] * 1000, [2] * 1500, [1] * 1000, [3] * 9000, [2] * 2000, [4]]
    assert list(batched_alike(texts, 2000)) == [[0, 2, 1], [4, 5]]
    assert [len(batch) for batch in batched_alike([[1, 2]] * 130, 2)] == [64, 64, 2]
    assert list(batched_alike([[1, 2]], 1)) == []


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_a_missing_or_broken_file_is_named(folder, make, tmp_path: Path, file: str):
    broken = tmp_path / "model"
    shutil.copytree(folder, broken)
    (broken / file).write_bytes(b"\x00 no \xff")
    with pytest.raises(ModelUnavailableError, match=file):
        texts(make(broken), Sampling(1, 1.0, 2, seed=0))
    (broken / file).unlink()
    with pytest.raises(ModelUnavailableError, match=file):
        texts(make(broken), Sampling(1, 1.0, 2, seed=0))


def test_completions_that_begin_alike_share_their_beginning_and_see_nothing_else():
    tree = token_tree([[5, 6, 7, 8], [5, 6, 9], [4], [5, 6, 7, 2]], prompt=3)
    assert tree.read.tolist() == [5, 6, 7]
    assert tree.positions.tolist() == [3, 4, 5]
    assert tree.mask[:, :3].all()
    assert tree.mask[:, 3:].tolist() == np.tril(np.ones((3, 3), bool)).tolist()
    assert tree.first.tolist() == [5, 5, 4, 5]
    steps = zip(tree.owner.tolist(), tree.node.tolist(), tree.next.tolist(), strict=True)
    assert list(steps) == [
        *((0, 0, 6), (0, 1, 7), (0, 2, 8)),
        *((1, 0, 6), (1, 1, 9)),
        *((3, 0, 6), (3, 1, 7), (3, 2, 2)),
    ]


def test_branches_of_a_tree_do_not_see_each_other():
    tree = token_tree([[1, 2, 3], [1, 4, 3], [2, 2, 3]], prompt=1)
    assert tree.read.tolist() == [1, 2, 4, 2, 2]
    assert tree.mask[:, 1:].tolist() == [
        [True, False, False, False, False],
        [True, True, False, False, False],
        [True, False, True, False, False],
        [False, False, False, True, False],
        [False, False, False, True, True],
    ]


def test_many_completions_keep_their_order_whatever_they_share(folder, make):
    model = make(folder)
    told = [f"<L{k % 2 + 3}>    return {k}{name}" for k in range(40) for name in ("a", "b", "")]
    scores = model.score(PROMPT, told).log_likelihoods
    for k in (0, 1, 2, 3, 70, 119):
        (alone,) = model.score(PROMPT, [told[k]]).log_likelihoods
        assert scores[k] == pytest.approx(alone, abs=1e-3)


@pytest.mark.parametrize("which", ["tiny", "embedded"])
def test_both_back_ends_say_the_same_up_to_rounding(folder, which):
    profile = EMBEDDED_PROFILE
    onnx, torch = (
        back_end(folder if which == "tiny" else EMBEDDED, name="m", profile=profile, threads=1)
        for back_end in (OnnxLocal, TransformersLocal)
    )
    told = ["<L3>    c = a + b", "<L3>", "", "<L4>    return c - 1"]
    for closed in (True, False):
        asked = told if closed else [text for text in told if text]
        ours, theirs = (m.score(PROMPT, asked, closed=closed) for m in (onnx, torch))
        assert ours.tokens_out == theirs.tokens_out
        assert ours.log_likelihoods == pytest.approx(theirs.log_likelihoods, abs=1e-3)
    for temperature in (0.0, 1.0):
        sampling = Sampling(6, temperature, 24, seed=5)
        assert texts(onnx, sampling) == texts(torch, sampling)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2' is none of"),
        ({"num_hidden_layers": 3}, r"model\.layers\.2"),
        ({"num_key_value_heads": "two"}, r"config\.json cannot be read"),
    ],
)
def test_a_config_of_another_network_is_refused(folder, tmp_path: Path, changes, complaint):
    other = tmp_path / "model"
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ModelUnavailableError, match=complaint):
        texts(OnnxLocal(other, name="m", profile=LINE), Sampling(1, 1.0, 2, seed=0))


def test_a_tokenizer_without_line_numbers_is_refused(folder, tmp_path: Path):
    other = tmp_path / "model"
    shutil.copytree(folder, other)
    path = other / "tokenizer.json"
    path.write_text(path.read_text().replace("<eos>", "<end>"))
    with pytest.raises(ModelUnavailableError, match="it has no token <eos>"):
        texts(OnnxLocal(other, name="m", profile=LINE), Sampling(1, 1.0, 2, seed=0))


def test_the_graph_is_what_onnx_itself_reads(folder):
    weights = ModelFolder(folder, "tiny").weights()
    text = qwen2_graph(read_shape(ModelFolder(folder, "tiny")), weights)
    read = onnx_library.load_from_string(text)
    onnx_library.checker.check_model(read, full_check=True)
    assert (read.ir_version, read.opset_import[0].version) == (9, 18)
    assert {tensor.name for tensor in read.graph.initializer} >= {"model.norm.weight"}
    norm = next(t for t in read.graph.initializer if t.name == "model.norm.weight")
    assert (onnx_library.numpy_helper.to_array(norm) == weights["model.norm.weight"]).all()
    split = next(n for n in read.graph.node if n.op_type == "Split")
    assert onnx_library.helper.get_node_attr_value(split, "axis") == -1
