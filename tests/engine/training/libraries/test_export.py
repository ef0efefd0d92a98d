"""Exports read the way the libraries read them, and the reward server that both ask."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from datasets import load_dataset

from engine.errors import BadInputError
from engine.training.libraries import verl_reward
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.export import advice, export
from engine.training.libraries.messages import usable
from engine.training.libraries.public_git import search_replace
from engine.training.libraries.reward_server import Rewards, make_server
from engine.training.libraries.sampling import sample
from engine.training.libraries.scoring import ScoreServer, Similarity
from engine.training.libraries.tasks import TaskFile
from tests.engine.training.libraries.conftest import ADD, LARGEST, TASKS, config_of, write

FIXED = search_replace("sums.py", ADD, ADD.replace("a - b", "a + b"))
WRONG = search_replace("sums.py", ADD, ADD.replace("a - b", "a * b"))


@pytest.fixture
def chats(told: dict[str, dict[str, object]], tmp_path: Path) -> LargeConfig:
    fixed = [FIXED, search_replace("sums.py", LARGEST, LARGEST.replace("value < b", "value > b"))]
    tasks = [{**task, "completion": text} for task, text in zip(TASKS, fixed, strict=True)]
    candidates = [{"instance_id": "octo__sums-1", "completion": text} for text in (FIXED, WRONG)]
    told["model"] |= {"edit_format": "search_replace", "context_tokens": 4096}
    told["data"] |= {
        "tasks": str(write(tmp_path / "chats.jsonl", tasks)),
        "candidates": str(write(tmp_path / "c.jsonl", candidates)),
    }
    told["rl"] |= {"without_examples": 0.3, "examples": 1}
    return config_of(told)


@pytest.fixture
def served(chats: LargeConfig) -> Iterator[str]:
    rewards = Rewards(TaskFile(chats.data.tasks), Similarity(), chats.model.profile, 0.2)
    with make_server(rewards, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_openrlhf_reads_prompts_labels_and_answers_by_the_keys_it_is_told(chats, tmp_path):
    written = export(chats, "openrlhf", tmp_path / "out", Similarity(), rounds=8)
    assert written == {"sft.jsonl": 2, "mutation.jsonl": 1, "rl.jsonl": 16}
    rl = load_dataset("json", data_files=str(tmp_path / "out" / "rl.jsonl"))["train"]
    for row in rl:
        assert [message["role"] for message in row["input"]] == ["system", "user"]
        assert set(json.loads(row["label"])) == {"instance_id", "previous"}
        assert row["datasource"] == "evoscale"
    sft = load_dataset("json", data_files=str(tmp_path / "out" / "sft.jsonl"))["train"]
    assert sft[0]["output"] == FIXED
    said = advice("openrlhf", tmp_path, Path("f.py"))
    assert "--reward.remote_url http://127.0.0.1:8100/get_reward" in said


def test_rows_of_one_issue_differ_in_what_they_are_compared_with(chats, tmp_path):
    export(chats, "openrlhf", tmp_path / "out", Similarity(), rounds=16)
    rows = (tmp_path / "out" / "rl.jsonl").read_text().splitlines()
    labels = [json.loads(json.loads(line)["label"]) for line in rows]
    first = {each["previous"] for each in labels if each["instance_id"] == "octo__sums-1"}
    assert len(first) == 3  # without examples, with the wrong one, with the right one


def test_verl_reads_the_keys_that_its_dataset_and_reward_manager_want(chats, tmp_path):
    export(chats, "verl", tmp_path / "out", Similarity())
    rows = load_dataset("json", data_files=str(tmp_path / "out" / "rl.jsonl"))["train"]
    for number, row in enumerate(rows):
        assert row["data_source"] == "evoscale"
        assert row["prompt"][1]["role"] == "user"
        assert json.loads(row["reward_model"]["ground_truth"])["instance_id"]
        assert row["extra_info"]["index"] == number
    sft = load_dataset("parquet", data_files=str(tmp_path / "out" / "sft.parquet"))["train"]
    assert [message["role"] for message in sft[0]["messages"]] == ["system", "user", "assistant"]


def test_line_models_are_not_exported_as_chats(told, tmp_path):
    with pytest.raises(BadInputError, match="search_replace"):
        export(config_of(told), "verl", tmp_path, None)


def test_openrlhfs_request_is_answered_in_its_words(served):
    labels = [json.dumps({"instance_id": "octo__sums-1", "previous": 0.5})] * 2
    asked = {
        "query": ["<user>fix it" + FIXED + "<|im_end|>", "<user>fix it" + "no edit"],
        "prompts": ["<user>fix it"] * 2,
        "labels": labels,
    }
    told = httpx.post(f"{served}/get_reward", json=asked).json()
    assert told["rewards"] == pytest.approx([0.5, -0.7])
    assert told["scores"] == pytest.approx([1.0, 0.0])
    assert told["extra_logs"] == {"usable": [1.0, 0.0]}


def test_verls_reward_function_is_loaded_by_its_path_and_asks_the_server(served):
    spec = importlib.util.spec_from_file_location("custom_module", verl_reward.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    label = json.dumps({"instance_id": "octo__sums-1", "previous": 0.25})
    told = module.compute_score(
        data_source="evoscale", solution_str=FIXED, ground_truth=label,
        extra_info={"index": 0, "num_turns": None}, reward_url=f"{served}/objective",
    )  # fmt: skip
    assert told == {"score": 0.75, "usable": 1.0}


def test_verls_reward_function_stops_the_training_where_no_server_is():
    with pytest.raises(RuntimeError, match="evoscale train large serve"):
        verl_reward.compute_score("evoscale", "", "{}", reward_url="http://127.0.0.1:9/objective")


def test_the_same_scores_come_from_the_server_as_from_here(served, chats):
    task = TaskFile(chats.data.tasks).get("octo__sums-1")
    pairs = [(task, usable(task, text, chats.model.profile)) for text in (FIXED, WRONG)]
    assert ScoreServer(f"{served}/score").score(pairs) == Similarity().score(pairs)
    with pytest.raises(BadInputError, match="evoscale train large serve"):
        ScoreServer("http://127.0.0.1:9/score").score(pairs)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/score", b"{", 400),
        ("/score", b'{"rows": [{"instance_id": "nobody", "completion": ""}]}', 422),
        ("/else", b"{}", 404),
        ("/get_reward", b'{"query": ["a"], "prompts": [], "labels": []}', 400),
    ],
)
def test_what_cannot_be_answered_is_told_and_the_server_stays(served, path, body, status):
    assert httpx.post(f"{served}{path}", content=body).status_code == status
    assert httpx.get(served).json() == {"status": "ready"}


def test_candidates_are_sampled_once_and_a_second_run_goes_on(chats, tmp_path):
    from engine.models.base import EditFormat
    from engine.models.scripted import ScriptedModel

    script = tmp_path / "script.json"
    script.write_text(json.dumps([[FIXED], [WRONG]] * 8))
    model = ScriptedModel.from_file(script, EditFormat.SEARCH_REPLACE)
    out, heard = tmp_path / "sampled.jsonl", []
    assert sample(chats, model, 2, out, heard.append) == 4
    assert heard == ["octo__sums-1", "octo__sums-2"]
    assert sample(chats, model, 2, out, heard.append) == 0
    assert len(out.read_text().splitlines()) == 4
