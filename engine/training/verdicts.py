"""Runs small programs in a box and says which of them reached their end."""

import json
import secrets
from collections.abc import Sequence

from sandbox.contract import Limits, Sandbox

PROGRAM_WALL_CLOCK_S = 4.0
PROGRAM_MEMORY_BYTES = 1024**3
START_WALL_CLOCK_S = 20.0

DRIVER = """
import json, os, resource, select, signal, sys
order = json.load(sys.stdin)
seconds, token, memory = order["seconds"], order["token"], order["memory"]
sys.setrecursionlimit(2000)

def run(program):
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    exec(compile(program, "candidate", "exec"), {"__name__": "candidate"})

reached = []
for program in order["programs"]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        try:
            run(program)
            os.write(write, token.encode())
        finally:
            os._exit(0)
    os.close(write)
    ready, _, _ = select.select([read], [], [], seconds)
    said = os.read(read, 64) if ready else b""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(child, 0)
    os.close(read)
    reached.append(said == token.encode())
print(json.dumps({"token": token, "reached": reached}))
"""
"""Forks for each program, inside the box; a program passes when it ends without an exception."""


def run_programs(programs: Sequence[str], *, sandbox: Sandbox, image: str) -> list[bool]:
    """Whether each program ran to its end in time; all of them in one fresh box without network.

    A box that dies takes its programs' verdicts with it: they count as failed.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    if not programs:
        return []
    token = secrets.token_hex(8)
    order = {
        "programs": list(programs),
        "seconds": PROGRAM_WALL_CLOCK_S,
        "memory": PROGRAM_MEMORY_BYTES,
        "token": token,
    }
    wall_clock_s = START_WALL_CLOCK_S + PROGRAM_WALL_CLOCK_S * len(programs)
    with sandbox.open(image, Limits(wall_clock_s=wall_clock_s, cpus=1.0)) as box:
        result = box.exec(["python3", "-I", "-c", DRIVER], stdin=json.dumps(order).encode())
    return _verdicts(result.output, token) or [False] * len(programs)


def _verdicts(output: bytes, token: str) -> list[bool]:
    """What the driver printed last; nothing when it never came so far."""
    for line in reversed(output.decode("utf-8", "replace").splitlines()):
        if token in line:
            try:
                return [bool(reached) for reached in json.loads(line)["reached"]]
            except (ValueError, KeyError, TypeError):
                return []
    return []
