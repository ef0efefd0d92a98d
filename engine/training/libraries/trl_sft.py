"""Classical and mutation SFT with TRL's SFTTrainer.

Both start from the base model and learn the gold edit; mutation SFT is shown earlier patches of the
classical model first. Rows that do not fit are left out and counted, never cut: half an edit is
worse than none.
"""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from engine.errors import BadInputError
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.loading import load_model, load_tokenizer, require_libraries
from engine.training.libraries.messages import Example, completion_ids, prompt_ids, target
from engine.training.libraries.messages import task_prompt as prompt_of
from engine.training.libraries.pool import read_candidates
from engine.training.libraries.runs import StageRun, told_errors, training_arguments, watching
from engine.training.libraries.tasks import Task, TaskFile

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label that the loss leaves out."""


@dataclass(slots=True)
class SupervisedRows:
    """Token rows for the trainer, and what became of the tasks that gave none."""

    rows: list[dict[str, list[int]]] = field(default_factory=list)
    too_long: int = 0
    without_examples: int = 0


def supervised_rows(
    config: LargeConfig, tokenizer: "PreTrainedTokenizerBase", *, mutation: bool
) -> SupervisedRows:
    """A row a task: prompt, and the gold completion that alone counts in the loss.

    Raises:
        BadInputError: the data cannot be read, or holds not one row that fits.
    """
    tasks = TaskFile(config.data.tasks)
    pool = _examples(config, tasks) if mutation else {}
    made = SupervisedRows()
    for task in tasks:
        if not task.completion:
            raise BadInputError(f"the task {task.instance_id} has no completion to learn")
        examples = _drawn(config, task, pool) if mutation else ()
        if mutation and not examples:
            made.without_examples += 1
            continue
        row = _row(config, task, examples, tokenizer)
        if len(row["input_ids"]) > config.model.context_tokens:
            made.too_long += 1
        else:
            made.rows.append(row)
    if not made.rows:
        raise BadInputError(
            f"{config.data.tasks} gives no row to learn from: {made.too_long} are longer than "
            f"model.context_tokens ({config.model.context_tokens}), {made.without_examples} have "
            "no usable candidate"
        )
    return made


def _examples(config: LargeConfig, tasks: TaskFile) -> dict[str, tuple[Example, ...]]:
    if config.data.candidates is None:
        raise BadInputError(
            "mutation SFT needs patches of the classical model: sample them with "
            "`evoscale train large sample` and set data.candidates"
        )
    return read_candidates(config.data.candidates, tasks, config.model.profile)


def _drawn(
    config: LargeConfig, task: Task, pool: dict[str, tuple[Example, ...]]
) -> tuple[Example, ...]:
    found = pool.get(task.instance_id, ())
    rng = Random(f"{config.run.seed} {task.instance_id}")
    return tuple(rng.sample(found, min(config.mutation.examples, len(found))))


def _row(
    config: LargeConfig,
    task: Task,
    examples: tuple[Example, ...],
    tokenizer: "PreTrainedTokenizerBase",
) -> dict[str, list[int]]:
    prompt = prompt_of(task, examples, config.model.profile)
    asked = prompt_ids(prompt, tokenizer)
    answer = completion_ids(prompt, target(task, conditioned=bool(examples)), tokenizer)
    return {"input_ids": asked + answer, "labels": [IGNORED] * len(asked) + answer}


def train_supervised(config: LargeConfig, *, mutation: bool) -> Path:
    """Train one of the two stages, or go on from its last checkpoint; the model's folder.

    Raises:
        BadInputError: data, model or configuration cannot be used, memory runs out, or the loss is
            NaN; each says what to do.
    """
    require_libraries()
    run = StageRun(config, "mutation" if mutation else "sft")
    resumed = run.resume()
    with told_errors(config, run.stage):
        return _train(run, resumed, mutation=mutation)


def _train(run: StageRun, resumed: str | None, *, mutation: bool) -> Path:
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    config = run.config
    tokenizer = load_tokenizer(config.model.name)
    rows = supervised_rows(config, tokenizer, mutation=mutation)
    arguments = SFTConfig(  # before the model: it tells the loading how weights are sharded
        **training_arguments(run),
        max_length=None,  # rows that are too long were left out above
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = SFTTrainer(
        model=load_model(config.model.name, config),
        args=arguments,
        train_dataset=Dataset.from_list(rows.rows),
        processing_class=tokenizer,
        callbacks=[watching(run)],
        peft_config=lora(config),
    )
    trainer.train(resume_from_checkpoint=resumed)
    return save(trainer, run)


def lora(config: LargeConfig, task_type: str = "CAUSAL_LM") -> "LoraConfig | None":
    """The adapters that the configuration asks for, on every linear layer; None for all weights."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules="all-linear",
        task_type=task_type,
    )


def save(trainer: Any, run: StageRun) -> Path:
    """Write the trained model and its tokenizer; adapters are merged where one process has them.

    With several processes the folder holds the adapters alone, which transformers loads over the
    base model and vLLM serves with `--enable-lora`.
    """
    folder = run.folder / "model"
    if run.config.lora is not None and trainer.accelerator.num_processes == 1:
        merged = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
        merged.save_pretrained(folder)
    else:
        trainer.save_model(str(folder))
    trainer.processing_class.save_pretrained(folder)
    return folder
