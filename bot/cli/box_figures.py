"""`evoscale bench sandbox`: one candidate through every kind of box, interleaved, in one run."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from statistics import median
from tarfile import TarInfo
from tarfile import open as open_tar

from pydantic import BaseModel

from sandbox import images
from sandbox.backends import BACKENDS
from sandbox.contract import Patch, Sandbox, TestCommand, TestSpec
from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError
from sandbox.owners import LABEL, owner
from sandbox.pool import PooledSandbox
from sandbox.runner import run_tests
from sandbox.session import BOX_PATH
from sandbox.settings import SandboxSettings

BARE = "the test command alone, in a box that is open"
BUSY = (
    "**It was busier than it has cores: these are no figures of an idle machine, and neither the "
    "goal of 60 ms from the pool nor that of 230 ms fresh is shown by them.**"
)
TESTS = 20
READY_S = 30.0
SOURCE = "def add(a, b):\n    return a - b\n"
MENDED = SOURCE.replace("a - b", "a + b")
SUITE = (
    "import pytest\n\nfrom calc import add\n\n\n"
    f'@pytest.mark.parametrize("n", range({TESTS}))\n'
    "def test_adds(n):\n    assert add(n, 1) == n + 1\n"
)
PATCH = Patch(
    "diff --git a/calc.py b/calc.py\n--- a/calc.py\n+++ b/calc.py\n"
    "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n"
)
ARGV = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
IN_A_COPY = f"cp -a /opt/repo /tmp/repo && cd /tmp/repo && cat > calc.py && {' '.join(ARGV)}"


class Figures(BaseModel):
    """What was measured; milliseconds are medians, sizes are MiB, rates are candidates a second."""

    rounds: int
    cores: int
    load_before: float
    load_after: float
    isolation: dict[str, str]
    milliseconds: dict[str, float]
    spread: dict[str, tuple[float, float]]
    missing: dict[str, str]
    idle_mib: dict[str, float]
    busy_per_second: dict[str, float]
    in_a_row: int
    left_behind: dict[str, int]


@dataclass
class Variants:
    """The ways to run the candidate, by name, and why others cannot be measured here."""

    ways: dict[str, Callable[[], None]] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    bare: Callable[[], float] = float

    @property
    def best(self) -> Sandbox:
        """Docker's, else the first that works here."""
        return self.sandboxes.get("docker") or next(iter(self.sandboxes.values()))


def measure(rounds: int, in_a_row: int, say: Callable[[str], None]) -> Figures:
    """Measure everything that this machine has.

    Raises:
        ImageBuildError: the candidate's image cannot be made.
        SandboxUnavailableError: a back end that answered before does not any more.
    """
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        checkout = _checkout(Path(folder))
        variants = _variants(checkout, stack)
        times = _interleaved(variants, rounds, say)
        best = variants.best
        spec = _spec(best, checkout)
        say("throughput on busy cores")
        cores = len(os.sched_getaffinity(0))
        busy = {
            "fresh": _per_second(best, spec, rounds, cores),
            "pool": _per_second(_pooled(best, stack, cores), spec, rounds, cores),
        }
        say("memory of idle boxes")
        idle = {
            name: _idle_mib(sandbox, _spec(sandbox, checkout).image)
            for name, sandbox in variants.sandboxes.items()
            if name != "runsc"
        }
        say(f"{in_a_row} candidates in a row")
        left = _in_a_row(best, spec, in_a_row)
    return Figures(
        rounds=rounds,
        cores=cores,
        load_before=load,
        load_after=os.getloadavg()[0],
        isolation={name: sandbox.isolation for name, sandbox in variants.sandboxes.items()},
        milliseconds={name: 1000 * median(spent) for name, spent in times.items()},
        spread={name: (1000 * min(s), 1000 * max(s)) for name, s in times.items()},
        missing=variants.missing,
        idle_mib=idle,
        busy_per_second=busy,
        in_a_row=in_a_row,
        left_behind=left,
    )


def _checkout(folder: Path) -> Path:
    (folder / "tests").mkdir()
    (folder / "calc.py").write_text(SOURCE)
    (folder / "tests/test_calc.py").write_text(SUITE)
    (folder / "conftest.py").write_text("")
    return folder


def _variants(checkout: Path, stack: ExitStack) -> Variants:
    found = Variants()
    for name, settings in _kinds().items():
        try:
            sandbox = BACKENDS[settings.kind](settings)
        except SandboxUnavailableError as error:
            found.missing[name] = error.reason
            continue
        spec = _spec(sandbox, checkout)
        found.sandboxes[name] = sandbox
        found.ways[f"{name}, fresh"] = _run(sandbox, spec)
        if name == "docker":
            _docker_ways(found, _pooled(sandbox, stack, sys.maxsize), spec)
    best = found.best
    box = stack.enter_context(best.open(_spec(best, checkout).image, SandboxSettings().limits()))
    box.write_file("calc.py", MENDED.encode())
    found.bare = lambda: box.exec(ARGV).duration_s
    return found


