"""The embedded model's network: made with random weights, stepped, evaluated, exported."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.training.batches import Batch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

CONTEXT_TOKENS = 2048
LINE_LOSS = 0.5
LINE_TOKEN_WEIGHT = 8.0
"""A repair's first token says which line, which is the hard part; the others are mostly copied."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The Qwen2 configuration; `vocabulary` is a multiple of 64 and the head dimension 64."""

    hidden: int = 256
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    intermediate: int = 704
    vocabulary: int = 4096


SIZES = {
    "3M": Shape(hidden=192, layers=6, heads=3, kv_heads=1, intermediate=512),
    "7M": Shape(),
    "18M": Shape(hidden=384, layers=10, heads=6, kv_heads=2, intermediate=1024, vocabulary=6144),
}


def shape_of(folder: Path) -> Shape:
    """The shape of an exported model.

    Raises:
        BadInputError: the folder holds none.
    """
    path = folder / "config.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Shape(
            hidden=told["hidden_size"],
            layers=told["num_hidden_layers"],
            heads=told["num_attention_heads"],
            kv_heads=told["num_key_value_heads"],
            intermediate=told["intermediate_size"],
            vocabulary=told["vocab_size"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{folder} holds no model of ours to begin from: {error}"
        raise BadInputError(msg) from error


def new_model(shape: Shape, tokenizer: "PreTrainedTokenizerFast") -> "Qwen2ForCausalLM":
    """A Qwen2 model with random weights, and while it is trained a head that scores lines.

    The head, `suspicion`, reads a middle layer's state at each line's closing number and says how
    likely that line is the one to repair, so that the layers above it can look the answer up. It is
    not exported.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            intermediate_size=shape.intermediate,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.suspicion = torch.nn.Linear(shape.hidden, 1)
    return model


def load_weights(model: "Qwen2ForCausalLM", folder: Path) -> None:
    """Begin from an exported model's weights; the head that scores lines begins anew.

    Raises:
        BadInputError: the folder holds no model, or one of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
        model.model.load_state_dict({k.removeprefix("model."): v for k, v in stored.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        msg = f"{folder} holds no model of this shape to begin from: {error}"
        raise BadInputError(msg) from error


def mixed_precision() -> "torch.autocast":
    """bf16 arithmetic over float32 weights where the processor has it, float32 where not.

    Without the instructions bf16 is emulated, a hundred times as slow as float32.
    """
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=has_bf16())


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself."""
    import torch

    told = torch.cpu.get_capabilities()
    return bool(told.get("avx512_bf16") or told.get("amx_bf16") or told.get("bf16"))


def make_optimizers(
    model: "Qwen2ForCausalLM", *, matrix_lr: float, other_lr: float, weight_decay: float
) -> "list[torch.optim.Optimizer]":
    """Muon for the layers' matrices, AdamW for embeddings, biases and norms."""
    import torch

    from engine.training.muon import Muon

    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    embeddings = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" in n]
    vectors = [p for n, p in model.named_parameters() if p.ndim == 1 or "suspicion" in n]
    groups = [
        {"params": embeddings, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [
        Muon(inner, lr=matrix_lr, weight_decay=weight_decay),
        torch.optim.AdamW(groups, lr=other_lr, betas=(0.9, 0.98)),
    ]
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return found


def backward(model: "Qwen2ForCausalLM", batch: Batch, code_loss: float) -> float:
    """Put one batch's gradients into the model; the repair loss in nats a token."""
    model.train()
    with mixed_precision():
        repair, line, code = _losses(model, batch, with_code=code_loss > 0)
    (repair + LINE_LOSS * line + code_loss * code).backward()  # type: ignore[no-untyped-call]  # torch
    return float(repair.detach())


def update(
    model: "Qwen2ForCausalLM", optimizers: "list[torch.optim.Optimizer]", scale: float
) -> None:
    """One optimizer step at this share of the peak learning rates, gradients clipped to norm 1."""
    import torch

    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _losses(
    model: "Qwen2ForCausalLM", batch: Batch, *, with_code: bool
) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Mean cross-entropy over repair tokens, over lines to choose, over code tokens: scalars."""
    import torch
    from torch.nn.functional import cross_entropy, rms_norm

    ids = torch.from_numpy(batch.ids).long()
    out = model.model(input_ids=ids[:, :-1], use_cache=False, output_hidden_states=True)
    hidden = out.last_hidden_state
    targets = ids[:, 1:]
    is_edit, is_code = _masks(batch, targets.shape[1])
    is_first = torch.zeros_like(is_edit)
    is_first[torch.arange(len(ids)), torch.from_numpy(batch.edit_starts).long() - 1] = True
    repair = cross_entropy(
        model.lm_head(hidden[is_edit]).float(), targets[is_edit], reduction="none"
    )
    weights = 1.0 + (LINE_TOKEN_WEIGHT - 1.0) * is_first[is_edit]
    repair = (repair * weights).sum() / weights.sum()
    middle = out.hidden_states[2 * len(out.hidden_states) // 3]
    scores = model.get_submodule("suspicion")(rms_norm(middle, middle.shape[-1:]))[..., 0]
    line = line_loss(scores.float(), batch, ids)
    if not with_code:
        return repair, line, torch.zeros(())
    return repair, line, cross_entropy(model.lm_head(hidden[is_code]).float(), targets[is_code])


def line_loss(scores: "torch.Tensor", batch: Batch, ids: "torch.Tensor") -> "torch.Tensor":
    """Cross-entropy of choosing the line to repair among the lines shown, a scalar.

    `scores` has shape (rows, tokens - 1); a line's score stands at its closing number.
    """
    import torch

    at = torch.arange(ids.shape[1] - 1)[None]
    code_ends, starts = (torch.from_numpy(a).long() for a in (batch.code_ends, batch.edit_starts))
    first, last = batch.line_ids
    is_line = (ids >= first) & (ids <= last)
    numbers = torch.where(is_line, ids, 0).cummax(1).values
    ends = is_line[:, :-1] & (at < code_ends[:, None])
    ends[:, 1:] &= numbers[:, :-2] == ids[:, 1:-1]
    wanted = ids.gather(1, starts[:, None])
    masked = scores.masked_fill(~ends, float("-inf"))
    chosen = torch.where(ends & (ids[:, :-1] == wanted), scores, 0.0).sum(1)
    return (masked.logsumexp(1) - chosen).mean()


def _masks(batch: Batch, width: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Which targets are repair and which are code, two boolean tensors of shape (rows, width)."""
    import torch

    at = torch.arange(1, width + 1)[None]
    code_ends, starts, lengths = (
        torch.from_numpy(a).long()[:, None]
        for a in (batch.code_ends, batch.edit_starts, batch.lengths)
    )
    return (at >= starts) & (at < lengths), at < code_ends


@dataclass(frozen=True, slots=True)
class DevFigures:
    """Teacher-forced figures on dev examples."""

    loss: float
    exact: float
    line: float


def evaluate(model: "Qwen2ForCausalLM", dev: Sequence[Batch]) -> DevFigures | None:
    """The dev examples' figures; None without examples."""
    import torch
    from torch.nn.functional import cross_entropy

    model.train(mode=False)
    loss = tokens = exact = line = examples = 0.0
    with torch.inference_mode(), mixed_precision():
        for batch in dev:
            ids = torch.from_numpy(batch.ids).long()
            hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
            targets = ids[:, 1:]
            is_edit, _ = _masks(batch, targets.shape[1])
            logits = model.lm_head(hidden[is_edit]).float()
            loss += float(cross_entropy(logits, targets[is_edit], reduction="sum"))
            tokens += len(logits)
            right = torch.ones_like(is_edit)
            right[is_edit] = logits.argmax(-1) == targets[is_edit]
            exact += float(right.all(1).sum())
            starts = torch.from_numpy(batch.edit_starts).long() - 1
            line += float(right.gather(1, starts[:, None]).sum())
            examples += len(ids)
    return DevFigures(loss / tokens, exact / examples, line / examples) if examples else None


def export(model: "Qwen2ForCausalLM", tokenizer: "PreTrainedTokenizerFast", folder: Path) -> Path:
    """Write bf16 safetensors, configuration and tokenizer, as transformers and vLLM load them."""
    import torch
    from transformers import Qwen2ForCausalLM

    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("suspicion")}
    exported = Qwen2ForCausalLM(model.config)
    exported.load_state_dict(weights)
    torch.nn.Module.to(exported, torch.bfloat16)
    exported.save_pretrained(folder)
    tokenizer.model_max_length = min(CONTEXT_TOKENS, model.config.max_position_embeddings)
    tokenizer.save_pretrained(folder)
    _name_tokenizer(folder / "tokenizer_config.json")
    return folder


def _name_tokenizer(path: Path) -> None:
    """Keep what every version of transformers reads, and nothing of the machine it was made on."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    kept = {k: v for k, v in settings.items() if k not in {"is_local", "local_files_only"}}
    kept["tokenizer_class"] = "Qwen2Tokenizer"
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
