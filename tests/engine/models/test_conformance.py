"""The Model protocol as checks that every back end passes."""

from collections.abc import Iterator

import pytest

from engine import line_format
from engine.models import BACK_ENDS
from engine.models.base import EditFormat, Model, Profile, Prompt, Sampling
from engine.models.scripted import ScriptedModel
from engine.models.transformers_local import TransformersLocal
from engine.models.vllm_server import Endpoint, VllmServer
from tests.engine.models.served import served
from tests.engine.models.tiny import make_tiny

SOURCE = "def f(a, b):\n    return a - b\n"
LINE = Profile(EditFormat.LINE, evolves=False, context_tokens=512)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=["scripted", "transformers_local", "vllm_server"])
def model(request, tiny_folder) -> Iterator[Model]:
    if request.param == "scripted":
        yield ScriptedModel([["<L1>    return a + b", "<L0>x"]], edit_format=EditFormat.LINE)
    elif request.param == "transformers_local":
        yield TransformersLocal(tiny_folder, name="tiny", profile=LINE, threads=1)
    else:
        with served() as server:
            yield VllmServer(Endpoint(server.url, "served"), LINE)


def prompt() -> Prompt:
    return Prompt("", line_format.render_prompt(SOURCE, issue="wrong sign", previous=()))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_exactly_n_completions_come_numbered_from_zero(model, n):
    completions = list(model.sample(prompt(), Sampling(n, 0.9, 12, seed=3)))
    assert sorted(c.sample for c in completions) == list(range(n))


def test_tokens_are_counted(model):
    for completion in model.sample(prompt(), Sampling(2, 0.9, 12, seed=3)):
        assert completion.tokens_in > 0
        assert completion.tokens_out > 0


def test_it_has_a_name_and_a_profile(model):
    assert model.name
    assert model.profile.edit_format is EditFormat.LINE


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_the_same_seed_gives_the_same_texts(model, temperature):
    sampling = Sampling(3, temperature, 12, seed=11)
    first = {c.sample: c.text for c in model.sample(prompt(), sampling)}
    again = {c.sample: c.text for c in model.sample(prompt(), sampling)}
    assert first == again


def test_stopping_early_is_harmless(model):
    iterator = model.sample(prompt(), Sampling(4, 0.9, 12, seed=3))
    next(iter(iterator))
    if hasattr(iterator, "close"):
        iterator.close()
    assert len(list(model.sample(prompt(), Sampling(1, 0.9, 12, seed=3)))) == 1


def test_every_back_end_of_the_table_is_named_in_the_settings():
    from typing import get_args

    from engine.settings import EngineSettings

    assert set(BACK_ENDS) == set(get_args(EngineSettings.model_fields["model"].annotation))
