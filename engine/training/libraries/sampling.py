"""Patches of a served model for every task: E for mutation SFT, candidates for the reward model.

Any back end of the engine serves; a vLLM server is the one for many. What is written already is not
sampled again, so that an interrupted run goes on.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from engine.errors import BadInputError
from engine.models.base import Model, Sampling
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.messages import task_prompt
from engine.training.libraries.tasks import Sampled, TaskFile, read_rows

TEMPERATURE = 0.8


def sample(
    config: LargeConfig, model: Model, n: int, out: Path, on_task: Callable[[str], None]
) -> int:
    """Append n unconditioned completions of each task; how many were written now.

    Raises:
        BadInputError: the tasks or the file cannot be read or written, or the model writes edits
            in another format.
        ModelUnavailableError: the model cannot be reached.
        PromptTooLongError: a task leaves no room for a completion.
    """
    if model.profile.edit_format is not config.model.edit_format:
        raise BadInputError(
            f"the model writes {model.profile.edit_format} edits and the configuration wants "
            f"{config.model.edit_format}; set EVOSCALE_ENGINE_MODEL_EDIT_FORMAT"
        )
    tasks = TaskFile(config.data.tasks)
    have = Counter(row.instance_id for row in read_rows(out, Sampled)) if out.is_file() else {}
    written = 0
    for number, task in enumerate(tasks):
        missing = n - have.get(task.instance_id, 0)
        if missing <= 0:
            continue
        prompt = task_prompt(task, (), config.model.profile)
        seed = config.run.seed * 1_000_003 + number
        sampling = Sampling(missing, TEMPERATURE, config.model.completion_tokens, seed)
        texts = [each.text for each in model.sample(prompt, sampling)]
        _append(out, task.instance_id, texts)
        written += len(texts)
        on_task(task.instance_id)
    return written


def _append(out: Path, instance_id: str, texts: list[str]) -> None:
    rows = [json.dumps({"instance_id": instance_id, "completion": text}) for text in texts]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a", encoding="utf-8") as file:
            file.write("".join(f"{row}\n" for row in rows))
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise BadInputError(f"{out} cannot be written: {said}; make room there") from error
