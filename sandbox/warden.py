"""The program that is process 1 of every box; it runs inside, the host only ever sends it as text.

It runs from Python 3.7 on, because the image may be one of an old Python (docs/decisions/0059).
It takes one request at a time on standard input (a line of JSON, then raw bytes) and answers on
standard output in the same way. It needs nothing but Python's standard library, because the image
belongs to somebody else; `sandbox.warden_files` and `warden_fork` are sent in front of it. As
process 1 it cannot be signalled from inside its own namespace, and as it is not dumpable, code of
the same user can read neither its memory nor its descriptors. It does without dataclasses, pathlib
and typing: to import them took nearly half of its start, and every box waits for that.
"""

import contextlib
import ctypes
import json
import marshal
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from _frozen_importlib_external import MAGIC_NUMBER  # `importlib.util` takes long to import
from collections.abc import Callable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from sandbox.warden_files import copy_tree, read, write
    from sandbox.warden_fork import PR_SET_DUMPABLE, Process, fork

CHUNK = 65536
PRISTINE = "/opt/repo"
REPO = "/repo"
WRITABLE = (REPO, "/tmp")  # noqa: S108  # the box's own tmpfs, not the machine's
MEMORY_EVENTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
# A command is the first that the kernel kills for memory, so process 1 can still report it.
SHELL = 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"'
WATCH_EVERY_S = 0.1
CHILDREN: list[int] = []
"""The reading end of a pipe that says when some child has ended; gVisor has no pidfd."""
OVER = {
    "memory": "it used more memory than its limit",
    "inodes": "it made more files than its limit",
    "disk": "less disk space is left than is kept in reserve",
}


class Orders:
    """What the host decided for this box; zero means that somebody else enforces it."""

    env: dict[str, str]
    pids: int = 0
    memory_bytes: int = 0
    inodes: int = 0
    reserve_bytes: int = 0
    laid: bool = False  # the repository lies at its place already

    def __init__(self, **given: object) -> None:
        unknown = given.keys() - Orders.__annotations__.keys()
        if unknown:
            raise TypeError(f"unknown orders: {unknown}")
        vars(self).update(given)


class Tape:
    """Keeps the first and the last half of what a command printed; the middle is only counted."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.total = 0
        self.head = bytearray()
        self.tail = bytearray()

    def add(self, data: bytes) -> None:
        """Record a piece of output."""
        self.total += len(data)
        room = self.keep // 2 - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        self.tail += data
        excess = len(self.tail) - (self.keep - self.keep // 2)
        if excess > 0:
            del self.tail[:excess]

    def text(self) -> bytes:
        """All that was kept."""
        return bytes(self.head + self.tail)


class Run:
    """A command under way, and until when (`time.monotonic`)."""

    def __init__(self, process: "Process", stdin: memoryview, deadline: float, tape: Tape) -> None:
        self.process = process
        self.stdin = stdin
        self.deadline = deadline
        self.tape = tape
        self.exit_code: int | None = None
        self.finished = False
        self.out_of_memory = False


def end_everything() -> dict[int, int]:
    """Kill every process of the box but this one and collect their exit statuses."""
    ended: dict[int, int] = {}
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return ended
        ended[pid] = status


def oom_kills() -> int:
    """How often the kernel killed something in this box for memory, 0 where it does not say."""
    for name in MEMORY_EVENTS:
        with contextlib.suppress(OSError):
            for line in text_of(name).splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return 0


def text_of(path: str) -> str:
    """What one of the kernel's files says."""
    with open(path, encoding="ascii") as file:  # noqa: PTH123  # no pathlib
        return file.read()


def processes() -> Iterator[str]:
    """The directories of all other processes in /proc."""
    names = os.listdir("/proc")  # noqa: PTH208  # no pathlib
    return (f"/proc/{name}" for name in names if name.isdigit() and name != "1")


def memory_in_use() -> int:
    """Resident bytes of all other processes; shared pages are divided among their users."""
    total = 0
    for directory in processes():
        with contextlib.suppress(OSError, ValueError, StopIteration):
            rollup = text_of(f"{directory}/smaps_rollup").splitlines()
            line = next(line for line in rollup if line.startswith("Pss:"))
            total += int(line.split()[1]) * 1024
    return total


