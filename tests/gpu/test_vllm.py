"""The embedded weights in a real vLLM server; docs/results/vllm.md says how to start one."""

import os
from collections.abc import Iterator

import httpx
import pytest

from engine import line_format
from engine.models import EMBEDDED
from engine.models.base import EditFormat, Profile, Prompt, Sampling
from engine.models.transformers_local import TransformersLocal
from engine.models.vllm_server import Endpoint, VllmServer

# Each test runs without EVOSCALE_* variables, so this one is read before the first begins.
URL = os.environ.get("EVOSCALE_TEST_VLLM_URL", "")  # noqa: TID251  # names a server, sets nothing

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not URL, reason="EVOSCALE_TEST_VLLM_URL names no running vLLM server"),
]

LINE = Profile(EditFormat.LINE, evolves=False, context_tokens=1024)
SOURCES = {
    "subtracts": ("def add(a, b):\n    return a - b\n", "add subtracts"),
    "largest": (
        "def largest(xs):\n    best = xs[0]\n    for x in xs:\n        if x < best:\n"
        "            best = x\n    return best\n",
        "largest returns the smallest element",
    ),
    "off_by_one": (
        "def total(xs):\n    s = 0\n    for i in range(1, len(xs)):\n        s += xs[i]\n    return s\n",
        "the first element is not counted",
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[VllmServer]:
    url = URL.rstrip("/")
    answer = httpx.get(f"{url}/models", timeout=10).raise_for_status()
    with VllmServer(Endpoint(url, answer.json()["data"][0]["id"]), LINE) as server:
        yield server


@pytest.fixture(scope="module")
def local() -> TransformersLocal:
    return TransformersLocal(EMBEDDED, name="embedded", profile=LINE, threads=1)


@pytest.fixture(params=SOURCES)
def prompt(request: pytest.FixtureRequest) -> Prompt:
    source, issue = SOURCES[request.param]
    return Prompt("", line_format.render_prompt(source, issue=issue, previous=()))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_exactly_n_completions_come_and_tokens_are_counted(server, prompt, n):
    completions = list(server.sample(prompt, Sampling(n, 0.8, 64, seed=3)))
    assert sorted(c.sample for c in completions) == list(range(n))
    assert all(c.tokens_in > 0 and c.tokens_out > 0 for c in completions)


def test_special_tokens_are_kept(server, prompt):
    (completion,) = server.sample(prompt, Sampling(1, 0.0, 64, seed=0))
    assert completion.text.startswith(line_format.LINE_TOKENS)


def test_most_texts_are_line_edits(server, prompt):
    """Most, not all: the server does not mask what a line model must not say."""
    texts = [c.text for c in server.sample(prompt, Sampling(16, 0.8, 64, seed=5))]
    edits = [line_format.parse(text) for text in texts]
    assert sum(edit is not None for edit in edits) >= 12, texts


def test_the_greedy_text_is_that_of_the_local_back_end(server, local, prompt):
    """For a server in float32; a shorter float may break a near tie the other way."""
    greedy = Sampling(1, 0.0, 64, seed=0)
    (served,) = server.sample(prompt, greedy)
    (own,) = local.sample(prompt, greedy)
    assert served.text.split(line_format.EOS_TOKEN, 1)[0] == own.text
    assert served.tokens_in == own.tokens_in


def test_samples_of_one_call_differ(server, prompt):
    texts = {c.text for c in server.sample(prompt, Sampling(8, 1.5, 64, seed=11))}
    assert len(texts) > 1
