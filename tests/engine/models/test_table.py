import json
from typing import get_args

import pytest

from engine import models
from engine.errors import ModelUnavailableError
from engine.models.base import Prompt, Sampling
from engine.settings import EngineSettings


def test_a_scripted_model_is_read_from_a_file(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps([["one", "two"], ["three"]]))
    model = models.load(EngineSettings(model="scripted", model_name=str(path)))
    sampling = Sampling(3, 0.0, 10, 0)
    assert [c.text for c in model.sample(Prompt("", "p"), sampling)] == ["one", "two", "one"]
    assert [c.text for c in model.sample(Prompt("", "p"), sampling)] == ["three"] * 3


@pytest.mark.parametrize("content", ["", "{}", "[]", "[[]]", '["a"]', "[[1]]"])
def test_a_file_that_is_no_script_is_refused(tmp_path, content):
    path = tmp_path / "script.json"
    path.write_text(content)
    with pytest.raises(ModelUnavailableError, match="scripted"):
        models.load(EngineSettings(model="scripted", model_name=str(path)))


@pytest.mark.parametrize(
    "back_end", ["transformers_local", "vllm_server", "vllm_local", "scripted"]
)
def test_a_back_end_that_needs_a_name_says_which_setting(back_end):
    with pytest.raises(ModelUnavailableError, match="EVOSCALE_ENGINE_MODEL_NAME"):
        models.load(EngineSettings(model=back_end))


def test_vllm_inside_the_worker_says_how_to_install_it():
    try:
        import vllm  # noqa: F401  # only whether it can be imported matters
    except ImportError:
        with pytest.raises(ModelUnavailableError, match="vLLM is not installed"):
            models.load(EngineSettings(model="vllm_local", model_name="some/model"))


def test_a_model_folder_that_is_missing_a_file_says_which(tmp_path):
    model = models.load(EngineSettings(model="embedded", model_name=str(tmp_path)))
    with pytest.raises(ModelUnavailableError, match=r"config\.json"):
        list(model.sample(Prompt("", "p"), Sampling(1, 0.0, 4, 0)))


def test_a_released_model_brings_its_own_prompt_format_context_and_temperature():
    settings = EngineSettings(
        model="vllm_server", model_name="Satori-reasoning/Satori-SWE-RL-32B",
        model_profile="satori-swe-rl", model_edit_format="line", model_context_tokens=512,
    )  # fmt: skip
    with models.opened(settings) as model:
        profile = model.profile
    assert profile == models.RELEASED["satori-swe-rl"]
    assert profile.evolves
    assert profile.temperature is not None
    assert not models.RELEASED["satori-swe-sft"].evolves


def test_every_profile_that_can_be_set_is_known():
    known = get_args(EngineSettings.model_fields["model_profile"].annotation)
    assert set(known) - {""} == set(models.RELEASED)
