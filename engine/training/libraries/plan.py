"""How much memory each stage needs and how many cards that is.

An estimate before money is spent, not a measurement: what `memory.py` leaves out (fragmentation,
the framework's own buffers) is what `RESERVE` is for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.errors import BadInputError
from engine.training.libraries.config import Architecture, LargeConfig
from engine.training.libraries.memory import (
    BF16,
    State,
    activations,
    adapter_parameters,
    adapter_state,
    full_state,
    kv_cache,
    logits,
    parameters,
)

GIB = 1024**3
RESERVE = 0.10
"""The share of each card that is left to CUDA's context, NCCL and fragmentation."""


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
