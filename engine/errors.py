"""The engine's error tree: conditions under which it could not find out, never results.

EngineError
├── ModelUnavailableError  retryable
├── PromptTooLongError
├── SnapshotMissingError   retryable
├── SnapshotInvalidError
├── StorageUnwritableError retryable
├── TestsUnavailableError  sometimes retryable
├── EnvironmentLostError   retryable
├── BaseRunsOutdatedError  retryable
└── BadInputError
"""


class EngineError(Exception):
    """Any condition that keeps the engine from finding out whether it can repair."""

    retryable: bool = False


class ModelUnavailableError(EngineError):
    """The model cannot be reached or loaded."""

    retryable = True

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"the model {model!r} cannot be used: {reason}")
        self.model = model
        self.reason = reason


class PromptTooLongError(EngineError):
    """The prompt does not fit the model's context."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"the prompt has {tokens} tokens and the model takes {limit}; "
            "name fewer or smaller files or functions in the issue"
        )
        self.tokens = tokens
        self.limit = limit


class SnapshotMissingError(EngineError):
    """The repository snapshot that a job names is not on the shared storage."""

    retryable = True

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the snapshot {key!r} is not on the shared storage; "
            "check that bot and engine mount the same one"
        )
        self.key = key


class SnapshotInvalidError(EngineError):
    """The snapshot's content does not match its digest, or it cannot be unpacked safely."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"the snapshot {key!r} cannot be used: {reason}")
        self.key = key
        self.reason = reason


class StorageUnwritableError(EngineError):
    """A disk does not take what has to be written: it is full, read-only, or not ours."""

    retryable = True

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} cannot be written: {reason}; make room there and try again")
        self.what = what
        self.reason = reason


class TestsUnavailableError(EngineError):
    """Whoever holds the boxes could not say what the tests say; carries their own words."""

    __test__ = False

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.retryable = retryable


class EnvironmentLostError(EngineError):
    """The environment was there for the base commit and cannot be built again for a candidate.

    `log` and `recipe` are as in `engine.contract.Failed`.
    """

    retryable = True

    def __init__(self, reason: str, log: str = "", recipe: str = "") -> None:
        super().__init__(
            f"{reason}. It was built for the base commit and was missing where a candidate was to "
            "be tested, so see what that machine lacks by now: its package index, its programs or "
            "its disk; then ask again"
        )
        self.log = log
        self.recipe = recipe


class BaseRunsOutdatedError(EngineError):
    """The tests at the base commit ran without what a later machine can have."""

    retryable = True

    def __init__(self) -> None:
        super().__init__(
            "the tests at the base commit ran in an environment that lacked something which can be "
            "had by now, so they are run again; where that was the last start, ask again"
        )


class BadInputError(EngineError):
    """What a person handed in cannot be worked on; the message says what to change."""
