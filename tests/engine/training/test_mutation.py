from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.training.data import read_rows
from engine.training.mutation import (
    CONDITIONING_EXAMPLES,
    MutationRows,
    ensure_mutation_rows,
    usable,
    write_mutation_rows,
)
from engine.training.row_sources import FreshBugs

SOURCE = "def f(x):\n    return x"


def test_instances_are_the_classical_ones_with_a_models_patches_in_view(
    corpus_file: Path, tiny_model: Path, tmp_path: Path
):
    wanted = MutationRows(corpus_file, tiny_model, "train", 12)
    write_mutation_rows(wanted, tmp_path / "rows.jsonl")
    written = read_rows(tmp_path / "rows.jsonl")
    draw = FreshBugs(corpus_file, "train", previous_share=0.0).load()
    assert draw is not None
    plain = {row.instance_id: row for row in draw(0, 0, 12)}
    assert written
    for row in written:
        assert row.patch == plain[row.instance_id].patch
        assert len(row.previous) <= CONDITIONING_EXAMPLES
        assert list(row.previous) == usable(row.previous, row.source)
    assert any(row.previous for row in written)


def test_rows_are_made_once_whole_and_never_taken_for_those_of_another_run(
    corpus_file: Path, tiny_model: Path, tmp_path: Path
):
    wanted, folder = MutationRows(corpus_file, tiny_model, "train", 12), tmp_path / "mutation"

    class Interrupted(BaseException):
        pass

    def interrupt(_: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        ensure_mutation_rows(wanted, folder, interrupt)
    assert not (folder / "train.jsonl").exists()
    train, dev = ensure_mutation_rows(wanted, folder)
    assert (len(read_rows(train)), len(read_rows(dev))) == (12, 1)
    ensure_mutation_rows(wanted, folder, interrupt)
    with pytest.raises(BadInputError, match="its count differ"):
        ensure_mutation_rows(replace(wanted, count=13), folder)


def test_only_edits_that_apply_are_shown_each_once():
    texts = ["<L1>    return 1", "<L9>    return 1", "", "<L1>    return x", "<L1>    return 1"]
    assert usable(texts, SOURCE) == ["<L1>    return 1"]


def test_a_split_that_the_corpus_lacks_is_named(corpus_file: Path, tmp_path: Path):
    with pytest.raises(BadInputError, match="no function of the split nowhere"):
        write_mutation_rows(MutationRows(corpus_file, tmp_path, "nowhere", 1), tmp_path / "x")
