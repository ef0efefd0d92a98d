"""Runs small programs in a box and says which of them reached their end."""

import json
import secrets
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from sandbox.contract import Limits, Sandbox

PROGRAM_WALL_CLOCK_S = 4.0
PROGRAM_MEMORY_BYTES = 1024**3
START_WALL_CLOCK_S = 20.0

DRIVER = """
import json, os, resource, select, signal, sys
order = json.load(sys.stdin)
seconds, token, memory, span = order["seconds"], order["token"], order["memory"], order["span"]
sys.setrecursionlimit(2000)
NAME = "candidate"

def run(program, write):
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    code = compile(program, NAME, "exec")
    if span:
        return traced(code, write)
    exec(code, {"__name__": NAME})
    os.write(write, token.encode())

def traced(code, write):
    function, generator = 1, 32  # of inspect's CO_OPTIMIZED and CO_GENERATOR
    def inside(frame):
        code = frame and frame.f_code
        own = code and code.co_filename == NAME and code.co_flags & function
        return own and span[0] <= code.co_firstlineno <= span[1]
    def trace(frame, event, argument):
        if not inside(frame):
            return None
        resumed = frame.f_code.co_flags & generator  # perhaps, and then it is the same call
        if event == "call" and not resumed and not inside(frame.f_back):
            lines.clear()
        lines.add(frame.f_lineno)
        return trace
    def late(number, frame):
        raise TimeoutError
    lines = set()
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds / 2)
    sys.settrace(trace)
    try:
        exec(code, {"__name__": NAME})
    except BaseException:
        sys.settrace(None)
        os.write(write, json.dumps(sorted(lines)).encode())

said = []
for program in order["programs"]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        try:
            run(program, write)
        finally:
            os._exit(0)
    os.close(write)
    ready, _, _ = select.select([read], [], [], seconds)
    said.append((os.read(read, 65536) if ready else b"").decode("utf-8", "replace"))
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(child, 0)
    os.close(read)
print(json.dumps({"token": token, "said": said}))
"""
"""Forks for each program, inside the box; a program passes when it ends without an exception.

With a span the programs are traced instead, and those that do not pass tell the lines that ran.
"""

_LINES = TypeAdapter(frozenset[int])


def run_programs(programs: Sequence[str], *, sandbox: Sandbox, image: str) -> list[bool]:
    """Whether each program ran to its end in time; all of them in one fresh box without network.

    A box that dies takes its programs' verdicts with it: they count as failed.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    token = secrets.token_hex(8)
    said = _drive(programs, (), token, sandbox, image) if programs else []
    return [text == token for text in said] or [False] * len(programs)


def lines_of_last_call(
    program: str, span: tuple[int, int], *, sandbox: Sandbox, image: str
) -> frozenset[int] | None:
    """What ran of the functions in these lines (1-based) of a program when it was last called.

    Of a test that fails at its first wrong answer, that is the call that went wrong. None when the
    program reached its end, or the box died.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    said = _drive([program], span, secrets.token_hex(8), sandbox, image)
    try:
        return frozenset(_LINES.validate_json(said[0])) or None if said else None
    except ValidationError:
        return None


def _drive(
    programs: Sequence[str], span: tuple[int, ...], token: str, sandbox: Sandbox, image: str
) -> list[str]:
    """What each program's process wrote; nothing when the driver never came so far."""
    order = {
        "programs": list(programs),
        "seconds": PROGRAM_WALL_CLOCK_S,
        "memory": PROGRAM_MEMORY_BYTES,
        "token": token,
        "span": span,
    }
    wall_clock_s = START_WALL_CLOCK_S + PROGRAM_WALL_CLOCK_S * len(programs)
    with sandbox.open(image, Limits(wall_clock_s=wall_clock_s, cpus=1.0)) as box:
        result = box.exec(["python3", "-I", "-c", DRIVER], stdin=json.dumps(order).encode())
    for line in reversed(result.output.decode("utf-8", "replace").splitlines()):
        if token in line:
            try:
                return [str(text) for text in json.loads(line)["said"]]
            except (ValueError, KeyError, TypeError):
                return []
    return []
