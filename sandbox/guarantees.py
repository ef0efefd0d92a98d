"""What this machine's back end really holds, and the refusal to work where it is too little.

The conformance checks are asked, by attack, before the first box runs foreign code. What held is
remembered for this boot, because boxes are made of the kernel and the engine that it started.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.backends import find_sandbox, pooled
from sandbox.conformance import OPTIONAL, Bench, checks, hostile, run_check
from sandbox.conformance.lacks import lacks
from sandbox.contract import Sandbox
from sandbox.errors import SandboxError, SandboxUnavailableError
from sandbox.images import bare
from sandbox.settings import ALWAYS, SandboxSettings

logger = logging.getLogger(__name__)

PROMISES: Mapping[str, tuple[str, ...]] = {
    "network": ("the network is closed",),
    "memory": ("memory is limited",),
    "pids": ("processes are limited",),
    "cpus": ("processors are limited",),
    "disk": ("space is limited",),
    "files": ("files are limited",),
    "root": ("commands run as nobody, without any privilege", "the root file system is read-only"),
    "calls": ("dangerous system calls are refused",),
    "host": ("the machine is hidden", "process 1 is out of reach"),
    "time": ("time ends a command and all it started", "no process outlives its command"),
    "fresh": ("boxes are fresh",),
}
"""The words of `EVOSCALE_SANDBOX_REQUIRE` and the checks that each stands for."""

REMEMBERED_S = 86_400.0
BOOT = Path("/proc/sys/kernel/random/boot_id")
ADVICE = "run `evoscale sandbox check`; docs/security.md says what each back end can hold"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check on this machine: what did not hold, or None; `optional` where that is known."""

    name: str
    problem: str | None
    optional: bool

    @property
    def holds(self) -> bool:
        """Whether the promise is kept here."""
        return self.problem is None


def examine(sandbox: Sandbox, names: Iterable[str] | None = None) -> Iterator[Finding]:
    """Attack boxes of a sandbox, one check after the other; all of them unless some are named.

    Raises:
        ImageBuildError: the bare image cannot be made.
        SandboxUnavailableError: the back end does not answer.
    """
    bench = Bench(sandbox, bare(sandbox))
    known = OPTIONAL.get(sandbox.isolation, frozenset())
    for name in checks() if names is None else names:
        yield Finding(name, run_check(checks()[name], bench), name in known)


def attacked(sandbox: Sandbox, settings: SandboxSettings) -> Iterator[Finding]:
    """Everything that there is against a sandbox, one after the other, the gentle first.

    Raises:
        ImageBuildError: an image cannot be made.
        SandboxUnavailableError: the back end does not answer.
    """
    found: list[Finding] = []
    for finding in examine(sandbox):
        found.append(finding)
        yield finding
    yield from withstand(sandbox, settings, bombs=safe_to_bomb(found))


def safe_to_bomb(found: Iterable[Finding]) -> bool:
    """Whether what keeps a machine alive holds, of what was found: else it is not tried whole."""
    held = {finding.name for finding in found if finding.holds}
    return all(name in held for word in ALWAYS for name in PROMISES[word])


def withstand(sandbox: Sandbox, settings: SandboxSettings, *, bombs: bool) -> Iterator[Finding]:
    """Run hostile candidates of a small repository, one after the other; `bombs` as in `trials`.

    Raises:
        ImageBuildError: the repository's environment cannot be made.
        SandboxUnavailableError: the back end does not answer.
    """
    target = hostile.prepare(sandbox, settings)
    for name, trial in hostile.trials(bombs=bombs).items():
        try:
            problem = trial(target)
        except SandboxError as error:  # a sandbox that fails did not hold
            problem = str(error)
        yield Finding(name, problem, optional=False)


def required(settings: SandboxSettings) -> frozenset[str]:
    """The promises that must hold: three always, and what the operator adds."""
    return frozenset(ALWAYS) | frozenset(settings.require)


