"""Hand-made rows with the real columns, files out of a real git repository."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from engine.candidate import CodeContext, SourceFile
from engine.edits import Edited, read_search_replace
from engine.errors import BadInputError
from engine.training.libraries.public_data import (
    Instance,
    Report,
    all_tasks,
    left_out_for,
    verdicts,
)
from engine.training.libraries.public_git import search_replace

BEFORE = "".join(f"def f{n}(x):\n    return x - {n}\n\n\n" for n in range(6))
AFTER = BEFORE.replace("x - 2", "x + 2").replace("x - 4", "x + 4")
STATEMENT = "f2 and f4 subtract\n\nf2(1) gives -1 although the sum of both was to be given back"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def gold(tmp_path: Path) -> Instance:
    clone = tmp_path / "clones" / "octo__sums"
    (clone / "src").mkdir(parents=True)
    git(clone, "init", "-q")
    (clone / "src" / "sums.py").write_text(BEFORE)
    git(clone, "add", ".")
    git(clone, "commit", "-q", "-m", "before")
    (clone / "src" / "sums.py").write_text(AFTER)
    patch = git(clone, "diff")
    head = git(clone, "rev-parse", "HEAD").strip()
    return Instance("octo__sums-1", "octo/sums", head, STATEMENT, patch)


def rows(path: Path, *instances: Instance) -> Path:
    lines = [
        json.dumps({name: getattr(each, name) for name in Instance.__slots__}) + "\n"
        for each in instances
    ]
    path.write_text("".join(lines))
    return path


def test_an_instance_becomes_a_task_whose_completion_the_engine_reads(gold, tmp_path):
    report = Report()
    found = list(all_tasks([rows(tmp_path / "a.jsonl", gold, gold)], tmp_path / "clones", report))
    assert [task.instance_id for task in found] == ["octo__sums-1"]
    assert report.left_out == {"twice": 1}
    task = found[0]
    assert task.files[0].text == BEFORE
    assert task.issue.title == "f2 and f4 subtract"
    read = read_search_replace(task.completion, task.context)
    assert isinstance(read, Edited)
    assert "+    return x + 4" in read.patch
    assert task.completion.count("SEARCH") == 2


def test_parquet_is_read_as_jsonl_is(gold, tmp_path):
    from datasets import Dataset

    folder = tmp_path / "parquet"
    folder.mkdir()
    columns = {name: getattr(gold, name) for name in Instance.__slots__}
    Dataset.from_list([{**columns, "FAIL_TO_PASS": ["t"], "hints_text": ""}]).to_parquet(
        str(folder / "train-00000-of-00001.parquet")
    )
    assert len(list(all_tasks([folder], tmp_path / "clones", Report()))) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repo": "django/django"}, "repository of SWE-bench"),
        ({"problem_statement": "broken"}, "issue too short or too long"),
        ({"problem_statement": STATEMENT + " word" * 1_500}, "issue too short or too long"),
        ({"problem_statement": STATEMENT + " ![shot](x)"}, "issue with images"),
        ({"problem_statement": STATEMENT + " https://example.org/x"}, "issue with links elsewhere"),
        ({"problem_statement": STATEMENT + " since 3f2a9bc"}, "issue with commit hashes"),
        ({"patch": "no diff"}, "patch that cannot be read"),
    ],
)
def test_what_the_paper_left_out_is_left_out_with_its_reason(gold, change, reason):
    assert left_out_for(gold) is None
    assert left_out_for(replace(gold, **change)) == reason


def test_links_to_the_repository_itself_and_plain_numbers_are_no_reason(gold):
    text = STATEMENT + " see https://github.com/octo/sums/issues/3 and 1234567 and deadbeef"
    assert left_out_for(replace(gold, problem_statement=text)) is None


def test_patches_of_many_files_and_of_new_ones_are_left_out(gold):
    one = gold.patch.replace("src/sums.py", "src/sums{n}.py")
    many = "".join(one.replace("{n}", str(n)) for n in range(4))
    assert left_out_for(replace(gold, patch=many)) == "patch of more than 3 files"
    new = "diff --git a/n.py b/n.py\nnew file mode 100644\n--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+x\n"
    said = "patch that adds, removes or renames a file"
    assert left_out_for(replace(gold, patch=new)) == said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repo": "octo/nowhere"}, "no clone of the repository"),
        ({"repo": "../octo/sums"}, "no clone of the repository"),
        ({"base_commit": "--output=x"}, "no base_commit"),
        ({"base_commit": "0" * 40}, "file not in the clone, too large, or no text"),
    ],
)
def test_what_git_cannot_give_is_counted_and_not_an_error(gold, tmp_path, change, reason):
    report = Report()
    path = rows(tmp_path / "a.jsonl", replace(gold, **change))
    assert list(all_tasks([path], tmp_path / "clones", report)) == []
    assert report.left_out == {reason: 1}


def test_trajectories_become_verdicts_of_known_tasks(tmp_path):
    path = tmp_path / "t.jsonl"
    row = {
        "instance_id": "a",
        "target": True,
        "generated_patch": "diff",
        "exit_status": "submitted",
    }
    told = [row, row, row | {"target": False, "generated_patch": "other"},
            row | {"generated_patch": None}, row | {"instance_id": "b"}]  # fmt: skip
    path.write_text("".join(json.dumps(each) + "\n" for each in told))
    report = Report()
    found = list(verdicts(path, frozenset({"a"}), report))
    assert [(each.resolved, each.patch) for each in found] == [(True, "diff"), (False, "other")]
    assert report.left_out == {"twice": 1, "no patch": 1, "task not kept": 1}


def test_a_missing_column_and_an_empty_folder_are_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"instance_id": "a"}\n')
    with pytest.raises(BadInputError, match="row 1 has no repo, base_commit"):
        list(all_tasks([path], tmp_path, Report()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="hf download internlm/SWE-Fixer-Train-110K"):
        list(all_tasks([tmp_path / "empty"], tmp_path, Report()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\na\nc\n", "a\nb\na\nd\n"),
        ("x\nx\nx\n", "x\ny\nx\n"),
        ("one\n", "one\ntwo\n"),
        ("one\ntwo\n", "two\n"),
        ("a\n\n\nb\n", "a\n\nc\n\nb\n"),
        ("p\nq\nr\ns\nt\n", "P\nq\nR\ns\nT\n"),
    ],
)
def test_blocks_say_exactly_the_change(before, after):
    read = read_search_replace(
        search_replace("a.txt", before, after), CodeContext((SourceFile("a.txt", before),))
    )
    assert isinstance(read, Edited)
    from engine.edits import unified_diff

    assert read.patch == unified_diff("a.txt", before, after)
