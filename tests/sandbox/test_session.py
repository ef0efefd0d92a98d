import itertools
import json
import marshal
import time
from collections.abc import Iterable, Iterator

import pytest

from sandbox.bytecode import KIND
from sandbox.contract import Limits
from sandbox.errors import SandboxUnavailableError
from sandbox.session import Blame, Ending, Session, blame, inside, spaces

TOKEN = b"0" * 32
"""Stands for the word of the request that is being answered."""


def _ends(sizes: Iterable[int]) -> Iterator[tuple[int, int]]:
    at = 0
    for size in sizes:
        at += size
        yield size, at


class ScriptedWalls:
    """Walls behind which somebody says what the test wants."""

    isolation = "scripted"

    def __init__(self, *pieces: bytes, ending: Ending | None = None, stalls: bool = False) -> None:
        self.pieces = list(pieces)
        self.sent = b""
        self.stalls = stalls
        self.after = ending or Ending(False, False, True, True)

    def send(self, data: bytes, deadline: float) -> None:  # noqa: ARG002  # the protocol's signature
        self.sent += data
        token = str(json.loads(data.partition(b"\n")[0])["token"]).encode()
        whole, sizes = b"".join(self.pieces).replace(TOKEN, token, 1), map(len, self.pieces)
        self.pieces = [whole[end - size : end] for size, end in _ends(sizes)]

    def receive(self, size: int, deadline: float) -> bytes:  # noqa: ARG002  # the protocol's signature
        if not self.pieces and self.stalls:
            raise TimeoutError("its time ran out")
        piece = self.pieces.pop(0) if self.pieces else b""
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]

    def ending(self, *, host_gave_up: bool) -> Ending:
        return Ending(
            host_gave_up, self.after.out_of_memory, self.after.engine_answers, self.after.box_exited
        )


def answer(data: bytes = b"", **fields: object) -> bytes:
    told = {"token": TOKEN.decode(), **fields, "size": len(data)}
    return json.dumps(told).encode() + b"\n" + data


def ended(exit_code: int | None = 0, data: bytes = b"") -> bytes:
    return answer(data, exit_code=exit_code, truncated=False, duration_s=0.1, out_of_memory=False)


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)))
def test_whose_failure_it_was(flags: tuple[bool, bool, bool, bool]) -> None:
    ending = Ending(*flags)
    ended = ending.engine_answers and (ending.host_gave_up or ending.box_exited)
    if ending.out_of_memory or ended:
        assert blame(ending) is Blame.COMMAND
    else:
        assert blame(ending) is Blame.BOX


def test_an_answer_may_come_in_pieces() -> None:
    whole = ended(3, b"hello")
    walls = ScriptedWalls(*(whole[i : i + 3] for i in range(0, len(whole), 3)))
    result = Session(walls, Limits()).exec(["x"], stdin=b"in")
    assert (result.exit_code, result.output) == (3, b"hello")
    request, _, rest = walls.sent.partition(b"\n")
    assert rest == b"in"
    assert json.loads(request)["argv"] == ["x"]


@pytest.mark.parametrize(
    "piece",
    [
        b"nonsense\n",
        b'{"size": -1}\n',
        b'{"size": 99999999999}\n',
        b'{"size": "1"}\n',
        b'{"size": 0, "more": 1}\n',
        b"[]\n",
        b'{"size": 0, "exit_code": 0}\n',
        b'{"size": 0, "exit_code": 0, "token": "1"}\n',
        b"x" * 10_000,
    ],
)
def test_an_answer_that_breaks_the_rules_ends_the_box(piece: bytes) -> None:
    session = Session(ScriptedWalls(piece), Limits())
    assert session.exec(["x"]).exit_code == 137
    with pytest.raises(SandboxUnavailableError, match="open another"):
        session.exec(["y"])


def test_an_answer_from_before_the_question_is_not_believed() -> None:
    session = Session(ScriptedWalls(ended(0) + ended(0, b"forged")), Limits())
    assert session.exec(["x"]).exit_code == 0
    with pytest.raises(SandboxUnavailableError, match="nothing that was asked"):
        session.read_file("report.xml", 100)