def rough_memory_in_use() -> int:
    """Resident bytes of all other processes, shared pages counted again and again, but cheap."""
    total = 0
    for directory in processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(text_of(f"{directory}/statm").split()[1])
    return total * resource.getpagesize()


def overstepped(orders: Orders) -> str | None:
    """Which watched limit the box is over, if any: the ones no kernel mechanism enforces here."""
    limit = orders.memory_bytes
    if limit and rough_memory_in_use() > limit and memory_in_use() > limit:
        return "memory"
    for place in (*WRITABLE, "/dev/shm") if orders.inodes else ():  # noqa: S108  # the box's own
        usage = os.statvfs(place)
        if usage.f_files - usage.f_ffree > orders.inodes:
            return "inodes"
    if orders.reserve_bytes:
        usage = os.statvfs("/opt")
        if usage.f_bavail * usage.f_frsize < orders.reserve_bytes:
            return "disk"
    return None


def start(argv: list[str], orders: Orders) -> subprocess.Popen[bytes]:
    """Start a command in its own session, with pipes."""
    return subprocess.Popen(
        ["/bin/sh", "-c", SHELL, "sh", *argv],
        cwd=REPO,
        env=orders.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def feed(run: Run, selector: selectors.BaseSelector, pipe: "IO[bytes]") -> None:
    """Give the command more of its standard input; close it when that is used up."""
    try:
        written = os.write(pipe.fileno(), run.stdin[:CHUNK])
        run.stdin = run.stdin[written:]
    except BlockingIOError:
        return
    except BrokenPipeError:
        run.stdin = run.stdin[:0]
    if not run.stdin:
        selector.unregister(pipe)
        pipe.close()


def drain(run: Run, selector: selectors.BaseSelector, pipe: "IO[bytes]") -> bool:
    """Record what the command printed; false when there is no more for now."""
    try:
        data = os.read(pipe.fileno(), CHUNK)
    except BlockingIOError:
        return False
    if data:
        run.tape.add(data)
        return True
    selector.unregister(pipe)
    return False


def abandoned() -> None:
    """End the box: the host closed the line, so nobody waits for the answer."""
    end_everything()
    os._exit(1)


def watch(
    run: Run, selector: selectors.BaseSelector, orders: Orders, exited: Callable[[], bool]
) -> None:
    """Move bytes until the command ends, its time runs out or it oversteps a watched limit."""
    polled = bool(orders.memory_bytes or orders.inodes or orders.reserve_bytes)
    while not exited():
        left = run.deadline - time.monotonic()
        if left <= 0:
            return
        over = overstepped(orders) if polled else None
        if over is not None:
            run.tape.add(f"\n[the box stopped this command: {OVER[over]}]\n".encode())
            run.out_of_memory = over == "memory"
            run.exit_code = 137
            return
        for key, _ in selector.select(min(left, WATCH_EVERY_S if polled else 1.0)):
            key.data()
    run.finished = True


def collected(main: int) -> bool:
    """Collect orphans that ended, which count against the limit; says whether `main` has ended."""
    while True:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None or found.si_pid == main:
            return found is not None
        os.waitpid(found.si_pid, 0)


def supervise(run: Run, orders: Orders) -> None:
    """See one command through, then end everything it left behind."""
    ended: list[int] = []

    def some_ended() -> None:
        os.read(CHILDREN[0], CHUNK)
        if collected(run.process.pid):
            ended.append(run.process.pid)

    stdout, stdin = run.process.stdout, run.process.stdin
    assert stdout is not None  # noqa: S101  # Popen was asked for pipes
    assert stdin is not None  # noqa: S101  # Popen was asked for pipes
    with selectors.DefaultSelector() as selector:
        os.set_blocking(stdout.fileno(), False)
        os.set_blocking(stdin.fileno(), False)
        selector.register(CHILDREN[0], selectors.EVENT_READ, some_ended)
        selector.register(0, selectors.EVENT_READ, abandoned)
        selector.register(stdout, selectors.EVENT_READ, lambda: drain(run, selector, stdout))
        selector.register(stdin, selectors.EVENT_WRITE, lambda: feed(run, selector, stdin))
        watch(run, selector, orders, lambda: bool(ended))
        statuses = end_everything()
        while stdout in selector.get_map() and drain(run, selector, stdout):
            pass
    for pipe in (stdout, stdin):
        pipe.close()
    status = statuses.get(run.process.pid, 0)
    signalled = os.WIFSIGNALED(status)
    code = -os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)
    run.process.returncode = code
    if run.finished:
        run.exit_code = 128 - code if signalled else code


