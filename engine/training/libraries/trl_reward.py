"""The reward model: one scalar in place of the language head, sigmoid and binary cross-entropy.

Pointwise rather than pairwise: an issue whose samples all fail teaches something too, and the score
is a probability that can be compared between issues. `transformers.Trainer` does the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from engine.errors import BadInputError
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.loading import load_model, load_tokenizer, require_libraries
from engine.training.libraries.messages import Example, judged_ids, usable
from engine.training.libraries.runs import StageRun, told_errors, training_arguments, watching
from engine.training.libraries.tasks import Task, TaskFile, Verdict, read_rows
from engine.training.libraries.trl_sft import lora, save

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

JudgedRow = dict[str, Any]


@dataclass(slots=True)
class JudgedRows:
    """Token rows with labels, split by issue, and what became of the verdicts that gave none."""

    train: list[JudgedRow] = field(default_factory=list)
    held_out: list[JudgedRow] = field(default_factory=list)
    too_long: int = 0
    without_task: int = 0
    unusable: int = 0


def judged_rows(config: LargeConfig, tokenizer: "PreTrainedTokenizerBase") -> JudgedRows:
    """A row a verdict; all verdicts of one issue fall on the same side of the split.

    Raises:
        BadInputError: the data cannot be read, or one of the two labels never occurs.
    """
    if config.data.verdicts is None:
        raise BadInputError(
            "the reward model needs data.verdicts: make them with `evoscale train large data "
            "--trajectories`, or from your own candidates and their tests"
        )
    tasks = TaskFile(config.data.tasks)
    made = JudgedRows()
    for verdict, task in _joined(config.data.verdicts, tasks, made):
        example = _example(verdict, task, config)
        if example is None:
            made.unusable += 1
            continue
        ids = judged_ids(task, example, config.model.profile, tokenizer)
        if len(ids) > config.model.context_tokens:
            made.too_long += 1
            continue
        held_out = Random(f"held out {task.instance_id}").random() < config.data.held_out
        side = made.held_out if held_out else made.train
        side.append({"input_ids": ids, "labels": [float(verdict.resolved)]})
    labels = {row["labels"][0] for row in made.train}
    if len(labels) != 2:
        raise BadInputError(
            f"{config.data.verdicts} has to hold resolved and unresolved patches that fit; it has "
            f"{len(made.train)} rows with labels {sorted(labels)}, {made.too_long} too long, "
            f"{made.without_task} without a task, {made.unusable} unusable"
        )
    return made


def _joined(verdicts: Path, tasks: TaskFile, made: JudgedRows) -> "Iterator[tuple[Verdict, Task]]":
    known = set(tasks.ids)
    for verdict in read_rows(verdicts, Verdict):
        if verdict.instance_id in known:
            yield verdict, tasks.get(verdict.instance_id)
        else:
            made.without_task += 1


def _example(verdict: Verdict, task: Task, config: LargeConfig) -> Example | None:
    if verdict.completion:
        return usable(task, verdict.completion, config.model.profile)
    return Example("", verdict.patch, verdict.patch) if verdict.patch else None


def train_reward(config: LargeConfig) -> Path:
    """Train the reward model, or go on from its last checkpoint; the model's folder.

    Raises:
        BadInputError: data, model or configuration cannot be used, memory runs out, or the loss is
            NaN; each says what to do.
    """
    require_libraries()
    run = StageRun(config, "reward")
    resumed = run.resume()
    with told_errors(config, run.stage):
        return _train(run, resumed)


def _train(run: StageRun, resumed: str | None) -> Path:
    from datasets import Dataset
    from peft import get_peft_model
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    config = run.config
    tokenizer = load_tokenizer(config.model.name)
    tokenizer.padding_side = "right"
    rows = judged_rows(config, tokenizer)
    arguments = TrainingArguments(  # before the model: it tells the loading how weights are sharded
        **training_arguments(run),
        per_device_eval_batch_size=config.reward.batch,
        eval_strategy="steps" if rows.held_out else "no",
        eval_steps=config.run.save_every,
    )
    model = load_model(config.model.name, config, classifier=True)
    model.config.pad_token_id = tokenizer.pad_token_id  # its score stands at the last other token
    adapters = lora(config, "SEQ_CLS")
    held_out = Dataset.from_list(rows.held_out) if rows.held_out else None
    trainer = Trainer(
        model=get_peft_model(model, adapters) if adapters else model,
        args=arguments,
        train_dataset=Dataset.from_list(rows.train),
        eval_dataset=held_out,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_loss_func=_cross_entropy,
        compute_metrics=_figures,
        callbacks=[watching(run)],
    )
    trainer.train(resume_from_checkpoint=resumed)
    return save(trainer, run)


def _cross_entropy(outputs: Any, labels: "torch.Tensor", num_items_in_batch: Any = None) -> Any:
    """Mean over all rows of a step: a model's own loss would be summed over accumulated parts."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    total = binary_cross_entropy_with_logits(outputs.logits.float(), labels, reduction="sum")
    return total / (labels.numel() if num_items_in_batch is None else num_items_in_batch)


def _figures(predicted: Any) -> dict[str, float]:
    """Held-out accuracy at 0.5 and the area under the ROC curve (the rank-sum form of it)."""
    import numpy as np

    logits = np.asarray(predicted.predictions).reshape(-1)
    right = np.asarray(predicted.label_ids).reshape(-1) > 0.5
    accuracy = float(((logits > 0) == right).mean())
    positive, negative = logits[right], logits[~right]
    if not len(positive) or not len(negative):
        return {"accuracy": accuracy}
    wins = (positive[:, None] > negative[None]).mean() + 0.5 * (
        positive[:, None] == negative[None]
    ).mean()
    return {"accuracy": accuracy, "auc": float(wins)}
