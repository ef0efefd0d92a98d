"""The sandbox's error tree: conditions under which it could not find out, never test results.

SandboxError
├── SandboxUnavailableError  retryable
├── ImageBuildError
└── StoppedError
"""


class SandboxError(Exception):
    """Any condition that keeps the sandbox from saying which tests passed."""

    retryable: bool = False


class SandboxUnavailableError(SandboxError):
    """No box can be opened, or it died under a command: the engine's or the kernel's failure."""

    retryable = True

    def __init__(self, isolation: str, reason: str) -> None:
        super().__init__(f"the {isolation} sandbox cannot be used: {reason}")
        self.isolation = isolation
        self.reason = reason


class ImageBuildError(SandboxError):
    """The repository's environment cannot be built; a normal outcome, told to whoever asked.

    `tried` is the recipe that was tried, as text for the repository's own `.github/evoscale.yml`.
    """

    def __init__(self, step: str, reason: str, log_tail: str = "") -> None:
        super().__init__(f"the test environment cannot be built at {step!r}: {reason}")
        self.step = step
        self.reason = reason
        self.log_tail = log_tail
        self.tried = ""

    @classmethod
    def of_script(cls, step: str, exit_code: int | None, output: bytes) -> "ImageBuildError":
        """The error for a build script that ended so."""
        reason = "it ran out of time" if exit_code is None else f"exit code {exit_code}"
        tail = output[-4000:].decode(errors="replace").strip()
        last = tail.rpartition("\n")[2][:300]
        return cls(step, f"{reason}: {last}" if last else reason, tail)


class StoppedError(SandboxError):
    """Whoever wanted the work has stopped it; raised only below `sandbox.stops.stoppable`."""

    def __init__(self) -> None:
        super().__init__("it was stopped on request")
