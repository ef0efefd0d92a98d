"""RL for self-evolution with TRL's GRPOTrainer and a `rollout_func` of our own.

TRL generates (transformers, vLLM colocated or as a server), computes log-probabilities and steps;
`rollouts.py` says what is asked, what it is worth and what it is compared with. Two methods of the
trainer that are not public are used, `_generate_single_turn` and
`_generate_and_score_completions`, which is why TRL is held to one minor version.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadInputError
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.loading import load_model, load_tokenizer, require_libraries
from engine.training.libraries.pool import read_candidates
from engine.training.libraries.rollouts import Conditioner, Ids, Outcome, advantages
from engine.training.libraries.runs import StageRun, told_errors, training_arguments, watching
from engine.training.libraries.scoring import make_scorer
from engine.training.libraries.tasks import write_rows
from engine.training.libraries.trl_sft import lora, save

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

POOL = "pool.jsonl"


def train_rl(config: LargeConfig) -> Path:
    """Train the policy, or go on from its last checkpoint; the model's folder.

    Raises:
        BadInputError: data, models or configuration cannot be used, memory runs out, the loss is
            NaN, or a server does not answer; each says what to do.
    """
    require_libraries()
    run = StageRun(config, "rl")
    resumed = run.resume()
    with told_errors(config, run.stage):
        return _train(run, resumed)


def _train(run: StageRun, resumed: str | None) -> Path:
    from datasets import Dataset

    config = run.config
    tokenizer = load_tokenizer(config.policy)
    conditioner = Conditioner(config, tokenizer, make_scorer(config))
    _fill(conditioner, config, resumed)
    arguments = _arguments(run)  # before the model: it tells the loading how weights are sharded
    with warnings.catch_warnings():
        # The pinned version is the answer to "this API may change".
        warnings.filterwarnings("ignore", message=".*rollout_func.*experimental")
        trainer = _trainer_class(conditioner, config)(
            model=load_model(config.policy, config),
            reward_funcs=_computed,
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": list(conditioner.tasks.ids)}),
            processing_class=tokenizer,
            callbacks=[watching(run), _keeping(conditioner)],
            peft_config=lora(config),
            rollout_func=_rollout,
        )
    trainer.train(resume_from_checkpoint=resumed)
    return save(trainer, run)


def _fill(conditioner: Conditioner, config: LargeConfig, resumed: str | None) -> None:
    """The pool as a checkpoint holds it, and for the other tasks as the file of candidates does."""
    kept = Path(resumed) / POOL if resumed else None
    if kept and kept.is_file():
        conditioner.pool.restore(kept, conditioner.tasks, conditioner.profile)
    if config.data.candidates:
        found = read_candidates(config.data.candidates, conditioner.tasks, conditioner.profile)
        kept_ids = conditioner.pool.known
        conditioner.waiting = {k: v for k, v in found.items() if k not in kept_ids}
    elif config.rl.refresh_every == 0 and config.rl.without_examples < 1:
        raise BadInputError(
            "with rl.refresh_every = 0 the examples come from data.candidates alone, which is not "
            "set; name a file, or let them be refreshed"
        )


def _arguments(run: StageRun) -> "GRPOConfig":
    from trl.trainer.grpo_config import GRPOConfig

    config, section = run.config, run.config.rl
    arguments: dict[str, Any] = training_arguments(run)
    if section.vllm != "off":
        arguments |= {
            "use_vllm": True,
            "vllm_mode": section.vllm,
            "vllm_tensor_parallel_size": section.vllm_tensor_parallel,
            "vllm_gpu_memory_utilization": section.vllm_memory,
            "vllm_max_model_length": config.model.context_tokens,
            "vllm_enable_sleep_mode": section.vllm == "colocate",
            "vllm_server_host": section.vllm_host,
            "vllm_server_port": section.vllm_port,
        }
    return GRPOConfig(
        **arguments,
        num_generations=section.rollouts,
        max_completion_length=config.model.completion_tokens,
        temperature=section.temperature,
        beta=section.kl,
        scale_rewards="none",
        loss_type="dr_grpo",
        remove_unused_columns=False,
    )


def _computed(reward: list[float], **_: object) -> list[float | None]:
    """The rewards were computed with the rollouts, where draws and completions are at hand."""
    return list(reward)


def _rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """TRL's hook: prompts are instance_ids, already repeated `rollouts` times."""
    result: dict[str, Any] = trainer.roll_out(prompts)
    return result


def _keeping(conditioner: Conditioner) -> "TrainerCallback":
    """A callback that writes the pool beside each checkpoint."""
    from transformers import TrainerCallback

    class Keeping(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: object, **_: object) -> None:
            del control  # the library passes it by position
            if state.is_world_process_zero:
                folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                write_rows(folder / POOL, conditioner.pool.rows())

    return Keeping()


def _trainer_class(conditioner: Conditioner, config: LargeConfig) -> "type[GRPOTrainer]":
    import torch
    from accelerate.utils import gather_object
    from trl.trainer.grpo_trainer import GRPOTrainer

    class EvolvingTrainer(GRPOTrainer):
        """GRPOTrainer whose rollouts are conditioned and whose baseline can be the batch's."""

        def roll_out(self, ids: list[str]) -> dict[str, Any]:
            step = int(self.state.global_step)
            if any(gather_object([conditioner.needs_refresh(ids, step)])):
                conditioner.refresh(ids, step, lambda asked: self._sampled(asked)[0], gather_object)
            rollouts = conditioner.rollouts(ids, step)
            completions, logprobs = self._sampled(rollouts.prompt_ids)
            outcomes = conditioner.outcomes(ids, completions, rollouts.draws)
            conditioned = [float(bool(draw.examples)) for draw in rollouts.draws]
            self._told = ([each.reward for each in outcomes], conditioned)
            self._count(outcomes, conditioned)
            return {
                "prompt_ids": rollouts.prompt_ids,
                "completion_ids": completions,
                "logprobs": logprobs,
                "reward": self._told[0],
            }

        def _sampled(self, prompt_ids: Ids) -> tuple[Ids, Any]:
            """One completion of each prompt, and their log-probabilities where an engine knows."""
            generate: Any = self._generate_single_turn
            completions, logprobs = generate(prompt_ids, None, {}, 1)
            return completions, logprobs

        def _count(self, outcomes: Sequence[Outcome], conditioned: list[float]) -> None:
            scores = [each.score for each in outcomes if each.score is not None]
            figures = {
                "usable": [float(each.usable) for each in outcomes],
                "copied": [float(each.copied) for each in outcomes],
                "conditioned": conditioned,
                "score": scores or [0.0],
            }
            for name, values in figures.items():
                self._metrics["train"][name].append(sum(values) / len(values))

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            output = super()._generate_and_score_completions(inputs)
            device = output["advantages"].device
            local = torch.tensor(self._told, device=device)
            every = self.accelerator.gather(local.T.contiguous()).T
            section = config.rl
            compared = advantages(every[0], every[1], section.rollouts, section.baseline)
            start = self.accelerator.process_index * local.shape[1]
            output["advantages"] = compared[start : start + local.shape[1]]
            return output

    return EvolvingTrainer