def begin(request: dict[str, object], orders: Orders) -> "Process":
    """Start what a request names: a command, or a program of ours."""
    if request["op"] == "program":
        compiled = bytes.fromhex(str(request.get("bytecode", "")))
        program = marshal.loads(compiled) if compiled else str(request["source"])  # noqa: S302  # the host's
        return fork(program, REPO, orders.env)
    return start([str(part) for part in _list(request["argv"])], orders)


def execute(
    request: dict[str, object], data: bytes, orders: Orders
) -> tuple[dict[str, object], bytes]:
    """Run one command or program and say what it did."""
    begun, killed = time.monotonic(), oom_kills()
    tape = Tape(int(str(request["keep"])))
    try:
        process = begin(request, orders)
    except OSError as error:
        tape.add(f"cannot start: {error}\n".encode())
        return {"exit_code": 126, "truncated": False, "duration_s": 0.0}, tape.text()
    run = Run(process, memoryview(data), begun + float(str(request["wall_clock_s"])), tape)
    supervise(run, orders)
    return {
        "exit_code": run.exit_code,
        "truncated": tape.total > tape.keep,
        "duration_s": time.monotonic() - begun,
        "out_of_memory": run.out_of_memory or oom_kills() > killed,
    }, tape.text()


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def answer_to(
    request: dict[str, object], data: bytes, orders: Orders
) -> tuple[dict[str, object], bytes]:
    """Do what a request asks."""
    if request["op"] in ("exec", "program"):
        return execute(request, data, orders)
    path = str(request["path"])
    try:
        if request["op"] == "write":
            write(path, data)
            return {}, b""
        found = read(path, int(str(request["limit"])))
    except OSError as error:
        return {"error": error.strerror or str(error)}, b""
    return {"found": found is not None}, found or b""


def say(answer: dict[str, object], data: bytes = b"", token: object = "") -> None:
    """Send one answer, with the word of the request."""
    sys.stdout.buffer.write(json.dumps({**answer, "token": token, "size": len(data)}).encode())
    sys.stdout.buffer.write(b"\n" + data)
    sys.stdout.buffer.flush()


def settle(orders: Orders) -> None:
    """Make the box ready: shut out its own user, limit processes, lay out the repository."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The kernel keeps from process 1 what it has no handler for, and Python handles this one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    CHILDREN.append(reading)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    if orders.pids:
        resource.setrlimit(resource.RLIMIT_NPROC, (orders.pids, orders.pids))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0)
    os.makedirs(orders.env["HOME"], mode=0o755, exist_ok=True)  # noqa: PTH103  # no pathlib
    if os.path.isdir(PRISTINE) and not orders.laid:  # noqa: PTH112  # no pathlib
        copy_tree(PRISTINE, REPO)
    os.umask(0o022)


def main() -> None:
    """Answer requests until the host closes the line."""
    if os.getpid() != 1:
        sys.exit("the warden ends every process it can see, so it only works as process 1")
    orders = Orders(**json.loads(sys.argv[1]))
    try:
        settle(orders)
    except OSError as error:
        say({"error": str(error)})
        return
    say({"ready": MAGIC_NUMBER.hex()})
    for line in iter(sys.stdin.buffer.readline, b""):
        request = json.loads(line)
        data = sys.stdin.buffer.read(int(request.get("size", 0)))
        say(*answer_to(request, data, orders), request["token"])


if __name__ == "__main__":
    main()
