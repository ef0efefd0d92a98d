"""The reward model: how likely a patch is to be right, from issue, code and patch alone.

A pointwise classifier, sigmoid and binary cross-entropy, as the published score distributions
suggest; its negatives are samples of the model that it will judge, labelled by running them.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import BadInputError
from engine.line_format import render_edit, render_prompt
from engine.models.rewrites.kinds import edit_between
from engine.training.checkpoints import Checkpoint, claim, write_config
from engine.training.executable import ExecutableTask, read_tasks
from engine.training.issues import title_of
from engine.training.judging import Judge
from engine.training.network import mixed_precision
from engine.training.outcomes import Boxes
from engine.training.packed import Pack, grouped, lay, read
from engine.training.policy import MAX_EDIT_TOKENS, load_policy, seeded
from engine.training.tokenizer import load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2ForSequenceClassification

TOKENS_TOGETHER = 4096
WARM_UP_STEPS = 10


@dataclass(frozen=True, slots=True)
class RewardModelConfig:
    """One run: `samples` of `policy` for every task, then `epochs` over them.

    `base` is where the classifier's weights begin.
    """

    tasks: Path
    dev_tasks: Path
    policy: Path
    base: Path
    out: Path
    seed: int = 0
    samples: int = 8
    temperature: float = 1.0
    epochs: int = 3
    tasks_per_step: int = 16
    lr: float = 3e-4


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt and completions of it, each with what running it said."""

    prompt: str
    texts: tuple[str, ...]
    solved: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class RewardProgress:
    """One line of the metrics file.

    `auc` is over all dev samples; `pairs` the share of right and wrong samples of one task that
    are told apart.
    """

    step: int
    loss: float
    auc: float | None = None
    pairs: float | None = None


def prompt_of(task: ExecutableTask, previous: Sequence[str] = ()) -> str:
    """What a line model is shown of a task: the issue's title, the function, earlier edits."""
    title = title_of(task.problem_statement)
    return render_prompt(task.source, issue=title, previous=previous)


def label(
    tasks: Sequence[ExecutableTask], config: RewardModelConfig, judge: Judge
) -> list[Labelled]:
    """Samples of the policy and the true repair of every task, run and labelled.

    Raises:
        BadInputError: the policy cannot be loaded.
        SandboxUnavailableError: no box can be opened.
    """
    policy = load_policy(config.policy)
    prompts = [prompt_of(task) for task in tasks]
    drawn = policy.sample(prompts, config.samples, config.temperature, seeded(config.seed))
    texts = [
        [*_repair(task), *(sample.text for sample in samples)]
        for task, samples in zip(tasks, drawn, strict=True)
    ]
    found = []
    verdicts = judge.judge(list(zip(tasks, texts, strict=True)))
    for prompt, judged in zip(prompts, verdicts, strict=True):
        kept = {one.text: one.solved for one in judged}
        found.append(Labelled(prompt, tuple(kept), tuple(kept.values())))
    return found


def _repair(task: ExecutableTask) -> list[str]:
    """The true repair as an edit."""
    edit = edit_between(task.source, task.fixed)
    return [render_edit(edit)] if edit else []


class RewardModel:
    """A classifier with its tokenizer."""

    def __init__(
        self, model: "Qwen2ForSequenceClassification", tokenizer: "PreTrainedTokenizerFast"
    ) -> None:
        """Take a loaded model."""
        self.model = model
        self.tokenizer = tokenizer

    def score(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[list[float]]:
        """The probability, 0..1, that each completion of each prompt is right."""
        import torch

        packs = self.packs(asked)
        found: list[list[float]] = [[] for _ in packs]
        self.model.train(mode=False)
        with torch.inference_mode(), mixed_precision():
            for group in grouped(packs, TOKENS_TOGETHER):
                told = torch.sigmoid(self.logits([packs[k] for k in group])).tolist()
                for k in group:
                    count = len(packs[k].completions)
                    found[k], told = told[:count], told[count:]
        return found

    def packs(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Pack]:
        """Prompts and completions in tokens; a completion of any length is read to its bound."""
        eos = int(self.tokenizer.eos_token_id)
        prompts = self._ids([prompt for prompt, _ in asked])
        return [
            Pack(ids, tuple([*text[:MAX_EDIT_TOKENS], eos] for text in self._ids(list(texts))))
            for ids, (_, texts) in zip(prompts, asked, strict=True)
        ]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        found: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return found

    def logits(self, packs: Sequence[Pack]) -> "torch.Tensor":
        """The score before the sigmoid, read at each completion's closing token: (completions,)."""
        import torch

        rows = lay(packs, int(self.tokenizer.pad_token_id))
        lasts = torch.from_numpy(rows.lasts)
        states = read(self.model.model, rows)[lasts[:, 0], lasts[:, 1]]
        told: torch.Tensor = self.model.score(states)[:, 0].float()
        return told


def load_reward_model(folder: Path, *, fresh: bool = False) -> RewardModel:
    """A reward model's folder; `fresh` begins one from a language model's.

    Raises:
        BadInputError: the folder holds none, or torch is not installed.
    """
    try:
        import torch
        from transformers import Qwen2Config, Qwen2ForSequenceClassification
    except ImportError as error:
        msg = "training needs torch and transformers; pip install 'evoscale[train]'"
        raise BadInputError(msg) from error
    try:
        config = Qwen2Config.from_pretrained(folder, local_files_only=True)
        model = Qwen2ForSequenceClassification.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, num_labels=1
        )
        tokenizer = load_tokenizer(folder)
    except (OSError, ValueError) as error:
        msg = f"{folder} holds no model: {error}"
        raise BadInputError(msg) from error
    if not fresh and Qwen2ForSequenceClassification.__name__ not in (config.architectures or []):
        msg = (
            f"{folder} holds a language model and no reward model; make one: evoscale train reward"
        )
        raise BadInputError(msg)
    return RewardModel(model, tokenizer)


