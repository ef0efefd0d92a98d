"""One stage's run: its folder, its checkpoints, its metrics, and errors that say what to do.

Nothing is lost but the steps since the last checkpoint: a run that is started again goes on from
it, and refuses when it was made with another configuration.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadInputError
from engine.training.libraries.config import LargeConfig

if TYPE_CHECKING:
    from transformers import TrainerCallback

MAY_CHANGE = frozenset({"steps", "save_every", "out", "vllm_memory", "reward_url"})
"""Settings that a resumed run may have otherwise: none of them changes what was learned so far."""

STAGES = ("sft", "mutation", "reward", "rl")


@dataclass(frozen=True, slots=True)
class StageRun:
    """A stage and the folder it writes to."""

    config: LargeConfig
    stage: str

    @property
    def folder(self) -> Path:
        """Checkpoints, metrics and the model."""
        return self.config.folder(self.stage)

    def settings(self) -> dict[str, Any]:
        """What this stage's weights depend on, flat."""
        told = self.config.model_dump(mode="json")
        sections = ("model", "data", "run", "lora", self.stage)
        return {
            f"{section}.{key}": value
            for section in sections
            for key, value in (told[section] or {}).items()
            if key not in MAY_CHANGE
        }

    def resume(self) -> str | None:
        """The last whole checkpoint, or None; writes the configuration down beside it.

        Raises:
            BadInputError: the checkpoint was made with another configuration, or the folder cannot
                be written.
        """
        found = _last_checkpoint(self.folder)
        written = self.folder / "settings.json"
        if found and written.is_file():
            _same(json.loads(written.read_text(encoding="utf-8")), self.settings(), found)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            written.write_text(json.dumps(self.settings(), indent=1), encoding="utf-8")
        except OSError as error:
            raise BadInputError(f"{self.folder} cannot be written: {error}") from error
        return str(found) if found else None


def _last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; the trainer's state is written last."""
    found = [
        (int(path.name.rpartition("-")[2]), path)
        for path in folder.glob("checkpoint-*")
        if path.name.rpartition("-")[2].isdecimal() and (path / "trainer_state.json").is_file()
    ]
    return max(found)[1] if found else None


def _same(before: dict[str, Any], now: dict[str, Any], checkpoint: Path) -> None:
    differ = sorted(key for key in before | now if before.get(key) != now.get(key))
    if differ:
        key = differ[0]
        raise BadInputError(
            f"{checkpoint} was made with another configuration: {key} was {before.get(key)!r} and "
            f"is {now.get(key)!r}; set it back, or name another run.out"
            + (f" (also {', '.join(differ[1:6])})" if differ[1:] else "")
        )


@contextmanager
def told_errors(config: LargeConfig, stage: str) -> Iterator[None]:
    """Turn what a library raises from the depths into one sentence with advice.

    Raises:
        BadInputError: memory ran out, weights or samples became NaN, or a model cannot be loaded.
    """
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise BadInputError(_no_memory(config, stage)) from error
    except RuntimeError as error:
        said = str(error)
        if "not enough memory" in said or "allocate memory" in said or "out of memory" in said:
            raise BadInputError(_no_memory(config, stage)) from error
        if "probability tensor contains" in said:
            raise BadInputError(_not_a_number(config, stage, None)) from error
        raise


def _no_memory(config: LargeConfig, stage: str) -> str:
    section = getattr(config, stage)
    ways = [f"lower {stage}.batch ({section.batch}) and raise {stage}.accumulate"]
    if not config.run.checkpoint_activations:
        ways.append("set run.checkpoint_activations = true")
    if config.lora is None:
        ways.append("add [lora]")
    ways.append(f"lower model.context_tokens ({config.model.context_tokens})")
    return (
        f"{stage}: memory ran out; {', or '.join(ways)}; "
        "`evoscale train large plan` says what fits; the run goes on from its last checkpoint"
    )


def _not_a_number(config: LargeConfig, stage: str, step: int | None) -> str:
    rate = getattr(config, stage).learning_rate
    at = f"at step {step}" if step is not None else "in the samples"
    kept = _last_checkpoint(config.folder(stage))
    left = f"the last checkpoint, {kept}, is from before" if kept else "no checkpoint was written"
    return (
        f"{stage}: NaN {at}; {left}; lower {stage}.learning_rate ({rate:g}), and if it is NaN from "
        "the first step, check the weights it starts from"
    )


def watching(run: StageRun) -> "TrainerCallback":
    """A callback that writes `metrics.jsonl` and ends the run at the first loss that is no number.

    Losses are logged before a checkpoint of the same step is written, so none of NaN is kept.
    """
    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        def on_log(
            self,
            args: object,
            state: Any,
            control: object,
            logs: Any = None,
            **_: object,
        ) -> None:
            del args, control  # the library passes them by position
            told = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)}
            if state.is_world_process_zero:
                with (run.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"step": state.global_step, **told}) + "\n")
            if not all(math.isfinite(told.get(key, 0.0)) for key in ("loss", "grad_norm")):
                raise BadInputError(_not_a_number(run.config, run.stage, state.global_step))

    return Watching()


def training_arguments(run: StageRun) -> dict[str, Any]:
    """What every trainer of the library is told alike."""
    config, section = run.config, getattr(run.config, run.stage)
    return {
        "output_dir": str(run.folder),
        "max_steps": section.steps,
        "learning_rate": section.learning_rate,
        "warmup_steps": section.warm_up,
        "weight_decay": section.weight_decay,
        "lr_scheduler_type": "cosine",
        "per_device_train_batch_size": section.batch,
        "gradient_accumulation_steps": section.accumulate,
        "max_grad_norm": 1.0,
        "bf16": config.run.precision == "bf16",
        "use_cpu": config.run.device == "cpu",
        _checkpointing(): config.run.checkpoint_activations,
        "save_steps": config.run.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": config.run.seed,
        "dataloader_pin_memory": config.run.device != "cpu",
    }


def _checkpointing() -> str:
    """What the installed transformers calls it; vLLM's environments hold an earlier one."""
    from transformers import TrainingArguments

    new, old = "activation_checkpointing", "gradient_checkpointing"
    return new if new in TrainingArguments.__dataclass_fields__ else old
