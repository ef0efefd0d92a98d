"""A Qwen2 model of some thousand parameters, made on the spot: real code paths, no download."""

from pathlib import Path

from engine.training.tokenizer import train_tokenizer

VOCABULARY = 512


def make_tiny(folder: Path, hidden: int = 32) -> Path:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sources = ["def f(a, b):\n    return a - b\n", "def g(x):\n    if x > 0:\n        return x\n"]
    tokenizer = train_tokenizer(sources, VOCABULARY)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder
