"""Opens the sandbox that was asked for; the one place that knows which there are."""

import logging
from collections.abc import Callable, Mapping
from typing import Literal

from sandbox.contract import Sandbox
from sandbox.errors import SandboxUnavailableError
from sandbox.pool import PooledSandbox
from sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)

Kind = Literal["auto", "docker", "runc", "bubblewrap"]
ADVICE = (
    "install Docker ('apt-get install docker.io', and be root or in the group docker), runc "
    "('apt-get install runc', for root) or bubblewrap ('apt-get install bubblewrap'); code that a "
    "model or a repository wrote never runs without one"
)


def _docker(settings: SandboxSettings) -> Sandbox:
    from sandbox.docker import DockerSandbox

    return DockerSandbox(settings)


def _runc(settings: SandboxSettings) -> Sandbox:
    from sandbox.runc import RuncSandbox

    return RuncSandbox(settings)


def _bubblewrap(settings: SandboxSettings) -> Sandbox:
    from sandbox.bubblewrap import BubblewrapSandbox

    return BubblewrapSandbox(settings)


BACKENDS: Mapping[str, Callable[[SandboxSettings], Sandbox]] = {
    "docker": _docker,
    "runc": _runc,
    "bubblewrap": _bubblewrap,
}
"""In the order in which `auto` tries them."""


def open_sandbox(kind: Kind, settings: SandboxSettings) -> Sandbox:
    """Open a sandbox of this kind; `auto` takes the first that works here.

    Raises:
        SandboxUnavailableError: it cannot be used, with what to install.
    """
    return pooled(find_sandbox(kind, settings), settings)


def pooled(sandbox: Sandbox, settings: SandboxSettings) -> Sandbox:
    """The same with boxes ahead of time, where the settings ask for some."""
    return PooledSandbox(sandbox, settings.pool) if settings.pool else sandbox


def find_sandbox(kind: Kind, settings: SandboxSettings) -> Sandbox:
    """Find a sandbox of this kind, as `open_sandbox`, without boxes ahead of time.

    Raises:
        SandboxUnavailableError: it cannot be used, with what to install.
    """
    if kind != "auto":
        return BACKENDS[kind](settings)
    reasons: list[str] = []
    for name, opened in BACKENDS.items():
        try:
            return opened(settings)
        except SandboxUnavailableError as error:
            logger.info("no %s: %s", name, error.reason)
            reasons.append(f"{name}: {error.reason}")
    raise SandboxUnavailableError("auto", f"{'; '.join(reasons)}; {ADVICE}")
