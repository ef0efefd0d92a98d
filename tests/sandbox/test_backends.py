from pathlib import Path
from typing import Literal

import pytest

from sandbox.backends import BACKENDS, open_sandbox
from sandbox.contract import Sandbox
from sandbox.errors import SandboxUnavailableError
from tests.sandbox.conftest import LIMITS, settings


def test_without_any_sandbox_the_program_refuses_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailableError) as caught:
        open_sandbox("auto", settings())
    for word in ("docker", "bubblewrap", "apt-get install", "never runs without"):
        assert word in str(caught.value)


@pytest.mark.parametrize("kind", ["runc", "bubblewrap"])
def test_auto_falls_back_to_what_works_where_no_engine_answers(
    kind: Literal["runc", "bubblewrap"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    if kind == "bubblewrap":  # as for anybody but root
        monkeypatch.setitem(BACKENDS, "runc", BACKENDS["docker"])  # type: ignore[misc]  # a read-only table
    try:
        expected = open_sandbox(kind, settings()).isolation
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    assert open_sandbox("auto", settings()).isolation == expected
    assert expected.startswith(kind)


@pytest.mark.docker
def test_auto_prefers_an_engine() -> None:
    try:
        found = open_sandbox("docker", settings())
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    assert open_sandbox("auto", settings()).isolation == found.isolation == "docker/runc"


def test_localhost_has_a_name_and_the_machines_name_servers_are_not_shown(
    sandbox: Sandbox, bare: str
) -> None:
    program = (
        "import pathlib, socket\n"
        "place = pathlib.Path('/etc/resolv.conf')\n"
        "print(socket.gethostbyname('localhost'), place.read_text() if place.exists() else '')"
    )
    with sandbox.open(bare, LIMITS) as box:
        said = box.exec(["python3", "-c", program]).output.decode().split()
    assert said[0] == "127.0.0.1"
    assert set(said[1:]) <= {"nameserver", "127.0.0.1", "search", "."}


def test_a_program_of_ours_runs_in_a_copy_of_process_1_that_holds_nothing_of_the_host(
    sandbox: Sandbox, bare: str
) -> None:
    program = (
        "import os, sys\n"
        "def is_open(number):\n"
        "    try:\n"
        "        return bool(os.fstat(number))\n"
        "    except OSError:\n"
        "        return False\n"
        "print(sys.stdin.read(), os.getcwd(), os.getpid() > 1, __name__)\n"
        "print([number for number in range(3, 256) if is_open(number)], 'PATH' in os.environ)\n"
    )
    with sandbox.open(bare, LIMITS) as box:
        first = box.run_program(
            "print(open('/proc/self/oom_score_adj').read())", stdin=b"", wall_clock_s=20
        )
        done = box.run_program(program, stdin="né\udcff".encode(errors="surrogateescape"),
                               wall_clock_s=20)  # fmt: skip
        failed = box.run_program("raise ValueError('mine')", stdin=b"", wall_clock_s=20)
        stuck = box.run_program("while True: pass", stdin=b"", wall_clock_s=0.5)
        after = box.exec(["echo", "still here"])
    assert done.output.decode(errors="surrogateescape") == (
        "né\udcff /repo True __main__\n[] True\n"
    )
    if "runsc" not in sandbox.isolation:  # whose kernel chooses by itself
        assert first.output.strip() == b"1000", "the kernel kills it before process 1"
    assert (failed.exit_code, b"ValueError: mine" in failed.output) == (1, True)
    assert stuck.exit_code is None
    assert (after.exit_code, after.output) == (0, b"still here\n")
