"""vLLM inside the worker: for one machine with one accelerator and no server of its own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.errors import ModelUnavailableError, PromptTooLongError
from engine.models.base import Completion, EditFormat, Profile, Prompt, Sampling

if TYPE_CHECKING:
    from vllm import SamplingParams

MIN_ROOM_TOKENS = 16
"""A prompt must leave at least this much of the context for a completion."""
SEEDS = 1024
"""Seeds of one call: more than it has samples, so that no two calls share one."""


class VllmLocal:
    """Loads a model folder or hub id into vLLM in this process, on first use of the class."""

    def __init__(self, model: str, profile: Profile) -> None:
        """Load the model.

        Raises:
            ModelUnavailableError: vLLM is not installed, or it cannot load the model.
        """
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            reason = "vLLM is not installed; `pip install evoscale[vllm]` or set vllm_server"
            raise ModelUnavailableError(model, reason) from error
        try:
            self._llm = LLM(
                model=model, enable_prefix_caching=True, max_model_len=profile.context_tokens
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelUnavailableError(model, str(error)) from error
        self._params = SamplingParams
        self._model = model
        self._profile = profile

    def close(self) -> None:
        """End vLLM's own processes and free what they hold of the accelerator."""
        self._llm.llm_engine.engine_core.shutdown()

    @property
    def name(self) -> str:
        """The folder or id that was loaded."""
        return self._model

    @property
    def profile(self) -> Profile:
        """As the operator set it."""
        return self._profile

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        """Yield all completions when the batch is done.

        Raises:
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        text = self._text(prompt)
        tokens = len(self._llm.get_tokenizer().encode(text))
        if tokens + MIN_ROOM_TOKENS > self._profile.context_tokens:
            raise PromptTooLongError(tokens, self._profile.context_tokens)
        params = [self._one(sampling, sample) for sample in range(sampling.n)]
        results = self._llm.generate([text] * sampling.n, params, use_tqdm=False)
        for sample, result in enumerate(results):
            (output,) = result.outputs
            tokens_in = len(result.prompt_token_ids)
            yield Completion(sample, output.text, tokens_in, len(output.token_ids))

    def _one(self, sampling: Sampling, sample: int) -> "SamplingParams":
        """One request a sample: vLLM takes no n above 1 at temperature 0, and the cache shares."""
        return self._params(
            n=1,
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed * SEEDS + sample,
            skip_special_tokens=self._profile.edit_format is not EditFormat.LINE,
            spaces_between_special_tokens=False,
        )

    def _text(self, prompt: Prompt) -> str:
        if self._profile.edit_format is EditFormat.LINE:
            return prompt.user
        messages = [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ]
        tokenizer = self._llm.get_tokenizer()
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return text
