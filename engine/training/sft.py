"""Supervised training: pretraining from nothing, classical SFT and mutation SFT are this one loop.

The stages differ in where they begin (`base`), what they read (`train`) and how much of the loss is
the code itself. The learning rate follows the share of the budget that is spent, be it steps or
seconds: warm-up, a plateau, then down to zero. Two losses share one forward pass: the repair's
tokens, and in the first half of a pretraining also the code's own tokens, which give a small model
many times the supervision.
"""

import json
import math
import multiprocessing as mp
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.training.batches import CHUNK_ROWS, Batch, Feeder, batches, encode
from engine.training.checkpoints import FILE as CHECKPOINT
from engine.training.checkpoints import check_origin, write_checkpoint, write_config
from engine.training.exchange import Exchange
from engine.training.network import (
    DevFigures,
    Shape,
    backward,
    evaluate,
    export,
    load_weights,
    make_optimizers,
    new_model,
    update,
)
from engine.training.row_sources import RowSource
from engine.training.tokenizer import load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

WARM_UP = 0.02
DECAY_FROM = 0.3


@dataclass(frozen=True, slots=True)
class SftConfig:
    """One run; it ends at `max_steps` or after `wall_clock_s`, whichever comes first.

    `tokenizer` is a folder; without `base`, an exported model's folder, the weights are random.
    """

    train: RowSource
    tokenizer: Path
    out: Path
    dev: RowSource | None = None
    base: Path | None = None
    shape: Shape = field(default_factory=Shape)
    seed: int = 0
    wall_clock_s: float = 4800.0
    max_steps: int = 1_000_000
    tokens_per_step: int = 5120
    matrix_lr: float = 4e-3
    other_lr: float = 3e-3
    weight_decay: float = 0.1
    code_loss: float = 1.0
    dev_rows: int = 384
    report_every_s: float = 60.0
    evaluate_every_s: float = 480.0
    workers: int = 2


_ORIGIN = (
    "shape", "seed", "train", "base", "tokenizer", "matrix_lr", "other_lr", "weight_decay",
    "code_loss", "tokens_per_step",
)  # fmt: skip


def fine_tuned(config: SftConfig) -> SftConfig:
    """A stage that begins from a trained model: a fifth of the rates, nothing for the code itself.

    What was learned must outlive a short stage.
    """
    return replace(config, matrix_lr=8e-4, other_lr=6e-4, code_loss=0.0)


@dataclass(frozen=True, slots=True)
class SftProgress:
    """One line of the metrics file. Losses are nats a token; shares are of the dev examples.

    `exact` counts repairs whose every token is the model's first choice, `line` the first token.
    """

    step: int
    seconds: float
    tokens: int
    examples: int
    lr_scale: float
    loss: float
    dev_loss: float | None = None
    dev_exact: float | None = None
    dev_line: float | None = None


@dataclass(slots=True)
class _Run:
    """What a checkpoint holds."""

    model: "Qwen2ForCausalLM"
    optimizers: "list[torch.optim.Optimizer]"
    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    examples: int = 0