def must_hold(sandbox: Sandbox, settings: SandboxSettings) -> None:
    """Refuse a sandbox that does not keep what is required; asked once a boot.

    Raises:
        ImageBuildError: the bare image cannot be made.
        SandboxUnavailableError: something does not hold; says what, and what to do.
    """
    wanted = required(settings)
    if "gvisor" in wanted and "runsc" not in sandbox.isolation:
        reason = "EVOSCALE_SANDBOX_REQUIRE asks for gvisor; set EVOSCALE_SANDBOX_RUNTIME=runsc"
        raise SandboxUnavailableError(sandbox.isolation, reason)
    _must_be_of_the_kernel(sandbox, settings.require)
    names = [name for word in sorted(wanted) for name in PROMISES.get(word, ())]
    memory = Memory(settings, sandbox.isolation, sandbox.engine)
    for finding in examine(sandbox, [name for name in names if name not in memory.held()]):
        if not finding.holds:
            problem = "; ".join((finding.problem or "", *_known(sandbox, finding.name)))
            reason = f"{finding.name!r} does not hold on this machine ({problem}); {ADVICE}"
            raise SandboxUnavailableError(sandbox.isolation, reason)
        memory.add(finding.name)


def open_checked(settings: SandboxSettings) -> Sandbox:
    """Open the sandbox that the settings ask for, and refuse it where it holds too little.

    What killed processes left of boxes is removed first: whoever was killed starts again.

    Raises:
        ImageBuildError: the bare image cannot be made.
        SandboxUnavailableError: it cannot be used, or something that must hold does not.
    """
    sandbox = find_sandbox(settings.kind, settings)
    left = sandbox.reap()
    if left:
        logger.info("%d boxes of killed processes were removed", left)
    must_hold(sandbox, settings)
    return pooled(sandbox, settings)


def description(sandbox: Sandbox, settings: SandboxSettings) -> str:
    """The isolation, what holds of what is required, and what does not or is only watched."""
    held = ", ".join(sorted(required(settings) - sandbox.watched.keys()))
    watched = [f"{word} only watched: {why}" for word, why in sorted(sandbox.watched.items())]
    return "; ".join((f"{sandbox.isolation}: {held} hold", *watched, *lacks(sandbox).values()))


def _must_be_of_the_kernel(sandbox: Sandbox, demanded: Iterable[str]) -> None:
    """What the operator names; of the three that always must hold, memory may be watched else."""
    denied = lacks(sandbox)
    for word in demanded:
        reason = denied.get(word)
        if word in sandbox.watched:
            reason = f"it is only watched here, not held by the kernel: {sandbox.watched[word]}"
        if reason is not None:
            told = f"EVOSCALE_SANDBOX_REQUIRE asks for {word} ({reason}); {ADVICE}"
            raise SandboxUnavailableError(sandbox.isolation, told)


def _known(sandbox: Sandbox, check: str) -> list[str]:
    """What is known to be missing of the promise that a check stands for."""
    return [why for word, why in lacks(sandbox).items() if check in PROMISES.get(word, ())]


class Memory:
    """What held since this machine started, for this program, engine and settings; a small file."""

    def __init__(self, settings: SandboxSettings, isolation: str, engine: str = "") -> None:
        chosen = (isolation, engine, settings.base_image, str(os.geteuid()), program())
        key = hashlib.sha256("\0".join((*chosen, _boot())).encode()).hexdigest()[:24]
        self._path = settings.cache_dir / "guarantees" / f"{key}.json"

    def held(self) -> frozenset[str]:
        """The names of the checks that held; none where nobody looked within a day."""
        try:
            if time.time() - self._path.stat().st_mtime > REMEMBERED_S:
                return frozenset()
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):  # never asked, or not to be read: then it is asked again
            return frozenset()
        return frozenset(name for name in found if isinstance(name, str))

    def add(self, name: str) -> None:
        """Remember that a check held.

        Raises:
            SandboxUnavailableError: the cache cannot be written.
        """
        names = sorted({*self.held(), name})
        own = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(json.dumps(names), encoding="utf-8")
            own.replace(self._path)
        except OSError as error:
            reason = f"{error}; set EVOSCALE_SANDBOX_CACHE_DIR to a directory that can be written"
            raise SandboxUnavailableError("cache", reason) from error


def _boot() -> str:
    return BOOT.read_text(encoding="ascii").strip()


def program() -> str:
    """What this program is: whatever was learnt by another one is learnt again."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