def _kinds() -> Mapping[str, SandboxSettings]:
    return {
        "docker": SandboxSettings(kind="docker"),
        "docker with runsc": SandboxSettings(kind="docker", runtime="runsc"),
        "runc": SandboxSettings(kind="runc"),
        "runsc": SandboxSettings(kind="runc", runtime="runsc"),
        "bubblewrap": SandboxSettings(kind="bubblewrap"),
    }


def _docker_ways(found: Variants, pool: PooledSandbox, spec: TestSpec) -> None:
    found.before["docker, pool"] = lambda: _until_ready(pool)
    found.ways["docker, pool"] = _run(pool, spec)
    found.ways["docker, fresh, with canaries"] = _run(pool.inner, replace(spec, canaries=True))
    engine, repository = Engine("runc"), f"evoscale/{spec.image}"
    tag = next(image.name for image in engine.images() if image.name.startswith(repository))
    found.ways["docker run, cold"] = lambda: _docker_run(tag)
    found.ways["the SWE-bench harness's way"] = lambda: _harness(engine, tag)


def _spec(sandbox: Sandbox, checkout: Path) -> TestSpec:
    settings = SandboxSettings()
    environment = images.prepare(sandbox, checkout, test_command=ARGV, settings=settings)
    command = TestCommand(environment.command.runner, environment.command.argv, "measured")
    return TestSpec(environment.image, command, canaries=False)