def train_sft(
    config: SftConfig,
    on_progress: Callable[[SftProgress], None],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """Train, or go on from the last checkpoint of `config.out`; the exported model's folder.

    Raises:
        BadInputError: the examples or the base are missing or unreadable, the checkpoint is of
            another run, the loss is no number, or torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        msg = "training needs torch and transformers; pip install 'evoscale[train]'"
        raise BadInputError(msg) from error

    config.out.mkdir(parents=True, exist_ok=True)
    write_config(config, config.out)
    tokenizer = load_tokenizer(config.tokenizer)
    dev = _dev_batches(config, tokenizer)
    if config.train.load() is None:
        msg = f"{config.train} holds no example to train on; build it again"
        raise BadInputError(msg)
    size = sum(p.numel() for p in new_model(config.shape, tokenizer).parameters())
    exchange = Exchange(config.workers, size)
    others = [
        mp.get_context("spawn").Process(target=_other_worker, args=(config, exchange, rank))
        for rank in range(1, config.workers)
    ]
    for process in others:
        process.start()
    try:
        run = _start(config, tokenizer)
        exchange.counts[0] += torch.tensor([run.tokens, run.examples])
        for progress in _worker(config, _Share(exchange, 0, dev), run, clock):
            with (config.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(progress)) + "\n")
            on_progress(progress)
    except BaseException:
        exchange.abort()
        raise
    finally:
        for process in others:
            process.join()
    return export(run.model, tokenizer, config.out / "model")


def _other_worker(config: SftConfig, exchange: Exchange, rank: int) -> None:
    """A further process: the same steps on other examples, nothing reported."""
    run = _start(config, load_tokenizer(config.tokenizer))
    for _ in _worker(config, _Share(exchange, rank), run, time.monotonic):
        pass


@dataclass(frozen=True, slots=True)
class _Share:
    """One process's part in the training; only process 0 has dev batches."""

    exchange: Exchange
    rank: int
    dev: Sequence[Batch] = ()


def _worker(
    config: SftConfig, share: _Share, run: _Run, clock: Callable[[], float]
) -> Iterator[SftProgress]:
    """One process's share of the training, fed from its own sequence of examples."""
    import torch

    torch.set_num_threads(1)
    first = run.examples // config.workers // CHUNK_ROWS * CHUNK_ROWS
    feeder = Feeder(
        config.train,
        config.tokenizer,
        tokens=config.tokens_per_step // config.workers,
        seed=config.seed * 1000 + share.rank,
        first=first,
    )
    with feeder:
        yield from _loop(config, share, run, iter(feeder), clock)


def _start(config: SftConfig, tokenizer: "PreTrainedTokenizerFast") -> _Run:
    """A new run, or the one that the checkpoint holds."""
    import torch

    model = new_model(config.shape, tokenizer)
    if config.base is not None:
        load_weights(model, config.base)
    optimizers = make_optimizers(
        model,
        matrix_lr=config.matrix_lr,
        other_lr=config.other_lr,
        weight_decay=config.weight_decay,
    )
    run = _Run(model, optimizers)
    path = config.out / CHECKPOINT
    if path.is_file():
        saved = torch.load(path, weights_only=True)
        check_origin(saved.get("origin"), _origin(config), path)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(run.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        run.step, run.tokens, run.examples = saved["step"], saved["tokens"], saved["examples"]
        run.seconds = saved["seconds"]
    return run


def _origin(config: SftConfig) -> dict[str, str]:
    """What two runs must share for one to go on from the other's checkpoint."""
    return {name: str(getattr(config, name)) for name in _ORIGIN}


def _save(run: _Run, origin: Mapping[str, str], path: Path) -> None:
    """Write down where the run stands."""
    state = {
        "origin": dict(origin),
        "model": run.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in run.optimizers],
        "step": run.step,
        "tokens": run.tokens,
        "examples": run.examples,
        "seconds": run.seconds,
    }
    write_checkpoint(state, path)


def _dev_batches(config: SftConfig, tokenizer: "PreTrainedTokenizerFast") -> list[Batch]:
    """Examples that are never trained on."""
    draw = config.dev.load() if config.dev else None
    if draw is None:
        return []
    encoded = encode(list(draw(config.seed, 0, config.dev_rows)), tokenizer)
    return list(batches(encoded, config.tokens_per_step, tokenizer, Random(config.seed)))


def _loop(
    config: SftConfig,
    share: _Share,
    run: _Run,
    feed: Iterator[Batch],
    clock: Callable[[], float],
) -> Iterator[SftProgress]:
    """Step until the budget is spent; process 0 reports, and less often evaluates and saves."""
    began = clock() - run.seconds
    reported = evaluated = run.seconds
    losses: list[float] = []
    spent = 0.0
    while spent < 1.0:
        spent = max((run.step + 1) / config.max_steps, run.seconds / config.wall_clock_s)
        spent = share.exchange.agree(share.rank, spent)
        losses.append(_step(config, share, run, next(feed), spent))
        run.seconds = clock() - began
        if share.rank or (run.seconds - reported < config.report_every_s and spent < 1.0):
            continue
        run.tokens, run.examples = (int(n) for n in share.exchange.counts.sum(0))
        due = run.seconds - evaluated >= config.evaluate_every_s or spent >= 1.0
        yield _progress(run, losses, spent, evaluate(run.model, share.dev) if due else None)
        if due:
            _save(run, _origin(config), config.out / CHECKPOINT)
            evaluated = run.seconds
        reported = run.seconds
        losses = []


def _step(config: SftConfig, share: _Share, run: _Run, batch: Batch, spent: float) -> float:
    """One step together with the other processes; the repair loss in nats a token.

    Raises:
        BadInputError: the loss is no number any more.
    """
    share.exchange.count(share.rank, int(batch.lengths.sum()), len(batch.lengths))
    loss = backward(run.model, batch, config.code_loss * code_scale(spent))
    if not math.isfinite(loss):
        msg = (
            f"the loss is {loss} at step {run.step + 1}; the last checkpoint is unharmed: start "
            "again from it with lower learning rates"
        )
        raise BadInputError(msg)
    share.exchange.average(share.rank, list(run.model.parameters()))
    update(run.model, run.optimizers, lr_scale(spent))
    run.step += 1
    return loss


def lr_scale(spent: float) -> float:
    """The share of the peak learning rate after this share of the budget."""
    if spent < WARM_UP:
        return max(spent, 1e-4) / WARM_UP
    return 1.0 if spent < DECAY_FROM else max(0.0, (1.0 - spent) / (1.0 - DECAY_FROM))


def code_scale(spent: float) -> float:
    """The share of the code loss after this share of the budget: down to nothing at half of it."""
    return max(0.0, 1.0 - 2.0 * spent)


def _progress(run: _Run, losses: list[float], spent: float, dev: DevFigures | None) -> SftProgress:
    """Where the run stands."""
    return SftProgress(
        step=run.step,
        seconds=round(run.seconds, 1),
        tokens=run.tokens,
        examples=run.examples,
        lr_scale=round(lr_scale(spent), 4),
        loss=round(sum(losses) / len(losses), 4),
        dev_loss=round(dev.loss, 4) if dev else None,
        dev_exact=round(dev.exact, 4) if dev else None,
        dev_line=round(dev.line, 4) if dev else None,
    )
