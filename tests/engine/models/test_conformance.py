"""Every back end of the table passes the same checks; vLLM's two in an interpreter with vLLM."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from engine.models import BACK_ENDS, close
from engine.models.base import EditFormat, Model
from engine.models.onnx_local import OnnxLocal
from engine.models.ranked import RankedRewrites
from engine.models.scripted import ScriptedModel
from engine.models.transformers_local import TransformersLocal
from engine.models.vllm_server import Endpoint, VllmServer
from engine.settings import EngineSettings
from tests.engine.models import vllm
from tests.engine.models.conformance import CHECKS, LINE, WEIGHED
from tests.engine.models.served import served
from tests.engine.models.tiny import make_tiny

HEADS_FOR_VLLM = 64
"""vLLM's attention on CPU takes heads of 32 numbers and more."""


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"), HEADS_FOR_VLLM)


@pytest.fixture(
    params=["scripted", "embedded", "transformers_local", "vllm_server at a double"],
)
def model(request: pytest.FixtureRequest, tiny_folder: Path) -> Iterator[Model]:
    local = TransformersLocal(tiny_folder, name="tiny", profile=LINE, threads=1)
    if request.param == "vllm_server at a double":
        with served() as server, VllmServer(Endpoint(server.url, "served"), LINE) as client:
            yield client
        return
    made: dict[str, Model] = {
        "scripted": ScriptedModel([["<L1>    return a + b", "<L0>x"]], edit_format=EditFormat.LINE),
        "embedded": RankedRewrites(OnnxLocal(tiny_folder, name="tiny", profile=LINE, threads=1)),
        "transformers_local": local,
    }
    yield made[request.param]
    close(made[request.param])


@pytest.mark.parametrize("check", CHECKS)
def test_a_back_end_conforms(model: Model, check: str) -> None:
    CHECKS[check](model)


@pytest.mark.parametrize("check", WEIGHED)
@pytest.mark.parametrize("back_end", [OnnxLocal, TransformersLocal])
def test_a_back_end_with_weights_conforms(
    tiny_folder: Path, check: str, back_end: type[OnnxLocal | TransformersLocal]
) -> None:
    WEIGHED[check](back_end(tiny_folder, name="tiny", profile=LINE, threads=1))


@pytest.fixture(scope="module")
def in_process(
    request: pytest.FixtureRequest, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What every check said of `vllm_local`: the model is loaded once, by vLLM's interpreter."""
    report = tmp_path_factory.mktemp("vllm") / "report.json"
    return vllm.checked_in_process(vllm.interpreter(request.config), tiny_folder, report)


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("check", [*CHECKS, *WEIGHED])
def test_vllm_inside_the_worker_conforms(in_process: dict[str, str], check: str) -> None:
    assert in_process[check] == ""


@pytest.fixture(scope="module")
def at_a_server(request: pytest.FixtureRequest, tiny_folder: Path) -> Iterator[Model]:
    python = vllm.interpreter(request.config)
    with (
        vllm.serving(python, tiny_folder, LINE.context_tokens) as url,
        VllmServer(Endpoint(url, tiny_folder.name), LINE) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("check", [*CHECKS, *WEIGHED])
def test_a_real_vllm_server_conforms(at_a_server: Model, check: str) -> None:
    {**CHECKS, **WEIGHED}[check](at_a_server)


def test_every_back_end_of_the_table_is_named_in_the_settings() -> None:
    assert set(BACK_ENDS) == set(get_args(EngineSettings.model_fields["model"].annotation))


def test_a_closed_client_is_not_asked_again() -> None:
    with served() as server:
        client = VllmServer(Endpoint(server.url, "served"), LINE)
        close(client)
        with pytest.raises(RuntimeError, match="closed"):
            CHECKS["tokens_are_counted"](client)
