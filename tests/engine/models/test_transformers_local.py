"""What a chat model adds to the line models' checks of `test_decoding.py`."""

import json
from pathlib import Path

from engine.models.base import EditFormat, Profile, Prompt, Sampling
from engine.models.transformers_local import TransformersLocal
from tests.engine.models.tiny import make_tiny

CHAT = Profile(EditFormat.SEARCH_REPLACE, evolves=False, context_tokens=512)


def test_a_chat_model_is_asked_through_its_template(tmp_path: Path):
    chat = make_tiny(tmp_path / "chat")
    path = chat / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["chat_template"] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    path.write_text(json.dumps(settings))
    model = TransformersLocal(chat, name="chat", profile=CHAT, threads=1)
    one = list(model.sample(Prompt("", "<code>x"), Sampling(1, 0.0, 4, seed=0)))
    two = list(model.sample(Prompt("Be brief.", "<code>x"), Sampling(1, 0.0, 4, seed=0)))
    assert two[0].tokens_in > one[0].tokens_in > 3
