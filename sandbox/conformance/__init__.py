"""The contract as checks: each attacks a box, in bounds, and says what did not hold.

`python -m sandbox.conformance [docker|runc|bubblewrap|auto]` prints a table on any machine; the
test suite runs the same checks on every back end. None of them can harm the machine: what they use
up is bounded by themselves, not only by the limit under test.
"""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sandbox.conformance.attacks import (
    ALLOCATE,
    CALLS,
    CONNECTIONS,
    COUNT,
    DAEMON,
    FILL,
    FLOOD,
    FORKS,
    HIDDEN,
    IDENTITY,
    INTERFACES,
    LEAVE,
    LOOK,
    MANY_FILES,
    ORPHANS,
    PROCESSES,
    REMOVE,
    SPECIAL,
    SPIN,
    THREAD,
    WARDEN,
    WRITES,
)
from sandbox.contract import REPO, Box, ExecResult, Limits, Sandbox
from sandbox.errors import SandboxError
from sandbox.seccomp import DENIED
from sandbox.settings import MIB

BUSY_S = 2.0  # as long as the program of that check is busy
MORE_FILES: Mapping[str, int] = {"/tmp": 130_000, "/dev/shm": 130_000, REPO: 210_000}  # noqa: S108  # the box's own
"""How many files are made in each writable place: more than any back end lets a box have."""
COUNTED = "it made more files than its limit"  # the warden's words where it counts them
SMALL = Limits(wall_clock_s=30.0, memory_bytes=256 * MIB, cpus=1.0, pids=48, output_bytes=64 * 1024)

Probe = Callable[[Box], str | None]
"""Attacks a box; says what did not hold, or None."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A sandbox and an image to open boxes of."""

    sandbox: Sandbox
    image: str

    def box_says(self, probe: Probe) -> str | None:
        """Run a probe in a box of its own."""
        with self.sandbox.open(self.image, SMALL) as box:
            return probe(box)


Check = Callable[[Bench], str | None]
"""Opens boxes of its own; says what did not hold, or None."""


def python(
    box: Box, program: str, *arguments: str, wall_clock_s: float | None = None
) -> ExecResult:
    """Run a Python program in a box."""
    return box.exec(["python", "-c", program, *arguments], wall_clock_s=wall_clock_s)


def said(result: ExecResult) -> str:
    """What a program printed, short enough for a table."""
    return result.output.decode(errors="replace").strip()[-300:]


def expect(wanted: str, program: str, box: Box) -> str | None:
    """A probe: the program prints exactly this."""
    found = said(python(box, program))
    return None if found == wanted else f"{found!r} instead of {wanted!r}"


def runs_as_nobody(box: Box) -> str | None:
    """User 10001, no capability, no new privileges, a filter; `-` where a kernel does not say."""
    wanted = "10001 10001 0 0 0 1 2"
    found = said(python(box, IDENTITY))
    pairs = zip(found.split(), wanted.split(), strict=False)
    same = found.count(" ") == wanted.count(" ") and all(a in (b, "-") for a, b in pairs)
    return None if same else f"{found!r} instead of {wanted!r}"


def network_is_closed(box: Box) -> str | None:
    """No interface but loopback, nothing reachable, no names."""
    return expect("lo", INTERFACES, box) or expect("", CONNECTIONS, box)


def refuses_calls(box: Box) -> str | None:
    """Namespaces, tracing, keyrings, io_uring, AF_VSOCK and the rest are shut."""
    column = 1 if platform.machine() == "x86_64" else 2
    entries = [entry.split() for entry in DENIED.replace("\n", " ").split(";")]
    words = [f"{entry[0]}={entry[column]}" for entry in entries if entry[column] != "-"]
    return said(python(box, CALLS, *words)) or None


def warden_is_closed(box: Box) -> str | None:
    """Process 1 cannot be read, and signals from inside do not reach it."""
    return expect("done", WARDEN, box) or expect("still here", "print('still here')", box)


