"""The bot's error tree: conditions under which it could not act, never results.

BotError
├── GitHubUnavailableError   retryable
├── GitHubRefusedError
│   ├── PermissionMissingError
│   ├── InstallationGoneError
│   └── RepositoryGoneError
├── GitFailedError           retryable where the failure was the network's
├── InboxUnavailableError    retryable
└── SettingsInvalidError
"""


class BotError(Exception):
    """Any condition that keeps the bot from doing what it was asked."""

    retryable: bool = False


class GitHubUnavailableError(BotError):
    """GitHub cannot answer now, or asks for patience; try again after `retry_after_s`."""

    retryable = True

    def __init__(self, what: str, reason: str, retry_after_s: float = 60.0) -> None:
        super().__init__(f"{what}: {reason}; trying again in {retry_after_s:.0f} s")
        self.what = what
        self.reason = reason
        self.retry_after_s = retry_after_s


class GitHubRefusedError(BotError):
    """GitHub answered no, and will say so again; `status` 0 means that no HTTP answer came."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: GitHub answered {status}: {message}")
        self.what = what
        self.status = status
        self.message = message


class PermissionMissingError(GitHubRefusedError):
    """The installation lacks a permission; its owner has to accept it."""


class InstallationGoneError(GitHubRefusedError):
    """The app was uninstalled or suspended; its jobs stop."""


class RepositoryGoneError(GitHubRefusedError):
    """The repository was deleted, or the installation no longer covers it."""


class GitFailedError(BotError):
    """A git command failed; `output` is what it said, without the token."""

    def __init__(self, command: str, output: str, *, retryable: bool) -> None:
        super().__init__(f"git {command} failed: {output}")
        self.command = command
        self.output = output
        self.retryable = retryable


class InboxUnavailableError(BotError):
    """The database did not take the delivery; the sender sees 503 and the sweep fetches it."""

    retryable = True

    def __init__(self, reason: str, *, disk_full: bool = False) -> None:
        super().__init__(f"the inbox cannot be written: {reason}")
        self.reason = reason
        self.disk_full = disk_full


class SettingsInvalidError(BotError):
    """The operator's settings cannot work; the message says which one and what to set."""
