import httpx
import pytest

from engine.errors import ModelUnavailableError, PromptTooLongError
from engine.models.base import EditFormat, Profile, Prompt, Sampling
from engine.models.vllm_server import TRIES, Endpoint, VllmServer
from tests.engine.models.served import served

CHAT = Profile(EditFormat.SEARCH_REPLACE, evolves=True, context_tokens=4096)
LINE = Profile(EditFormat.LINE, evolves=False, context_tokens=1024)
SAMPLING = Sampling(3, 0.7, 50, seed=5)


@pytest.fixture
def server():
    with served() as running:
        yield running


def model(server, profile=CHAT, key=None) -> VllmServer:
    return VllmServer(Endpoint(server.url, "qwen", key), profile, patience_s=0.01)


def test_m_samples_are_m_requests_with_seeds_of_their_own_and_the_same_messages(server):
    list(model(server, key="token").sample(Prompt("sys", "user"), SAMPLING))
    assert len({body["seed"] for body in server.bodies}) == 3
    assert {str(body["messages"]) for body in server.bodies} == {str(server.bodies[0]["messages"])}
    assert set(server.tokens) == {"Bearer token"}
    assert set(server.paths) == {"/v1/chat/completions"}


def test_a_line_model_gets_raw_text_and_keeps_its_special_tokens(server):
    list(model(server, LINE).sample(Prompt("", "<code><L0>x<edit>"), SAMPLING))
    assert server.paths[0] == "/v1/completions"
    assert server.bodies[0]["prompt"] == "<code><L0>x<edit>"
    assert server.bodies[0]["skip_special_tokens"] is False


def test_a_server_that_stumbles_is_asked_again_and_then_given_up(server):
    server.refuse = [(503, "loading")]
    assert len(list(model(server).sample(Prompt("s", "u"), Sampling(1, 0, 5, 0)))) == 1
    server.refuse = [(503, "loading")] * TRIES
    with pytest.raises(ModelUnavailableError, match="status 503: loading"):
        list(model(server).sample(Prompt("s", "u"), Sampling(1, 0, 5, 0)))


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (200, "<html>", "no completion"),
        (200, '{"choices": []}', "no choice"),
        (404, "no such model", "status 404"),
        (400, "bad sampling", "status 400"),
    ],
)
def test_an_answer_that_is_none_becomes_one_clear_error(server, status, text, said):
    server.refuse = [(status, text)] * TRIES
    with pytest.raises(ModelUnavailableError, match=said):
        list(model(server).sample(Prompt("s", "u"), Sampling(1, 0, 5, 0)))


def test_a_prompt_that_is_too_long_is_told_apart(server):
    server.refuse = [(400, "maximum context length is 4096 tokens")]
    with pytest.raises(PromptTooLongError):
        list(model(server).sample(Prompt("s", "u"), Sampling(1, 0, 5, 0)))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "not a url", "http://"])
def test_no_server_at_all_says_where_it_looked(url):
    unreachable = VllmServer(Endpoint(url, "qwen"), CHAT, patience_s=0.01)
    with pytest.raises(ModelUnavailableError, match="does not answer"):
        list(unreachable.sample(Prompt("s", "u"), Sampling(1, 0, 5, 0)))


def _all_subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from _all_subclasses(child)


@pytest.mark.parametrize(
    "kind",
    sorted({httpx.InvalidURL, *_all_subclasses(httpx.TransportError)}, key=lambda k: k.__name__),
)
def test_no_exception_of_httpx_leaves_unmapped(kind):
    def fail(_request: httpx.Request) -> httpx.Response:
        raise kind("broken")

    transport = httpx.MockTransport(fail)
    broken = VllmServer(
        Endpoint("http://model/v1", "qwen"), CHAT, transport=transport, patience_s=0.0
    )
    with pytest.raises(ModelUnavailableError):
        list(broken.sample(Prompt("s", "u"), Sampling(1, 0, 5, 0)))
