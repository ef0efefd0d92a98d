"""The same data as JSONL for OpenRLHF and verl, whose REINFORCE++ has a batch baseline.

Each row of the RL file is one prompt with conditioning examples of its own and R(x, y') of one of
them in its label, so that the shaped reward differs from row to row and no group can remove it.
Examples are as fresh as the file of candidates: sample and export again every few dozen steps.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Literal

from engine.errors import BadInputError
from engine.models.base import EditFormat
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.messages import chat, target, task_prompt
from engine.training.libraries.pool import NOTHING, Draw, Pool, Scored, read_candidates
from engine.training.libraries.scoring import Scorer
from engine.training.libraries.tasks import TaskFile, write_rows

Library = Literal["openrlhf", "verl"]
SOURCE = "evoscale"


def export(
    config: LargeConfig, library: Library, folder: Path, scorer: Scorer | None, rounds: int = 1
) -> dict[str, int]:
    """Write SFT rows, and with candidates those of mutation SFT and RL; how many of each.

    verl's SFT trainer reads parquet and nothing else, so that its files end in that.

    `rounds` is how many prompts of the RL file a task gets, each with a draw of its own.

    Raises:
        BadInputError: the data cannot be read, the format is not one for chat models, or candidates
            are there and no scorer.
    """
    if config.model.edit_format is EditFormat.LINE:
        raise BadInputError(
            "OpenRLHF and verl are exported chats; set model.edit_format = 'search_replace'"
        )
    tasks = TaskFile(config.data.tasks)
    write, ending = (_parquet, "parquet") if library == "verl" else (write_rows, "jsonl")
    sft, mutation = f"sft.{ending}", f"mutation.{ending}"
    written = {sft: write(folder / sft, _sft(config, library, tasks))}
    if config.data.candidates is None:
        return written
    if scorer is None:
        raise BadInputError("rows for RL need R of the candidates: name a reward in [rl]")
    pool = _pool(config, tasks, scorer)
    written[mutation] = write(folder / mutation, _mutation(config, library, tasks, pool))
    prompts = _rl(config, library, tasks, pool, rounds)
    written["rl.jsonl"] = write_rows(folder / "rl.jsonl", prompts)
    return written


def _parquet(path: Path, rows: Iterator[dict[str, object]]) -> int:
    try:
        from datasets import Dataset
    except ImportError as error:
        raise BadInputError("parquet files need pip install 'evoscale[train]'") from error

    path.parent.mkdir(parents=True, exist_ok=True)
    kept = list(rows)
    Dataset.from_list(kept).to_parquet(str(path))
    return len(kept)


def _pool(config: LargeConfig, tasks: TaskFile, scorer: Scorer) -> Pool:
    pool = Pool(config.run.seed)
    if config.data.candidates is None:
        return pool
    found = read_candidates(config.data.candidates, tasks, config.model.profile)
    for instance_id, examples in found.items():
        task = tasks.get(instance_id)
        scores = scorer.score([(task, example) for example in examples])
        pairs = zip(examples, scores, strict=True)
        pool.replace(instance_id, (Scored(e, score) for e, score in pairs), 0)
    return pool


def _sft(config: LargeConfig, library: Library, tasks: TaskFile) -> Iterator[dict[str, object]]:
    for task in tasks:
        messages = chat(task_prompt(task, (), config.model.profile))
        yield _answered(library, messages, target(task, conditioned=False))


def _mutation(
    config: LargeConfig, library: Library, tasks: TaskFile, pool: Pool
) -> Iterator[dict[str, object]]:
    for task in tasks:
        draw = pool.draw(task.instance_id, config.mutation.examples, (0, 0))
        if draw.examples:
            messages = chat(task_prompt(task, draw.examples, config.model.profile))
            yield _answered(library, messages, target(task, conditioned=True))


def _answered(library: Library, messages: list[dict[str, str]], answer: str) -> dict[str, object]:
    """OpenRLHF: `--data.input_key input --data.output_key output`; verl: `messages`."""
    if library == "openrlhf":
        return {"input": messages, "output": answer}
    return {"messages": [*messages, {"role": "assistant", "content": answer}]}


def _rl(
    config: LargeConfig, library: Library, tasks: TaskFile, pool: Pool, rounds: int
) -> Iterator[dict[str, object]]:
    rng = Random(config.run.seed)
    index = 0
    for turn in range(rounds):
        for task in tasks:
            alone = rng.random() < config.rl.without_examples
            drawn = pool.draw(task.instance_id, config.rl.examples, (turn, 0))
            draw = NOTHING if alone else drawn
            messages = chat(task_prompt(task, draw.examples, config.model.profile))
            yield _asked(library, messages, _label(config, task.instance_id, draw), index)
            index += 1


def _label(config: LargeConfig, instance_id: str, draw: Draw) -> str:
    previous = draw.previous if config.rl.shaped else 0.0
    return json.dumps({"instance_id": instance_id, "previous": previous})


def _asked(
    library: Library, messages: list[dict[str, str]], label: str, index: int
) -> dict[str, object]:
    """OpenRLHF's PromptDataset and verl's RLHFDataset, each with the keys that it reads."""
    if library == "openrlhf":
        return {"input": messages, "label": label, "datasource": SOURCE}
    return {
        "data_source": SOURCE,
        "prompt": messages,
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": label},
        "extra_info": {"index": index},
    }


def advice(library: Library, folder: Path, reward_file: Path) -> str:
    """The options that tell the library about the files, and the reward server before them."""
    serve = "evoscale train large serve --config FILE"
    if library == "openrlhf":
        return (
            f"{serve}\n"
            f"--data.prompt_dataset {folder / 'rl.jsonl'} --data.input_key input "
            "--data.label_key label --data.apply_chat_template "
            "--algo.advantage.estimator reinforce --reward.remote_url "
            "http://127.0.0.1:8100/get_reward"
        )
    return (
        f"{serve}\n"
        f"data.train_files={folder / 'rl.jsonl'} data.prompt_key=prompt "
        "algorithm.adv_estimator=reinforce_plus_plus "
        f"reward.custom_reward_function.path={reward_file} "
        "reward.custom_reward_function.name=compute_score"
    )