def host_is_hidden(box: Box) -> str | None:
    """Neither the machine's environment, nor its homes, nor its processes are visible."""
    found = said(python(box, HIDDEN)) or None
    alone = said(python(box, PROCESSES))
    return found or (f"sees processes {alone}" if alone else None)


def time_ends_everything(box: Box) -> str | None:
    """A command past its time is killed with its daemons, and the box still answers."""
    result = python(box, DAEMON, "stay", wall_clock_s=1.5)
    if result.exit_code is not None:
        return f"exit code {result.exit_code} instead of none"
    return expect("", PROCESSES, box)


def no_process_outlives_its_command(box: Box) -> str | None:
    """Daemons end with the command that started them."""
    result = python(box, DAEMON, "go")
    return f"exit code {result.exit_code}" if result.exit_code else expect("", PROCESSES, box)


def time_is_capped_by_the_box(box: Box) -> str | None:
    """A command cannot ask for more time than the box has."""
    result = python(box, "print('ok')", wall_clock_s=10_000_000.0)
    return None if said(result) == "ok" else said(result)


def memory_is_limited(box: Box) -> str | None:
    """Four times the memory is not to be had, and the result says so."""
    result = python(box, ALLOCATE, "1024")
    if b"had" in result.output:
        return said(result)
    return None if result.out_of_memory else f"not said to be for memory: {said(result)}"


def processes_are_limited(box: Box) -> str | None:
    """No more processes than allowed."""
    result = python(box, FORKS)
    made = said(result).removeprefix("made ")
    if result.box_ended or (made.isdecimal() and int(made) <= SMALL.pids):
        return None
    return f"made {made} of at most {SMALL.pids}"


def box_outlives_processes(box: Box) -> str | None:
    """A box whose processes were at their limit still works afterwards."""
    python(box, FORKS)
    return expect("still here", "print('still here')", box)


def space_is_limited(box: Box) -> str | None:
    """Every writable place has a size."""
    for place in ("/tmp", "/dev/shm", REPO):  # noqa: S108  # the box's own
        result = python(box, FILL, place, "400")
        python(box, REMOVE, place)
        if b"wrote" in result.output:
            return f"{place}: {said(result)}"
    return None


def processors_are_limited(box: Box) -> str | None:
    """Four busy processes together get what one processor gives."""
    found = said(python(box, SPIN))
    try:
        used = float(found)
    except ValueError:
        return f"it ended with {found!r}"
    return None if used < 1.5 * BUSY_S else f"four processes used {used:.1f} s in {BUSY_S} s"


def output_is_capped(box: Box) -> str | None:
    """Beginning and end of a flood are kept, the middle is not, and it is said."""
    result = python(box, FLOOD)
    kept = result.output
    if not result.truncated or len(kept) > SMALL.output_bytes:
        return f"kept {len(kept)} bytes, truncated={result.truncated}"
    ends_kept = kept.startswith(b"begin") and kept.endswith(b"end\n")
    return None if ends_kept else "an end of it is missing"


def input_is_delivered(box: Box) -> str | None:
    """A megabyte of standard input arrives whole; a command may also leave it unread."""
    found = said(box.exec(["python", "-c", COUNT], stdin=bytes(MIB)))
    unread = box.exec(["true"], stdin=bytes(MIB)).exit_code
    return None if (found, unread) == (str(MIB), 0) else f"{found} arrived; unread: {unread}"


def exit_codes_are_told(box: Box) -> str | None:
    """An exit code, a signal and a command that is not there are told apart."""
    commands = (["sh", "-c", "exit 3"], ["sh", "-c", "kill -9 $$"], ["no-such-command"])
    found = [box.exec(command).exit_code for command in commands]
    return None if found == [3, 137, 127] else str(found)


def files_follow_no_links(box: Box) -> str | None:
    """Only regular files are read, nothing is written through a link."""
    python(box, SPECIAL)
    for path in ("link", "fifo", "one", "directory", "etc/passwd", "sparse", "absent"):
        if box.read_file(f"{REPO}/{path}", 1000) is not None:
            return f"{path} was read"
    box.write_file("planted", b"text")
    if box.read_file("/tmp/target", 10) is not None:  # noqa: S108  # the box's own
        return "a planted link was followed"
    return None if box.read_file("planted", 10) == b"text" else "a file was not written"