def test_nonsense_on_the_line_is_the_commands_doing_though_the_box_stands() -> None:
    walls = ScriptedWalls(b"nonsense\n", ending=Ending(False, False, True, False))
    result = Session(walls, Limits()).exec(["x"])
    assert (result.exit_code, result.box_ended) == (137, True)


def test_a_box_that_does_not_speak_is_a_command_out_of_time() -> None:
    session = Session(ScriptedWalls(stalls=True), Limits())
    assert session.exec(["x"]).exit_code is None


def test_a_box_that_was_killed_for_memory_says_so() -> None:
    walls = ScriptedWalls(ending=Ending(False, True, True, True))
    result = Session(walls, Limits()).exec(["x"])
    assert result.out_of_memory


def test_a_box_that_went_with_its_engine_is_our_failure() -> None:
    walls = ScriptedWalls(ending=Ending(False, False, False, False))
    with pytest.raises(SandboxUnavailableError, match="lost under a command"):
        Session(walls, Limits()).exec(["x"])


def test_a_box_that_does_not_come_up_is_unavailable() -> None:
    with pytest.raises(SandboxUnavailableError, match="did not come up"):
        Session(ScriptedWalls(), Limits()).greet()
    with pytest.raises(SandboxUnavailableError, match="no space"):
        Session(ScriptedWalls(answer(token="", error="no space")), Limits()).greet()


def test_a_file_that_is_lost_with_its_box_is_our_failure() -> None:
    with pytest.raises(SandboxUnavailableError, match="stopped answering"):
        Session(ScriptedWalls(), Limits()).read_file("a", 10)
    with pytest.raises(SandboxUnavailableError, match="stopped answering"):
        Session(ScriptedWalls(), Limits()).write_file("a", b"")


def test_a_file_larger_than_asked_for_is_not_believed() -> None:
    with pytest.raises(SandboxUnavailableError):
        Session(ScriptedWalls(answer(b"12345", found=True)), Limits()).read_file("a", 4)


def test_a_command_gets_no_more_time_than_the_box() -> None:
    walls = ScriptedWalls(ended(), ended())
    session = Session(walls, Limits(wall_clock_s=5.0))
    session.exec(["x"], wall_clock_s=100.0)
    assert json.loads(walls.sent.partition(b"\n")[0])["wall_clock_s"] == 5.0
    assert time.monotonic() > 0


def asked_to_run(ready: str) -> dict[str, object]:
    """What a box that says it reads this bytecode is sent for a program."""
    walls = ScriptedWalls(answer(token="", ready=ready), ended())
    session = Session(walls, Limits())
    session.greet()
    session.run_program("print(2 + 2)", stdin=b"", wall_clock_s=1.0)
    request: dict[str, object] = json.loads(walls.sent.partition(b"\n")[0])
    return request


def test_a_program_goes_as_bytecode_where_the_box_reads_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exec(marshal.loads(bytes.fromhex(str(asked_to_run(KIND)["bytecode"]))))  # noqa: S102, S302  # our own
    assert capsys.readouterr().out == "4\n"


@pytest.mark.parametrize("ready", ["00000000", ""])
def test_a_program_goes_as_text_where_the_box_reads_another_bytecode(ready: str) -> None:
    request = asked_to_run(ready)
    assert request["source"] == "print(2 + 2)"
    assert "bytecode" not in request


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "..", "a/../../etc", "/repo", "/tmp", "", "a\0b", "/repository/x", "x/.."],
)
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="leaves"):
        inside(path)


@pytest.mark.parametrize(
    ("path", "absolute"), [("a", "/repo/a"), ("/tmp/x/y", "/tmp/x/y"), ("./b", "/repo/b")]
)
def test_a_path_is_below_the_repository(path: str, absolute: str) -> None:
    assert inside(path) == absolute


def test_what_is_written_leaves_memory_to_run_in() -> None:
    size = spaces(Limits(memory_bytes=1000), 10**9)
    assert size.repo + size.tmp + size.shm < 1000
    assert spaces(Limits(), 10).repo == 10
