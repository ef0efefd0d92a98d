"""A vLLM server over HTTP, or anything else that speaks OpenAI's completions API.

M samples are M requests submitted together: with a prefix cache that costs the same as one request
with n=M, and each sample can go to its tests as soon as it is finished.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Self

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from engine.errors import ModelUnavailableError, PromptTooLongError
from engine.models.base import Completion, EditFormat, Profile, Prompt, Sampling

CONNECT_S = 5.0
READ_S = 600.0
TRIES = 3
MAX_PARALLEL = 32


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    text: str | None = None
    message: _Message | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Answer(BaseModel):
    choices: list[_Choice]
    usage: _Usage = _Usage()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server is, the served model's id, and the bearer token if it wants one."""

    url: str
    model: str
    api_key: str | None = None


class VllmServer:
    """Samples from a served model; one HTTP request a sample, all at once."""

    def __init__(
        self,
        endpoint: Endpoint,
        profile: Profile,
        *,
        transport: httpx.BaseTransport | None = None,
        patience_s: float = 2.0,
    ) -> None:
        self._endpoint = endpoint
        self._profile = profile
        self._patience_s = patience_s
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        self._client = httpx.Client(
            base_url=endpoint.url.rstrip("/"),
            headers=headers,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            transport=transport,
        )

    def close(self) -> None:
        """End the connections; the model cannot be asked any more."""
        self._client.close()

    def __enter__(self) -> Self:
        """Use it as a context that closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the connections."""
        self.close()

    @property
    def name(self) -> str:
        """The served model's id."""
        return self._endpoint.model

    @property
    def profile(self) -> Profile:
        """As the operator set it."""
        return self._profile

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        """Yield completions as the server finishes them; closing the iterator drops the rest.

        Raises:
            ModelUnavailableError: no server, or no answer that can be read, after three tries.
            PromptTooLongError: the server says that the prompt is too long.
        """
        with ThreadPoolExecutor(max_workers=min(sampling.n, MAX_PARALLEL)) as pool:
            asked = [pool.submit(self._one, prompt, sampling, k) for k in range(sampling.n)]
            try:
                for finished in as_completed(asked):
                    yield finished.result()
            finally:
                _drop(asked)

    def _one(self, prompt: Prompt, sampling: Sampling, sample: int) -> Completion:
        path, body = self._request(prompt, sampling, sample)
        answer = self._post(path, body)
        choice = answer.choices[0]
        text = choice.text if choice.message is None else choice.message.content
        usage = answer.usage
        return Completion(sample, text or "", usage.prompt_tokens, usage.completion_tokens)

    def _request(
        self, prompt: Prompt, sampling: Sampling, sample: int
    ) -> tuple[str, dict[str, object]]:
        common: dict[str, object] = {
            "model": self._endpoint.model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "seed": sampling.seed * MAX_PARALLEL + sample,
        }
        if self._profile.edit_format is EditFormat.LINE:
            raw = {"prompt": prompt.user, "skip_special_tokens": False}
            return "/completions", {**common, **raw, "spaces_between_special_tokens": False}
        messages = [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ]
        return "/chat/completions", {**common, "messages": messages}

    def _post(self, path: str, body: dict[str, object]) -> _Answer:
        retrying = Retrying(
            retry=retry_if_exception_type(ModelUnavailableError),
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(max=self._patience_s),
            reraise=True,
        )
        return retrying(self._post_once, path, body)

    def _post_once(self, path: str, body: dict[str, object]) -> _Answer:
        try:
            response = self._client.post(path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unavailable(f"{self._endpoint.url} does not answer ({error})") from error
        if response.status_code == httpx.codes.BAD_REQUEST and "context length" in response.text:
            raise PromptTooLongError(0, self._profile.context_tokens)
        if response.status_code != httpx.codes.OK:
            raise self._unavailable(f"status {response.status_code}: {response.text[:200]}")
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError as error:
            raise self._unavailable("its answer is no completion") from error
        if not answer.choices:
            raise self._unavailable("its answer holds no choice")
        return answer

    def _unavailable(self, reason: str) -> ModelUnavailableError:
        return ModelUnavailableError(self._endpoint.model, reason)


def _drop(asked: list[Future[Completion]]) -> None:
    for future in asked:
        future.cancel()
