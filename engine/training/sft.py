"""Classical SFT of the embedded model, from nothing: tokenizer, training loop, export.

The learning rate follows the share of the budget that is spent, be it steps or seconds: warm-up, a
plateau, then down to zero. Two losses share one forward pass: the repair's tokens, and in the first
half also the code's own tokens, which give a small model many times the supervision.
"""

import json
import multiprocessing as mp
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.training.batches import CHUNK_ROWS, Batch, Feeder, batches, encode
from engine.training.corpus import read_corpus
from engine.training.data import rows
from engine.training.exchange import Exchange
from engine.training.network import (
    DevFigures,
    Shape,
    backward,
    evaluate,
    export,
    make_optimizers,
    new_model,
    update,
)
from engine.training.tokenizer import load_tokenizer, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

WARM_UP = 0.02
DECAY_FROM = 0.3
TOKENIZER_FUNCTIONS = 40_000
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class SftConfig:
    """One run; it ends at `max_steps` or after `wall_clock_s`, whichever comes first."""

    corpus: Path
    out: Path
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
        BadInputError: the corpus is missing or unreadable, or torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        msg = "training needs torch and transformers; pip install 'evoscale[train]'"
        raise BadInputError(msg) from error

    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "sft.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    tokenizer = _tokenizer(config)
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
        for progress in _worker(config, exchange, 0, run, clock):
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
    run = _start(config, _tokenizer(config))
    for _ in _worker(config, exchange, rank, run, time.monotonic):
        pass


def _worker(
    config: SftConfig, exchange: Exchange, rank: int, run: "_Run", clock: Callable[[], float]
) -> "Iterator[SftProgress]":
    """One process's share of the training, fed from its own sequence of examples."""
    import torch

    torch.set_num_threads(1)
    first = run.examples // config.workers // CHUNK_ROWS * CHUNK_ROWS
    feeder = Feeder(
        config.corpus,
        config.out,
        tokens=config.tokens_per_step // config.workers,
        seed=config.seed * 1000 + rank,
        first=first,
    )
    with feeder:
        yield from _loop(config, exchange, rank, run, iter(feeder), clock)


def _tokenizer(config: SftConfig) -> "PreTrainedTokenizerFast":
    """The run's tokenizer, trained on the first call."""
    if not (config.out / "tokenizer.json").is_file():
        functions = [f for f in read_corpus(config.corpus) if f.split == "train"]
        weights = [f.weight for f in functions]
        drawn = Random(config.seed).choices(functions, weights, k=TOKENIZER_FUNCTIONS)
        train_tokenizer((f.raw for f in drawn), config.shape.vocabulary).save_pretrained(config.out)
    return load_tokenizer(config.out)


def _start(config: SftConfig, tokenizer: "PreTrainedTokenizerFast") -> _Run:
    """A new run, or the one that the checkpoint holds."""
    import torch

    model = new_model(config.shape, tokenizer)
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
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(run.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        run.step, run.tokens, run.examples = saved["step"], saved["tokens"], saved["examples"]
        run.seconds = saved["seconds"]
    return run


def _save(run: _Run, path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    import torch

    state = {
        "model": run.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in run.optimizers],
        "step": run.step,
        "tokens": run.tokens,
        "examples": run.examples,
        "seconds": run.seconds,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _dev_batches(config: SftConfig, tokenizer: "PreTrainedTokenizerFast") -> list[Batch]:
    """Examples from packages that are never trained on."""
    functions = [f for f in read_corpus(config.corpus) if f.split == "dev"]
    if not functions:
        return []
    encoded = encode(list(rows(functions, config.seed, 0, config.dev_rows)), tokenizer)
    return list(batches(encoded, config.tokens_per_step, tokenizer, Random(config.seed)))


def _loop(
    config: SftConfig,
    exchange: Exchange,
    rank: int,
    run: _Run,
    feed: Iterator[Batch],
    clock: Callable[[], float],
) -> Iterator[SftProgress]:
    """Step until the budget is spent; process 0 reports, and less often evaluates and saves."""
    dev = _dev_batches(config, _tokenizer(config)) if rank == 0 else []
    began = clock() - run.seconds
    reported = evaluated = run.seconds
    losses: list[float] = []
    spent = 0.0
    while spent < 1.0:
        spent = max((run.step + 1) / config.max_steps, run.seconds / config.wall_clock_s)
        spent = exchange.agree(rank, spent)
        batch = next(feed)
        exchange.count(rank, int(batch.lengths.sum()), len(batch.lengths))
        losses.append(backward(run.model, batch, config.code_loss * code_scale(spent)))
        exchange.average(rank, list(run.model.parameters()))
        update(run.model, run.optimizers, lr_scale(spent))
        run.step += 1
        run.seconds = clock() - began
        if rank or (run.seconds - reported < config.report_every_s and spent < 1.0):
            continue
        run.tokens, run.examples = (int(n) for n in exchange.counts.sum(0))
        due = run.seconds - evaluated >= config.evaluate_every_s or spent >= 1.0
        yield _progress(run, losses, spent, evaluate(run.model, dev) if due else None)
        if due:
            _save(run, config.out / CHECKPOINT)
            evaluated = run.seconds
        reported = run.seconds
        losses = []


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
