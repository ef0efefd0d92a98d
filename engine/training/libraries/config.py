"""What a training of a large model is told: one TOML file for all four stages, strictly read.

Numbers that the paper does not state in any readable place are marked as ours in
`docs/training-large.md`. Lengths are in tokens, learning rates are peak values.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import BadInputError
from engine.models.base import EditFormat, Profile
from engine.reward import FORMAT_PENALTY

SHIPPED = ("qwen2.5-coder-7b", "qwen2.5-coder-32b")
"""Names of the configurations that come with the package."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelSection(_Section):
    """The base model that every supervised stage starts from."""

    name: str = Field(min_length=1, description="A folder, or an id of the hub.")
    edit_format: EditFormat = EditFormat.SEARCH_REPLACE
    context_tokens: int = Field(default=16_384, ge=16)
    completion_tokens: int = Field(default=2_048, ge=1)

    @property
    def profile(self) -> Profile:
        """As the engine's prompts want to know it."""
        return Profile(self.edit_format, evolves=False, context_tokens=self.context_tokens)


class Architecture(_Section):
    """The numbers of the model's `config.json` that memory follows from."""

    hidden: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    intermediate: int = Field(ge=1)
    vocabulary: int = Field(ge=1)
    tied_embeddings: bool = False


class DataSection(_Section):
    """Files of rows, one JSON object a line; `engine/training/libraries/tasks.py` has the fields.

    `tasks` hold issue, files and gold edit; `candidates` are patches sampled earlier; `verdicts`
    say of patches whether they resolved their issue.
    """

    tasks: Path
    candidates: Path | None = None
    verdicts: Path | None = None
    held_out: float = Field(default=0.02, ge=0, lt=1)


class RunSection(_Section):
    """What all stages share."""

    out: Path
    seed: int = Field(default=0, ge=0)
    device: Literal["cuda", "cpu"] = "cuda"
    precision: Literal["bf16", "fp32"] = "bf16"
    checkpoint_activations: bool = True
    save_every: int = Field(default=50, ge=1, description="Steps between two checkpoints.")
    accelerate: Literal["none", "fsdp2", "zero3"] = Field(
        default="none", description="Which of TRL's accelerate configurations `plan` names."
    )


class StageSection(_Section):
    """How long and how fast one stage learns; a step reads `batch` rows on each process."""

    steps: int = Field(default=500, ge=1)
    learning_rate: float = Field(default=1e-5, gt=0)
    warm_up: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    batch: int = Field(default=1, ge=1)
    accumulate: int = Field(default=16, ge=1)


class MutationSection(StageSection):
    """Mutation SFT: how many earlier patches a prompt shows."""

    examples: int = Field(default=5, ge=1, le=20)


class LoraSection(_Section):
    """Low-rank adapters instead of all weights (arXiv 2106.09685)."""

    rank: int = Field(default=32, ge=1)
    alpha: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class RlSection(StageSection):
    """Reinforcement learning for self-evolution, from the mutation model.

    `baseline` says what a rollout's reward is compared with: the mean of its group, the mean of the
    others in its group, or the mean of the whole batch divided by its deviation (REINFORCE++).
    A group is one issue; each of its rollouts draws conditioning examples of its own.
    """

    rollouts: int = Field(default=8, ge=2, description="Completions of one issue, a group.")
    examples: int = Field(default=5, ge=1, le=20)
    without_examples: float = Field(default=0.3, ge=0, le=1)
    refresh_every: int = Field(
        default=25, ge=0, description="Steps after which examples are sampled anew; 0 is never."
    )
    shaped: bool = Field(default=True, description="Subtract R(x, y') of one example y'.")
    penalty: float = Field(default=FORMAT_PENALTY, ge=0)
    baseline: Literal["group", "leave_one_out", "batch"] = "batch"
    temperature: float = Field(default=1.0, gt=0)
    kl: float = Field(default=0.0, ge=0)
    policy: Path | None = None
    reward: Literal["model", "server", "similarity"] = "model"
    reward_model: Path | None = None
    reward_url: str = "http://127.0.0.1:8100/score"
    vllm: Literal["off", "colocate", "server"] = "off"
    vllm_tensor_parallel: int = Field(default=1, ge=1)
    vllm_memory: float = Field(default=0.3, gt=0, lt=1)
    vllm_host: str = "127.0.0.1"
    vllm_port: int = Field(default=8000, ge=1, le=65_535)

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        if (self.batch * self.accumulate) % self.rollouts:
            raise ValueError(
                f"batch x accumulate ({self.batch * self.accumulate}) has to be a multiple of "
                f"rollouts ({self.rollouts})"
            )
        return self


class Hardware(_Section):
    """The machines that `plan` computes for."""

    gpu_memory_gib: float = Field(default=80.0, gt=0)
    gpus_per_node: int = Field(default=8, ge=1)


class LargeConfig(_Section):
    """One file; a stage reads its own section and the shared ones."""

    model: ModelSection
    data: DataSection
    run: RunSection
    sft: StageSection = StageSection()
    mutation: MutationSection = MutationSection()
    reward: StageSection = StageSection()
    rl: RlSection = RlSection()
    lora: LoraSection | None = None
    architecture: Architecture | None = None
    hardware: Hardware = Hardware()

    def folder(self, stage: str) -> Path:
        """Where a stage's checkpoints and metrics lie."""
        return self.run.out / stage

    @property
    def policy(self) -> str:
        """What RL starts from: the mutation model unless another is named."""
        return str(self.rl.policy or self.folder("mutation") / "model")

    @property
    def reward_model(self) -> str:
        """The trained reward model unless another is named."""
        return str(self.rl.reward_model or self.folder("reward") / "model")


def load_config(name: str | Path) -> LargeConfig:
    """Read a file, or one of the configurations that come with the package by its name.

    Raises:
        BadInputError: no such file, no TOML, an unknown key, or a value out of range.
    """
    try:
        text = _text(name)
        return LargeConfig.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(SHIPPED)
        raise BadInputError(
            f"the configuration {name} cannot be read: {error}; name a TOML file or one of {known}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"the configuration {name} is no TOML: {error}") from error
    except ValidationError as error:
        raise BadInputError(f"the configuration {name}: {_first(error)}") from error


def _text(name: str | Path) -> str:
    if str(name) in SHIPPED:
        return (resources.files(__package__) / f"{name}.toml").read_text(encoding="utf-8")
    return Path(name).read_text(encoding="utf-8")


def _first(error: ValidationError) -> str:
    told = error.errors()[0]
    where = ".".join(str(part) for part in told["loc"])
    return f"{where or 'a section'}: {told['msg']}"
