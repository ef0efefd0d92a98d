"""R(x, y) and the objective R(x, y) - R(x, y') - lambda F(y), whoever trains.

Three scorers: the trained reward model in this process, the same behind HTTP (`serve`), and the
likeness to the gold patch, which needs no model and is what the reward model is compared with.
"""

import difflib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import httpx

from engine.errors import BadInputError
from engine.models.base import Profile
from engine.reward import potential_difference
from engine.training.libraries.config import LargeConfig
from engine.training.libraries.messages import Example, judged_ids
from engine.training.libraries.tasks import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SCORE_TIMEOUT_S = 180.0
MAX_DIFF_LINES = 2_000


class Scorer(Protocol):
    """R: a number in 0..1 for each patch, higher is better."""

    def score(self, pairs: Sequence[tuple[Task, Example]]) -> list[float]:
        """The scores, in the order of the pairs.

        Raises:
            BadInputError: the scorer cannot answer; says what to do.
        """
        ...


def objective(reward: float | None, previous: float, penalty: float) -> float:
    """R(x, y) - R(x, y') - lambda F(y); `reward` is None where F(y) = 1 and R is not asked."""
    return potential_difference(-penalty if reward is None else reward, previous)


class Similarity:
    """The share of changed lines that a patch has in common with the gold one.

    The reward of arXiv 2502.18449 in spirit; there it is a sequence match of whole patches.
    """

    def score(self, pairs: Sequence[tuple[Task, Example]]) -> list[float]:
        """Likeness to each task's gold patch; 0 where the task has none."""
        return [_likeness(example.patch, task.patch) for task, example in pairs]


def _likeness(patch: str, gold: str) -> float:
    if not gold:
        return 0.0
    return difflib.SequenceMatcher(None, _changes(patch), _changes(gold), autojunk=False).ratio()


def _changes(patch: str) -> list[str]:
    lines = [
        line.rstrip()
        for line in patch.splitlines()
        if line[:1] in {"+", "-"} and not line.startswith(("--- ", "+++ "))
    ]
    return lines[:MAX_DIFF_LINES]


class RewardModel:
    """sigmoid(logit) of the trained classifier."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        profile: Profile,
        batch: int = 8,
    ) -> None:
        """Take a loaded model; `load_reward_model` loads one."""
        self._model, self._tokenizer = model, tokenizer
        self._profile, self._batch = profile, batch

    def score(self, pairs: Sequence[tuple[Task, Example]]) -> list[float]:
        """Score in batches; a text longer than the model's context loses its beginning.

        Raises:
            BadInputError: the model answers NaN, or a task cannot be written as its input.
        """
        limit = self._profile.context_tokens
        ids = [
            judged_ids(task, example, self._profile, self._tokenizer)[-limit:]
            for task, example in pairs
        ]
        scores: list[float] = []
        for start in range(0, len(ids), self._batch):
            scores += self._scores(ids[start : start + self._batch])
        return scores

    def _scores(self, ids: list[list[int]]) -> list[float]:
        import torch

        padded = self._tokenizer.pad(
            {"input_ids": ids}, padding=True, padding_side="right", return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self._model(
                input_ids=padded["input_ids"].to(self._model.device),
                attention_mask=padded["attention_mask"].to(self._model.device),
            ).logits[:, 0]
            found = torch.sigmoid(logits.float()).tolist()
        if any(math.isnan(score) for score in found):
            raise BadInputError("the reward model answers NaN; train it anew, or name another")
        return [float(score) for score in found]


def load_reward_model(folder: str, config: LargeConfig) -> RewardModel:
    """Load a classifier with one output.

    Raises:
        BadInputError: it is missing, or no reward model.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.bfloat16 if config.run.precision == "bf16" else torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"the reward model {folder} cannot be loaded: {error}; "
            "train it with `evoscale train large reward`, or set rl.reward_model"
        ) from error
    if model.config.num_labels != 1:
        raise BadInputError(f"{folder} has {model.config.num_labels} outputs, no reward model")
    return RewardModel(model.to(config.run.device).eval(), tokenizer, config.model.profile)


class ScoreServer:
    """A scorer in another process, which `evoscale train large serve` starts."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """Nothing is asked yet."""
        self._url = url
        self._client = httpx.Client(timeout=SCORE_TIMEOUT_S, transport=transport)

    def score(self, pairs: Sequence[tuple[Task, Example]]) -> list[float]:
        """Ask for all of them in one request.

        Raises:
            BadInputError: no server, or an answer that is no list of that many numbers.
        """
        rows = [
            {"instance_id": task.instance_id, "completion": example.completion}
            for task, example in pairs
        ]
        try:
            answer = self._client.post(self._url, json={"rows": rows})
            answer.raise_for_status()
            scores = [float(score) for score in answer.json()["scores"]]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            raise BadInputError(
                f"the reward server {self._url} does not answer with scores ({error}); "
                "start it with `evoscale train large serve`, or set rl.reward_url"
            ) from error
        if len(scores) != len(rows):
            raise BadInputError(
                f"the reward server {self._url} gave {len(scores)} scores for {len(rows)} patches"
            )
        return scores


def make_scorer(config: LargeConfig) -> Scorer:
    """The scorer that the configuration names, perhaps in another process.

    Raises:
        BadInputError: the reward model cannot be loaded.
    """
    if config.rl.reward == "server":
        return ScoreServer(config.rl.reward_url)
    return local_scorer(config)


def local_scorer(config: LargeConfig) -> Scorer:
    """The scorer that the configuration names, in this process: what a reward server serves.

    Raises:
        BadInputError: the reward model cannot be loaded.
    """
    if config.rl.reward == "similarity":
        return Similarity()
    return load_reward_model(config.reward_model, config)
