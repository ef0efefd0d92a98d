"""A real tokenizer and a real model, trained a few steps on real examples."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import BadInputError
from engine.training.batches import batches, encode
from engine.training.corpus import read_corpus
from engine.training.data import rows, write_rows
from engine.training.muon import Muon, orthogonal
from engine.training.row_sources import FreshBugs, WrittenRows
from engine.training.sft import (
    SftConfig,
    SftProgress,
    Shape,
    code_scale,
    evaluate,
    fine_tuned,
    lr_scale,
    train_sft,
)
from engine.training.tokenizer import load_tokenizer, make_tokenizer, train_tokenizer

TINY = Shape(hidden=64, layers=2, heads=1, kv_heads=1, intermediate=96, vocabulary=448)
SHAPE = Shape(hidden=64, layers=1, heads=1, kv_heads=1, intermediate=64, vocabulary=448)


def test_the_tokenizer_gives_every_text_back_and_keeps_line_numbers_whole(
    functions, tmp_path: Path
):
    train_tokenizer([f.raw for f in functions] * 20, 448).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    for text in (
        "<issue>ü<code><L0>def f(x):<L63>    y\t= 'ü'  # 12\n        z<prev><L2><edit>",
        "\n\n",
    ):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids) == text
    assert len(tokenizer.encode("<L0><L63><edit>", add_special_tokens=False)) == 3
    assert len(tokenizer) <= 448


def test_batches_hold_every_example_once_within_the_token_budget(functions, tmp_path: Path):
    train_tokenizer([f.raw for f in functions], 448).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    encoded = encode(list(rows(functions, 0, 0, 60)), tokenizer)
    made = list(batches(encoded, 600, tokenizer, Random(0)))
    assert sum(len(batch.lengths) for batch in made) == len(encoded)
    assert all(batch.ids.size <= 600 or len(batch.ids) == 1 for batch in made)
    for batch in made:
        assert (batch.code_ends < batch.edit_starts).all() or (
            batch.code_ends <= batch.edit_starts
        ).all()
        assert (batch.edit_starts < batch.lengths).all()
    assert encode([], tokenizer) == []


def test_the_schedule_warms_up_stays_and_ends_at_zero():
    assert lr_scale(0.0) < lr_scale(0.01) < lr_scale(0.25) == 1.0
    assert lr_scale(0.29) == 1.0 > lr_scale(0.9) > lr_scale(1.0) == 0.0
    assert (code_scale(0.0), code_scale(0.25), code_scale(0.5), code_scale(1.0)) == (
        1.0,
        0.5,
        0.0,
        0.0,
    )


@pytest.mark.slow
def test_a_run_learns_resumes_from_its_checkpoint_and_exports_what_loads(
    corpus_file: Path, tmp_path: Path
):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    heard: list[SftProgress] = []
    make_tokenizer(corpus_file, tmp_path / "tokenizer", SHAPE.vocabulary, 0)
    config = SftConfig(
        FreshBugs(corpus_file), tmp_path / "tokenizer", tmp_path / "run",
        dev=FreshBugs(corpus_file, "dev"), shape=SHAPE, max_steps=12, tokens_per_step=2000,
        dev_rows=8, report_every_s=0.0, evaluate_every_s=0.0, workers=2,
    )  # fmt: skip
    folder = train_sft(config, heard.append)
    assert [p.step for p in heard] == list(range(1, 13))
    assert heard[-1].loss < heard[0].loss
    assert heard[-1].dev_loss is not None
    assert heard[-1].tokens > 12 * 800
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.model_type == "qwen2"
    trained, read = load_tokenizer(tmp_path / "tokenizer"), AutoTokenizer.from_pretrained(folder)
    assert read.tokenize("<L1>    x")[:2] == ["<L1>", "ĠĠĠ"]
    for f in read_corpus(corpus_file):  # as it is trained, so it is read
        assert read.encode(f"<L1>{f.raw}<L1>") == trained.encode(f"<L1>{f.raw}<L1>")
    assert (folder / "model.safetensors").stat().st_size < 2 * 1.1 * model.num_parameters() + 10_000

    longer = replace(config, max_steps=14, workers=1)
    train_sft(longer, heard.append)
    assert [p.step for p in heard[12:]] == [13, 14]
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 14

    with pytest.raises(BadInputError, match="another run: its seed differ"):
        train_sft(replace(longer, seed=5), heard.append)
    with pytest.raises(BadInputError, match="another run: its code_loss differ"):
        train_sft(replace(longer, code_loss=0.0), heard.append)


@pytest.mark.slow
def test_a_stage_begins_where_its_base_ended(
    corpus_file: Path, tiny_model: Path, tokenizer_folder: Path, tmp_path: Path
):
    heard: list[SftProgress] = []
    written = tmp_path / "rows.jsonl"
    write_rows(written, rows(read_corpus(corpus_file), 0, 0, 40))
    config = SftConfig(
        WrittenRows(written), tokenizer_folder, tmp_path / "run", base=tiny_model, shape=TINY,
        max_steps=1, tokens_per_step=2000, workers=1,
    )  # fmt: skip
    folder = train_sft(fine_tuned(config), heard.append)
    begun, trained = (load_file(f / "model.safetensors") for f in (tiny_model, folder))
    assert begun.keys() == trained.keys()
    for name, weights in trained.items():
        assert (weights - begun[name]).abs().max() < 0.01, f"{name} is new, not gone on with"


def test_rows_that_were_written_come_once_an_epoch_in_an_order_of_its_own(
    functions, tmp_path: Path
):
    write_rows(tmp_path / "rows.jsonl", rows(functions, 0, 0, 12))
    draw = WrittenRows(tmp_path / "rows.jsonl").load()
    assert draw is not None
    drawn = [row.instance_id for row in draw(3, 0, 24)]
    assert sorted(drawn[:12]) == sorted(drawn[12:])
    assert drawn[:12] != drawn[12:]
    assert [row.instance_id for row in draw(3, 5, 10)] == drawn[5:15]


def test_a_stage_without_examples_or_with_another_shapes_base_says_so(
    corpus_file: Path, tiny_model: Path, tokenizer_folder: Path, tmp_path: Path
):
    config = SftConfig(
        FreshBugs(corpus_file, "nowhere"),
        tokenizer_folder,
        tmp_path / "run",
        shape=SHAPE,
        workers=1,
    )
    with pytest.raises(BadInputError, match="holds no example to train on"):
        train_sft(config, print)
    other = replace(config, train=FreshBugs(corpus_file), base=tiny_model)
    with pytest.raises(BadInputError, match="no model of this shape to begin from"):
        train_sft(other, print)


def test_a_loss_that_is_no_number_ends_the_run_and_harms_no_checkpoint(
    corpus_file: Path, tiny_model: Path, tokenizer_folder: Path, tmp_path: Path
):
    config = SftConfig(
        FreshBugs(corpus_file), tokenizer_folder, tmp_path / "run", shape=SHAPE, workers=1,
        max_steps=3, matrix_lr=float("inf"), other_lr=float("inf"), tokens_per_step=600,
    )  # fmt: skip
    with pytest.raises(BadInputError, match="start again from it with lower learning rates"):
        train_sft(config, print)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_muon_makes_orthogonal_steps_and_lowers_a_loss():
    torch.manual_seed(0)
    for shape in ((8, 20), (20, 8)):
        made = orthogonal(torch.randn(shape))
        assert made.shape == shape
        assert torch.linalg.svdvals(made).sub(1).abs().max() < 0.45
    matrix = torch.nn.Parameter(torch.randn(6, 10))
    wanted = torch.randn(6, 10)
    optimizer = Muon([matrix], lr=0.4, weight_decay=0.0)
    losses = []
    for _ in range(30):
        loss = (matrix - wanted).square().sum()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_without_dev_examples_there_are_no_dev_figures(functions):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tiny = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
            num_key_value_heads=1, intermediate_size=16,
        )
    )  # fmt: skip
    assert evaluate(tiny, []) is None
