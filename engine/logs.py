"""One logging set-up; every line carries its job, delivery and iteration."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

_fields: ContextVar[dict[str, str | int] | None] = ContextVar("fields", default=None)


@contextmanager
def logged_as(**fields: str | int) -> Iterator[None]:
    """Add fields such as `job_id` to every line logged inside."""
    token = _fields.set({**(_fields.get() or {}), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record with the fields of its context."""
        line: dict[str, str | int] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(_fields.get() or {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Plain(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Render time, level, message, then the fields of the context."""
        fields = " ".join(f"{name}={value}" for name, value in (_fields.get() or {}).items())
        return f"{super().format(record)}{'  ' + fields if fields else ''}"


def set_up(style: Literal["plain", "json"], level: str = "INFO") -> None:
    """Send this process's log lines to stderr; called once, by a composition file."""
    handler = logging.StreamHandler(sys.stderr)
    plain = Plain("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonLines() if style == "json" else plain)
    handler.setLevel(level)  # some libraries turn their own loggers up
    logging.basicConfig(level=level, handlers=[handler], force=True)