def paths_stay_inside(box: Box) -> str | None:
    """Paths outside the writable places, and through links, are refused."""
    python(box, SPECIAL)
    for path in ("/etc/passwd", "../etc/passwd", "/tmp/../etc/x", "/repo", "etc/x", "a\0b"):  # noqa: S108  # the box's own
        try:
            box.write_file(path, b"x")
        except ValueError:
            continue
        return f"{path!r} was written"
    return None


def files_are_limited(bench: Bench) -> str | None:
    """The number of files has a limit in each writable place, and it is what ended the making."""
    for place, files in MORE_FILES.items():
        problem = bench.box_says(partial(makes_too_many_files, place, files))
        if problem is not None:
            return problem
    return None


def makes_too_many_files(place: str, files: int, box: Box) -> str | None:
    """A probe: no more files go in there, or somebody counts them; time or memory prove nothing."""
    result = python(box, MANY_FILES, place, str(files))
    if said(result) == "full" or COUNTED in said(result):
        return None
    over = "its memory" if result.out_of_memory else "its time" if result.exit_code is None else ""
    return f"{place}: {f'nothing is known, {over} ran out' if over else said(result)}"


def boxes_are_fresh(bench: Bench) -> str | None:
    """What one box leaves behind, the next does not see."""
    with bench.sandbox.open(bench.image, SMALL) as box:
        python(box, LEAVE)
    return bench.box_says(partial(expect, "", LOOK))


PROBES: Mapping[str, Probe] = {
    "commands run as nobody, without any privilege": runs_as_nobody,
    "the network is closed": network_is_closed,
    "the root file system is read-only": partial(expect, "", WRITES),
    "dangerous system calls are refused": refuses_calls,
    "process 1 is out of reach": warden_is_closed,
    "the machine is hidden": host_is_hidden,
    "time ends a command and all it started": time_ends_everything,
    "no process outlives its command": no_process_outlives_its_command,
    "a command cannot ask for more time than the box has": time_is_capped_by_the_box,
    "memory is limited": memory_is_limited,
    "processes are limited": processes_are_limited,
    "a box outlives a fork bomb": box_outlives_processes,
    "threads can be started": partial(expect, "thread", THREAD),
    "orphans do not pile up": partial(expect, "made all", ORPHANS),
    "processors are limited": processors_are_limited,
    "space is limited": space_is_limited,
    "output is capped": output_is_capped,
    "input is delivered": input_is_delivered,
    "exit codes are told": exit_codes_are_told,
    "files are read and written without following links": files_follow_no_links,
    "paths stay inside": paths_stay_inside,
}
GVISOR = frozenset(
    {
        "process 1 is out of reach",  # its kernel lets process 1 be killed: the box then ends
        "a box outlives a fork bomb",  # what limits it is around the whole kernel, which ends
        "files are limited",  # by memory only, and then the box ends
        "processors are limited",  # the limit is around it; its own clock of used time is coarse
        "files are read and written without following links",  # O_NOFOLLOW of a directory does
    }
)
OPTIONAL: Mapping[str, frozenset[str]] = {
    "bubblewrap": frozenset({"processors are limited"}),  # not without control groups
    "bubblewrap/user": frozenset({"processors are limited"}),
    "runsc": GVISOR,
    "docker/runsc": GVISOR,
}
"""Checks that a back end holds on some machines only; docs/security.md says when."""


def checks() -> Mapping[str, Check]:
    """All checks by name; each opens boxes of its own."""
    alone: dict[str, Check] = {
        name: lambda bench, probe=probe: bench.box_says(probe)  # type: ignore[misc]  # a lambda's default has no type
        for name, probe in PROBES.items()
    }
    return {**alone, "files are limited": files_are_limited, "boxes are fresh": boxes_are_fresh}


def run_check(check: Check, bench: Bench) -> str | None:
    """What did not hold, or None; a sandbox that fails did not hold either."""
    try:
        return check(bench)
    except SandboxError as error:
        return str(error)