def _interleaved(
    variants: Variants, rounds: int, say: Callable[[str], None]
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {BARE: [], **{name: [] for name in variants.ways}}
    for number in range(rounds + 1):  # the first round warms up and does not count
        say(f"round {number} of {rounds}")
        times[BARE] += [variants.bare()] if number else []
        for name, way in variants.ways.items():
            variants.before.get(name, lambda: None)()
            began = time.perf_counter()
            way()
            if number:
                times[name].append(time.perf_counter() - began)
    return times


def _run(sandbox: Sandbox, spec: TestSpec) -> Callable[[], None]:
    def once() -> None:
        report = run_tests(sandbox, spec, PATCH, SandboxSettings().limits())
        if len(report.statuses) < TESTS:
            raise SandboxUnavailableError(sandbox.isolation, f"no verdict: {report.log_tail}")

    return once


def _pooled(sandbox: Sandbox, stack: ExitStack, cores: int) -> PooledSandbox:
    pool = PooledSandbox(sandbox, 1, cores)
    stack.callback(pool.empty)
    return pool


def _until_ready(pool: PooledSandbox) -> None:
    give_up = time.monotonic() + READY_S
    while pool.starting() and time.monotonic() < give_up:
        time.sleep(0.005)


def _docker_run(tag: str) -> None:
    options = ["--rm", "-i", "--network", "none", "-e", f"PATH={BOX_PATH}"]
    argv = ["docker", "run", *options, tag, "sh", "-c", IN_A_COPY]
    subprocess.run(argv, input=MENDED.encode(), check=True, capture_output=True)


def _harness(engine: Engine, tag: str) -> None:
    """A container kept with `tail -f /dev/null`, files put in, commands executed: swebench 5.0's.

    Done again by what its `run_evaluation` and `docker_utils` do; its way to the end of a
    container, `docker stop` with 15 s of grace, is left out in its favour.
    """
    with engine.asked() as client:

        def execute(*argv: str) -> None:
            started = client.exec_create(name, list(argv))["Id"]
            for _ in client.exec_start(started, stream=True):
                pass
            if client.exec_inspect(started)["ExitCode"] != 0:
                raise SandboxUnavailableError("docker", f"{argv[0]} failed in the harness's way")

        name = client.create_container(tag, ["tail", "-f", "/dev/null"], user="root")["Id"]
        try:
            client.start(name)
            execute("mkdir", "-p", "/tmp")  # noqa: S108  # the container's
            client.put_archive(name, "/tmp", _tarred("calc.py", MENDED))  # noqa: S108
            execute("sh", "-c", "cat /tmp/calc.py > /opt/repo/calc.py")
            execute("mkdir", "-p", "/")
            script = f"export PATH={BOX_PATH}; cd /opt/repo && {' '.join(ARGV)}"
            client.put_archive(name, "/", _tarred("eval.sh", script))
            execute("sh", "/eval.sh")
        finally:
            client.remove_container(name, force=True)


def _tarred(name: str, text: str) -> bytes:
    file = BytesIO()
    with open_tar(fileobj=file, mode="w") as archive:
        info = TarInfo(name)
        info.size = len(text)
        archive.addfile(info, BytesIO(text.encode()))
    return file.getvalue()


def _per_second(sandbox: Sandbox, spec: TestSpec, rounds: int, cores: int) -> float:
    once = _run(sandbox, spec)
    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as threads:
        for done in [threads.submit(once) for _ in range(rounds)]:
            done.result()
    return rounds / (time.perf_counter() - began)


def _idle_mib(sandbox: Sandbox, image: str) -> float:
    """What a box that waits takes: its processes and those that hold it, shared pages once."""
    before = _of_boxes(sandbox)
    with sandbox.open(image, SandboxSettings().limits()) as box:
        box.exec(["true"])
        return sum(_proportional_kib(one) for one in _of_boxes(sandbox) - before) / 1024


def _of_boxes(sandbox: Sandbox) -> frozenset[int]:
    ours = _descendants(os.getpid()) | _in_control_groups()
    return ours | _of_containers() if sandbox.isolation.startswith("docker") else ours


def _descendants(process: int) -> frozenset[int]:
    children = [
        int(word)
        for file in Path(f"/proc/{process}/task").glob("*/children")
        for word in file.read_text(encoding="ascii").split()
    ]
    return frozenset(children).union(*(_descendants(child) for child in children))


def _in_control_groups() -> frozenset[int]:
    files = Path("/sys/fs/cgroup").glob(f"**/evoscale-{os.getpid()}-*/cgroup.procs")
    return frozenset(int(word) for file in files for word in file.read_text().split())


def _of_containers() -> frozenset[int]:
    """Process 1 of each container of ours, and the shim that is its parent."""
    with Engine("runc").asked() as client:
        first = [int(client.inspect_container(name)["State"]["Pid"]) for name in _containers()]
    return frozenset(first) | {_parent(process) for process in first}


def _parent(process: int) -> int:
    status = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    return int(status.rpartition(")")[2].split()[1])


def _proportional_kib(process: int) -> int:
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it has ended meanwhile
        return 0
    line = next((line for line in rollup.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1])


def _in_a_row(sandbox: Sandbox, spec: TestSpec, count: int) -> dict[str, int]:
    """What so many candidates, one after the other, leave on this machine."""
    before = _left(sandbox)
    once = _run(sandbox, spec)
    for _ in range(count):
        once()
    return {name: found - before[name] for name, found in _left(sandbox).items()}


def _left(sandbox: Sandbox) -> dict[str, int]:
    temporary = Path(tempfile.gettempdir())
    with Path("/proc/self/mounts").open(encoding="utf-8") as mounts:
        ours = sum("evoscale-bundle" in line for line in mounts)
    return {
        "containers": len(_containers()) if sandbox.isolation.startswith("docker") else 0,
        "mounts": ours,
        "loop devices": len(list(Path("/sys/block").glob("loop*/loop/backing_file"))),
        "control groups": len(list(Path("/sys/fs/cgroup").glob(f"*/evoscale-{os.getpid()}-*"))),
        "temporary files": len(list(temporary.glob(f"evoscale-bundle-{os.getpid()}-*"))),
        "open files": len(list(Path("/proc/self/fd").iterdir())),
    }


def _containers() -> list[str]:
    ours = {"label": [f"{LABEL}=1", f"{LABEL}.owner={owner()}"]}
    with Engine("runc").asked() as client:
        return [str(found["Id"]) for found in client.containers(all=True, filters=ours)]


def as_markdown(figures: Figures, command: str) -> str:
    """The page `docs/results/sandbox.md`."""
    bare = figures.milliseconds[BARE]
    rows = [
        f"| {name} | {spent:.0f} | {spent - bare:.0f} | {low:.0f} to {high:.0f} |"
        for name, spent in figures.milliseconds.items()
        for low, high in [figures.spread[name]]
    ]
    missing = [f"- {name}: not measured here: {why}" for name, why in figures.missing.items()]
    idle = [f"| {name} | {size:.1f} |" for name, size in figures.idle_mib.items()]
    busy = [f"| {name} | {rate:.2f} |" for name, rate in figures.busy_per_second.items()]
    left = [f"| {name} | {count} |" for name, count in figures.left_behind.items()]
    return "\n".join(
        [
            "# What a box costs",
            "",
            f"Written by `{command}`: one candidate (a patch of one line, {TESTS} tests, their",
            f"report) through every kind of box, interleaved, medians of {figures.rounds} rounds,",
            f"{figures.cores} cores. The load of the machine was {figures.load_before:.1f} before",
            f"and {figures.load_after:.1f} after; compare within the table, not with others.",
            *([] if figures.load_before < figures.cores else [BUSY]),
            "",
            "| way | ms | over the bare command, ms | least to most, ms |",
            "|---|---|---|---|",
            *rows,
            "",
            *missing,
            "",
            "In a search canaries run beside the tests; they have a line of their own.",
            "The harness's way is done again as `swebench` 5.0.2 does it, without the end of its",
            "container; it and `docker run` have no limits and no report to read.",
            "",
            "| memory of a box that waits | MiB (PSS) |",
            "|---|---|",
            *idle,
            "",
            f"| {figures.cores} workers on {figures.cores} cores, Docker | candidates a second |",
            "|---|---|",
            *busy,
            "",
            f"| left after {figures.in_a_row} candidates in a row | count |",
            "|---|---|",
            *left,
            "",
        ]
    )
