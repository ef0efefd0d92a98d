"""How much memory each stage needs and how many cards that is, from the model's own numbers.

An estimate before money is spent, not a measurement: each formula names its source, and what it
leaves out (fragmentation, the framework's own buffers) is what `RESERVE` is for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.errors import BadInputError
from engine.training.libraries.config import Architecture, LargeConfig

GIB = 1024**3
RESERVE = 0.10
"""The share of each card that is left to CUDA's context, NCCL and fragmentation."""

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


@dataclass(frozen=True, slots=True)
class Need:
    """What one stage needs. `per_card` is at `cards` cards; None where none are enough."""

    stage: str
    state: State
    card: int
    cards: int | None
    per_card: int | None
    note: str = ""


def cards_for(sharded: int, local: int, memory: int, per_node: int) -> int | None:
    """The fewest cards that hold `sharded` bytes among them and `local` bytes on each.

    Powers of two within a node, whole nodes above: ranks of other numbers waste batches and break
    tensor parallelism. None where `local` alone does not fit.
    """
    room = int(memory * (1 - RESERVE)) - local
    if room <= 0:
        return None
    exact = math.ceil(sharded / room)
    if exact <= per_node:
        return 1 << max(0, exact - 1).bit_length()
    return math.ceil(exact / per_node) * per_node


def needs(config: LargeConfig) -> Iterator[Need]:
    """Every stage with all weights trained and, at the configuration's rank, with adapters.

    Raises:
        BadInputError: the configuration has no [architecture].
    """
    shape = _shape(config)
    count = parameters(shape).total
    adapters = adapter_parameters(shape, config.lora.rank if config.lora else 32)
    ways = (("full", full_state(count)), ("LoRA", adapter_state(count, adapters)))
    for way, state in ways:
        yield _need(config, f"SFT, {way}", state, _step_bytes(config, config.sft.batch, head=True))
        judged = _step_bytes(config, config.reward.batch, head=False)
        yield _need(config, f"reward model, {way}", state, judged)
        yield _rl(config, f"RL, {way}", state)
    serving = State(BF16 * count, 0, 0)
    scored = kv_cache(shape, config.model.context_tokens)
    yield _need(config, "reward server", serving, scored, "beside RL, where rl.reward = 'server'")


def _shape(config: LargeConfig) -> Architecture:
    if config.architecture is None:
        raise BadInputError(
            "the configuration has no [architecture]; copy hidden, layers, heads, kv_heads, "
            "intermediate, vocabulary and tied_embeddings from the model's config.json"
        )
    return config.architecture


def _step_bytes(config: LargeConfig, batch: int, *, head: bool) -> int:
    """Activations of one process's batch at full length, and the largest layer gathered whole."""
    shape = _shape(config)
    tokens = batch * config.model.context_tokens
    found = activations(shape, tokens, checkpointed=config.run.checkpoint_activations)
    gathered = BF16 * max(parameters(shape).layer, parameters(shape).head)
    return found + gathered + (logits(shape, tokens) if head else 0)


def _rl(config: LargeConfig, stage: str, state: State) -> Need:
    """Training and generation take turns: vLLM sleeps while weights are updated.

    The peak is the larger of both turns; the sharded training state stays on the card in either.
    Logits are kept for the completion only.
    """
    shape, model = _shape(config), config.model
    training = _step_bytes(config, config.rl.batch, head=False)
    training += logits(shape, config.rl.batch * model.completion_tokens)
    if config.rl.vllm != "colocate":
        return _need(config, stage, state, training, "vLLM runs on cards of its own")
    share = config.rl.vllm_tensor_parallel
    own = config.rl.batch * config.rl.accumulate
    cache = kv_cache(shape, own * model.context_tokens)  # a rank's own share of its group's cache
    generating = BF16 * parameters(shape).total // share + min(cache, _granted(config, share))
    note = f"vLLM colocated over {share} card{'s' if share > 1 else ''}"
    need = _need(config, stage, state, max(training, generating), note)
    if need.cards is None or need.cards >= share:
        return need
    return replace(need, cards=share, per_card=math.ceil(state.total / share) + need.card)


def _granted(config: LargeConfig, share: int) -> int:
    """What `vllm_memory` leaves for the cache on a card, once vLLM's part of the weights is in."""
    grant = int(config.rl.vllm_memory * config.hardware.gpu_memory_gib * GIB)
    return max(0, grant - BF16 * parameters(_shape(config)).total // share)


def _need(config: LargeConfig, stage: str, state: State, local: int, note: str = "") -> Need:
    memory = int(config.hardware.gpu_memory_gib * GIB)
    cards = cards_for(state.total, local, memory, config.hardware.gpus_per_node)
    per_card = math.ceil(state.total / cards) + local if cards else None
    return Need(stage, state, local, cards, per_card, note)
