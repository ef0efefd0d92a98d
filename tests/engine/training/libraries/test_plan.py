"""The arithmetic against models that transformers builds, and against figures that others give."""

import pytest

from engine.errors import BadInputError
from engine.training.libraries.config import SHIPPED, Architecture, load_config
from engine.training.libraries.memory import (
    adapter_parameters,
    full_state,
    kv_cache,
    parameters,
)
from engine.training.libraries.plan import GIB, cards_for, needs

SMALL = Architecture(
    hidden=64, layers=3, heads=4, kv_heads=2, intermediate=96, vocabulary=256, tied_embeddings=True
)


def built(shape: Architecture) -> object:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    with torch.device("meta"):
        return Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=shape.vocabulary, hidden_size=shape.hidden,
                num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
                num_key_value_heads=shape.kv_heads, intermediate_size=shape.intermediate,
                tie_word_embeddings=shape.tied_embeddings,
            )
        )  # fmt: skip


@pytest.mark.parametrize("name", [*SHIPPED, "small"])
def test_parameters_are_those_of_the_model_that_transformers_builds(name):
    shape = SMALL if name == "small" else load_config(name).architecture
    assert sum(p.numel() for p in built(shape).parameters()) == parameters(shape).total


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's own
def test_adapter_parameters_are_those_that_peft_adds():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(built(SMALL), LoraConfig(r=4, target_modules="all-linear"))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == adapter_parameters(SMALL, 4)


def test_mixed_precision_with_adam_takes_16_bytes_a_parameter():
    assert full_state(1_000).total == 16_000


def test_the_cache_of_a_32b_model_is_a_quarter_of_a_mebibyte_a_token():
    assert kv_cache(load_config("qwen2.5-coder-32b").architecture, 1) == 2**18


def test_cards_are_powers_of_two_in_a_node_and_whole_nodes_above():
    def cards(gib: int, own: int = 0) -> int | None:
        return cards_for(gib * GIB, own * GIB, 80 * GIB, 8)

    assert (cards(70), cards(150), cards(500), cards(600)) == (1, 4, 8, 16)
    assert cards(10, own=72) is None


@pytest.mark.parametrize("name", SHIPPED)
def test_every_stage_of_the_shipped_configurations_fits_its_cards(name):
    config = load_config(name)
    found = list(needs(config))
    assert len(found) == 7
    for need in found:
        assert need.cards is not None
        assert need.per_card <= config.hardware.gpu_memory_gib * GIB
        if "colocated" in need.note:
            assert need.cards >= config.rl.vllm_tensor_parallel


def test_a_plan_needs_the_models_numbers():
    config = load_config("qwen2.5-coder-7b").model_copy(update={"architecture": None})
    with pytest.raises(BadInputError, match=r"config\.json"):
        list(needs(config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('[model]\nname = "x"\n', "data: Field required"),
        ("[[", "no TOML"),
        ('[model]\nname = "x"\nspeed = 1\n[data]\ntasks = "t"\n[run]\nout = "o"\n', "model.speed"),
        (
            '[model]\nname = "x"\n[data]\ntasks = "t"\n[run]\nout = "o"\n[rl]\nrollouts = 7\n',
            "multiple of rollouts",
        ),
    ],
)
def test_a_configuration_with_a_mistake_is_refused_by_its_place(tmp_path, change, said):
    path = tmp_path / "large.toml"
    path.write_text(change)
    with pytest.raises(BadInputError, match=said):
        load_config(path)


def test_a_configuration_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(BadInputError, match=r"qwen2\.5-coder-7b"):
        load_config(tmp_path / "none.toml")
