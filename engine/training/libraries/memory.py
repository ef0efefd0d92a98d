"""Weights, training state, activations, logits and caches of a model, in counts and bytes.

Each formula names its source; tests compare the counts with models that transformers builds.
"""

from dataclasses import dataclass

from engine.training.libraries.config import Architecture

BF16, FP32 = 2, 4


@dataclass(frozen=True, slots=True)
class Parameters:
    """How many weights there are, and where."""

    embedding: int
    layer: int
    layers: int
    head: int
    final_norm: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.embedding + self.layer * self.layers + self.head + self.final_norm


def parameters(shape: Architecture) -> Parameters:
    """Weights of a Qwen2 model.

    Source: the modules of `transformers.models.qwen2` (query, key and value have biases, the output
    projection and the gated MLP have none, two RMS norms a layer); a test compares the sum with a
    model that transformers builds.
    """
    kv = shape.hidden * shape.kv_heads // shape.heads
    attention = 2 * shape.hidden**2 + 2 * shape.hidden * kv + shape.hidden + 2 * kv
    mlp = 3 * shape.hidden * shape.intermediate
    embedding = shape.vocabulary * shape.hidden
    head = 0 if shape.tied_embeddings else embedding
    layer = attention + mlp + 2 * shape.hidden
    return Parameters(embedding, layer, shape.layers, head, shape.hidden)


def adapter_parameters(shape: Architecture, rank: int) -> int:
    """Weights of low-rank adapters on every linear layer but the head.

    Source: arXiv 2106.09685, section 4.1: r x (in + out) for each adapted matrix.
    """
    kv = shape.hidden * shape.kv_heads // shape.heads
    attention = 2 * (2 * shape.hidden) + 2 * (shape.hidden + kv)
    mlp = 3 * (shape.hidden + shape.intermediate)
    return rank * (attention + mlp) * shape.layers


@dataclass(frozen=True, slots=True)
class State:
    """Bytes of model state, before it is divided among cards."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer


def full_state(count: int) -> State:
    """Mixed-precision training of all weights with Adam.

    Source: ZeRO, arXiv 1910.02054, section 3.1: 2 bytes of weights, 2 of gradients and K = 12 of
    optimizer state (float32 copy, momentum, variance) a parameter. Float32 weights under autocast,
    4 + 4 + 8, come to the same sum.
    """
    return State(BF16 * count, BF16 * count, 12 * count)


def adapter_state(count: int, adapters: int) -> State:
    """Frozen bf16 weights; only the adapters have gradients and optimizer state (as above)."""
    return State(BF16 * (count + adapters), BF16 * adapters, 12 * adapters)


def activations(shape: Architecture, tokens: int, *, checkpointed: bool) -> int:
    """Bytes of activations of one sequence batch of `tokens` tokens on one card, bf16.

    Source: arXiv 2205.05198, sections 4.1 and 4.4: recomputing everything leaves each layer's input
    (2 bytes x tokens x hidden) and one layer's inner values at a time. Their 34 bytes of inner
    values are counted anew for this layer: without dropout, with fused attention (no tokens x
    tokens matrix), grouped keys and values, and a gated MLP of four tensors of the inner width.
    """
    share = shape.kv_heads / shape.heads
    attention = shape.hidden * (2 + 2 * share + 2)  # its input, query, key, value, its output
    mlp = shape.hidden * 2 + shape.intermediate * 4
    inner = int(BF16 * tokens * (attention + mlp))
    if checkpointed:
        return BF16 * tokens * shape.hidden * shape.layers + inner
    return inner * shape.layers


def logits(shape: Architecture, tokens: int) -> int:
    """Bytes of the head's output: bf16 logits, their float32 copy and its gradient.

    Source: the loss of transformers' causal models, which casts to float32; with a vocabulary of
    150,000 this is the largest single tensor of a step.
    """
    return tokens * shape.vocabulary * (BF16 + 2 * FP32)


def kv_cache(shape: Architecture, tokens: int) -> int:
    """Bytes of keys and values, bf16.

    Source: arXiv 2309.06180, section 3: two vectors a layer and token; grouped heads (arXiv
    2305.13245) keep kv_heads / heads of the width.
    """
    head = shape.hidden // shape.heads
    return 2 * shape.layers * shape.kv_heads * head * BF16 * tokens
