"""The ways to run the bench's candidate: each kind of box, and what others do."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.cli import swebench_way
from sandbox import images
from sandbox.backends import BACKENDS
from sandbox.contract import Patch, Sandbox, TestCommand, TestSpec
from sandbox.docker.engine import Engine
from sandbox.errors import SandboxError, SandboxUnavailableError
from sandbox.pool import PooledSandbox
from sandbox.runner import run_tests
from sandbox.session import BOX_PATH
from sandbox.settings import SandboxSettings

NOT_MEASURED = (SandboxError, OSError, subprocess.SubprocessError, ValueError)
"""One figure that cannot be had here does not cost the others."""
BARE = "the test command alone, in a box that is open"
HARNESS = "the SWE-bench harness's way"
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
FAILING_FIRST = tuple(f"tests/test_calc.py::test_adds[{n}]" for n in range(TESTS))


@dataclass
class Ways:
    """How the candidate is run, by name, and its seconds; `missing` says why one cannot be."""

    timed: dict[str, Callable[[], float]] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    sandboxes: dict[str, tuple[Sandbox, TestSpec]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    harness: swebench_way.Harness | None = None

    @property
    def best(self) -> str:
        """Docker's, else the first that works here."""
        return "docker" if "docker" in self.sandboxes else next(iter(self.sandboxes))

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Keep why a figure cannot be had, instead of losing the others."""
        try:
            yield
        except NOT_MEASURED as error:
            reason = error.reason if isinstance(error, SandboxUnavailableError) else str(error)
            self.missing[name] = " ".join(reason.split())[:500] or type(error).__name__


def found(stack: ExitStack) -> Ways:
    """All ways that this machine has; what they hold ends with the stack.

    Raises:
        SandboxUnavailableError: it has none.
    """
    ways = Ways()
    checkout = _checkout(Path(stack.enter_context(tempfile.TemporaryDirectory())))
    for name, settings in _kinds().items():
        with ways.noting(name):
            sandbox = BACKENDS[settings.kind](settings)
            ways.sandboxes[name] = sandbox, _spec(sandbox, checkout)
    if not ways.sandboxes:
        reasons = "; ".join(f"{name}: {why}" for name, why in ways.missing.items())
        raise SandboxUnavailableError("bench's", f"no kind of box can be had here: {reasons}")
    with ways.noting(BARE):
        ways.timed[BARE] = _bare(*ways.sandboxes[ways.best], stack)
    for name, (sandbox, spec) in ways.sandboxes.items():
        ways.timed[f"{name}, fresh"] = _timed(once(sandbox, spec))
        if name == "docker":
            _docker_ways(ways, stack)
    return ways


def once(sandbox: Sandbox, spec: TestSpec) -> Callable[[], None]:
    """One candidate through one box."""

    def run() -> None:
        report = run_tests(sandbox, spec, PATCH, SandboxSettings().limits())
        if len(report.statuses) < TESTS:
            raise SandboxUnavailableError(sandbox.isolation, f"no verdict: {report.log_tail}")

    return run


def pooled(sandbox: Sandbox, stack: ExitStack, cores: int) -> PooledSandbox:
    """Boxes of a sandbox, one of them started ahead of time."""
    pool = PooledSandbox(sandbox, 1, cores)
    stack.callback(pool.empty)
    return pool


def per_second(sandbox: Sandbox, spec: TestSpec, count: int, cores: int) -> float:
    """How many candidates are run in a second, as many at once as there are cores."""
    work = once(sandbox, spec)
    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as threads:
        for done in [threads.submit(work) for _ in range(count)]:
            done.result()
    return count / (time.perf_counter() - began)


def _checkout(folder: Path) -> Path:
    (folder / "tests").mkdir()
    (folder / "calc.py").write_text(SOURCE)
    (folder / "tests/test_calc.py").write_text(SUITE)
    (folder / "conftest.py").write_text("")
    return folder


def _kinds() -> Mapping[str, SandboxSettings]:
    return {
        "docker": SandboxSettings(kind="docker"),
        "docker with runsc": SandboxSettings(kind="docker", runtime="runsc"),
        "runc": SandboxSettings(kind="runc"),
        "runsc": SandboxSettings(kind="runc", runtime="runsc"),
        "bubblewrap": SandboxSettings(kind="bubblewrap"),
    }


def _spec(sandbox: Sandbox, checkout: Path) -> TestSpec:
    settings = SandboxSettings()
    environment = images.prepare(sandbox, checkout, test_command=ARGV, settings=settings)
    command = TestCommand(environment.command.runner, environment.command.argv, "measured")
    return TestSpec(environment.image, command, canaries=False)


def _bare(sandbox: Sandbox, spec: TestSpec, stack: ExitStack) -> Callable[[], float]:
    box = stack.enter_context(sandbox.open(spec.image, SandboxSettings().limits()))
    box.write_file("calc.py", MENDED.encode())
    return lambda: box.exec(ARGV).duration_s


def _docker_ways(ways: Ways, stack: ExitStack) -> None:
    sandbox, spec = ways.sandboxes["docker"]
    pool = pooled(sandbox, stack, sys.maxsize)
    ways.before["docker, pool"] = lambda: _until_ready(pool)
    ways.timed["docker, pool"] = _timed(once(pool, spec))
    with_canaries = once(sandbox, replace(spec, canaries=True))
    ways.timed["docker, fresh, with canaries"] = _timed(with_canaries)
    engine, repository = Engine("runc"), f"evoscale/{spec.image}"
    tag = next(image.name for image in engine.images() if image.name.startswith(repository))
    ways.timed["docker run, cold"] = _timed(lambda: _docker_run(tag))
    with ways.noting(HARNESS):
        order = swebench_way.Order(engine, tag, _script(), PATCH, FAILING_FIRST)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways.harness = stack.enter_context(swebench_way.harness(order, folder))
        ways.timed[HARNESS] = _timed(ways.harness.run)


def _script() -> tuple[str, ...]:
    """What the harness runs: the same tests, each with a line that its parser reads."""
    return f"export PATH={BOX_PATH}", " ".join([*ARGV, "-rA"])


def _timed(work: Callable[[], object]) -> Callable[[], float]:
    def spent() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return spent


def _until_ready(pool: PooledSandbox) -> None:
    give_up = time.monotonic() + READY_S
    while pool.starting() and time.monotonic() < give_up:
        time.sleep(0.005)


def _docker_run(tag: str) -> None:
    options = ["--rm", "-i", "--network", "none", "-e", f"PATH={BOX_PATH}"]
    argv = ["docker", "run", *options, tag, "sh", "-c", IN_A_COPY]
    subprocess.run(argv, input=MENDED.encode(), check=True, capture_output=True)
