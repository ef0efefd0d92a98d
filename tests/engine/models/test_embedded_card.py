"""What the card beside the shipped weights says of them."""

import hashlib
import json
import re

from engine.models import EMBEDDED

MOST_BYTES = 40 * 1024**2


def test_the_card_holds_the_weights_digest_the_commands_and_their_seeds():
    card = (EMBEDDED / "README.md").read_text(encoding="utf-8")
    digest = hashlib.sha256((EMBEDDED / "model.safetensors").read_bytes()).hexdigest()
    assert f"`model.safetensors` | sha256 `{digest}`" in card
    commands = re.findall(r"^evoscale train pretrain .*$", card, re.MULTILINE)
    assert commands
    assert all("--seed" in command for command in commands)


def test_what_ships_is_small_and_of_a_type_that_others_load():
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) <= MOST_BYTES
    told = json.loads((EMBEDDED / "config.json").read_text())
    assert (told["model_type"], told["architectures"]) == ("qwen2", ["Qwen2ForCausalLM"])
