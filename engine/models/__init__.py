"""The table of model back ends; heavy imports happen here, on demand."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ModelUnavailableError
from engine.models.base import Closable, EditFormat, Model, Profile, PromptShape
from engine.settings import EngineSettings

EMBEDDED = Path(__file__).parent / "embedded"
EMBEDDED_PROFILE = Profile(EditFormat.LINE, evolves=False, context_tokens=2048)

WRITTEN = {"mix": 0.0, "rewrite": 0.0, "write": 1.0}
"""By proposer, the share of candidates that the embedded model writes freely."""

SATORI_CONTEXT_TOKENS = 32_768
SATORI_TEMPERATURE = 0.7
RELEASED: Mapping[str, Profile] = {
    name: Profile(
        EditFormat.SEARCH_REPLACE,
        evolves,
        SATORI_CONTEXT_TOKENS,
        PromptShape.SATORI,
        SATORI_TEMPERATURE,
    )
    for name, evolves in (("satori-swe-sft", False), ("satori-swe-rl", True))
}
"""Models that others released and what is known of them (`docs/training-large.md`).

The context is that of their base, Qwen2.5-Coder-32B-Instruct. Their sampling temperature is
published nowhere that could be read; 0.7 is what the parent project resamples with.
"""


def load(settings: EngineSettings) -> Model:
    """Make the model that the settings name; whoever does also closes it.

    Raises:
        ModelUnavailableError: it cannot be reached or loaded; says what is missing.
    """
    return BACK_ENDS[settings.model](settings)


def close(model: Model) -> None:
    """Let go of what a model holds, where it holds anything."""
    if isinstance(model, Closable):
        model.close()


@contextmanager
def opened(settings: EngineSettings) -> Iterator[Model]:
    """The model that the settings name, closed at the end.

    Raises:
        ModelUnavailableError: it cannot be reached or loaded; says what is missing.
    """
    model = load(settings)
    try:
        yield model
    finally:
        close(model)


def _embedded(settings: EngineSettings) -> Model:
    from engine.models.onnx_local import OnnxLocal
    from engine.models.ranked import RankedRewrites

    folder = Path(settings.model_name) if settings.model_name else EMBEDDED
    inner = OnnxLocal(folder, name="embedded", profile=EMBEDDED_PROFILE)
    return RankedRewrites(inner, WRITTEN[settings.proposer])


def _transformers_local(settings: EngineSettings) -> Model:
    from engine.models.transformers_local import TransformersLocal

    folder = Path(_named(settings))
    return TransformersLocal(folder, name=folder.name, profile=_profile(settings))


def _vllm_server(settings: EngineSettings) -> Model:
    from engine.models.vllm_server import Endpoint, VllmServer

    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    return VllmServer(Endpoint(settings.model_url, _named(settings), key), _profile(settings))


def _vllm_local(settings: EngineSettings) -> Model:
    from engine.models.vllm_local import VllmLocal

    return VllmLocal(_named(settings), _profile(settings))


def _scripted(settings: EngineSettings) -> Model:
    from engine.models.scripted import ScriptedModel

    return ScriptedModel.from_file(Path(_named(settings)), EditFormat(settings.model_edit_format))


def _named(settings: EngineSettings) -> str:
    if not settings.model_name:
        raise ModelUnavailableError(settings.model, "set EVOSCALE_ENGINE_MODEL_NAME")
    return settings.model_name


def _profile(settings: EngineSettings) -> Profile:
    if settings.model_profile:
        return RELEASED[settings.model_profile]
    return Profile(
        EditFormat(settings.model_edit_format),
        settings.model_evolves,
        settings.model_context_tokens,
    )


BACK_ENDS: Mapping[str, Callable[[EngineSettings], Model]] = {
    "embedded": _embedded,
    "transformers_local": _transformers_local,
    "vllm_server": _vllm_server,
    "vllm_local": _vllm_local,
    "scripted": _scripted,
}