def train_reward_model(
    config: RewardModelConfig, boxes: Boxes, on_progress: Callable[[RewardProgress], None]
) -> Path:
    """Sample, label, train, export; goes on from the last checkpoint. The model's folder.

    Raises:
        BadInputError: tasks or models are missing or unreadable, or samples or checkpoint are
            another run's.
        SandboxUnavailableError: no box can be opened.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    names = ("tasks", "dev_tasks", "policy", "seed", "samples", "temperature")
    claim(config.out / "labelled.json", {name: getattr(config, name) for name in names})
    write_config(config, config.out)
    judge = Judge(boxes)
    examples = _labelled(config, "train", config.tasks, judge)
    dev = _labelled(config, "dev", config.dev_tasks, judge)
    reward = load_reward_model(config.base, fresh=True)
    for progress in _train(reward, config, examples, dev):
        with (config.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(progress)) + "\n")
        on_progress(progress)
    return export(reward, config.out / "model")


def _labelled(config: RewardModelConfig, name: str, tasks: Path, judge: Judge) -> list[Labelled]:
    """What was sampled and labelled before, or now."""
    path = config.out / f"labelled-{name}.jsonl"
    if not path.is_file():
        found = label(read_tasks(tasks), config, judge)
        partial = path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(asdict(one)) + "\n" for one in found), "utf-8")
        partial.replace(path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Labelled(row["prompt"], tuple(row["texts"]), tuple(row["solved"])) for row in rows]


def _train(
    reward: RewardModel,
    config: RewardModelConfig,
    examples: Sequence[Labelled],
    dev: Sequence[Labelled],
) -> Iterator[RewardProgress]:
    """Binary cross-entropy over shuffled tasks, the rate falling to zero."""
    import torch

    optimizer = torch.optim.AdamW(reward.model.parameters(), lr=config.lr, weight_decay=0.01)
    names = ("seed", "base", "tasks", "policy", "lr", "tasks_per_step")
    checkpoint = Checkpoint(config.out, {name: getattr(config, name) for name in names})
    step = checkpoint.load(reward.model, optimizer)
    per_epoch = math.ceil(len(examples) / config.tasks_per_step)
    total = per_epoch * config.epochs
    while step < total:
        epoch, place = divmod(step, per_epoch)
        order = list(range(len(examples)))
        Random(f"{config.seed}/{epoch}").shuffle(order)
        chosen = order[place * config.tasks_per_step : (place + 1) * config.tasks_per_step]
        rate = config.lr * min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - step / total)
        loss = _step(reward, optimizer, [examples[k] for k in chosen], rate)
        step += 1
        ended = step % per_epoch == 0
        figures = evaluate(reward, dev) if ended else (None, None)
        if ended:
            checkpoint.save(reward.model, optimizer, step)
        yield RewardProgress(step, round(loss, 4), *figures)


def _step(
    reward: RewardModel,
    optimizer: "torch.optim.Optimizer",
    examples: Sequence[Labelled],
    rate: float,
) -> float:
    """One optimizer step; the mean loss of a sample in nats.

    Raises:
        BadInputError: the loss is no number.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    reward.model.train()
    packs = reward.packs([(one.prompt, one.texts) for one in examples])
    count = sum(len(one.texts) for one in examples)
    total = 0.0
    for group in grouped(packs, TOKENS_TOGETHER):
        wanted = torch.tensor([float(s) for k in group for s in examples[k].solved])
        with mixed_precision():
            logits = reward.logits([packs[k] for k in group])
        loss = cross_entropy(logits, wanted, reduction="sum") / count
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        total += float(loss.detach())
    if not math.isfinite(total):
        msg = "the reward model's loss is no number any more; start again with a lower rate"
        raise BadInputError(msg)
    torch.nn.utils.clip_grad_norm_(reward.model.parameters(), 1.0)
    for settings in optimizer.param_groups:
        settings["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def evaluate(
    reward: RewardModel, examples: Sequence[Labelled]
) -> tuple[float | None, float | None]:
    """(AUC over all samples, share of right-wrong pairs of one task told apart)."""
    scores = reward.score([(one.prompt, one.texts) for one in examples])
    flat = [s for told in scores for s in told]
    solved = [s for one in examples for s in one.solved]
    within = [auc(told, one.solved) for told, one in zip(scores, examples, strict=True)]
    known = [one for one in within if one is not None]
    return auc(flat, solved), round(float(np.mean(known)), 4) if known else None


def auc(scores: Sequence[float], solved: Sequence[bool]) -> float | None:
    """The share of (right, wrong) pairs whose right one scores higher; None without a pair."""
    right = np.array([s for s, ok in zip(scores, solved, strict=True) if ok])
    wrong = np.array([s for s, ok in zip(scores, solved, strict=True) if not ok])
    if not len(right) or not len(wrong):
        return None
    above = (right[:, None] > wrong[None]).mean() + 0.5 * (right[:, None] == wrong[None]).mean()
    return round(float(above), 4)


def export(reward: RewardModel, folder: Path) -> Path:
    """Write bf16 safetensors and tokenizer, as transformers loads them."""
    import copy

    import torch

    stored = torch.nn.Module.to(copy.deepcopy(reward.model), torch.bfloat16)
    stored.save_pretrained(folder)
    reward.tokenizer.save_pretrained(folder)
    return folder
