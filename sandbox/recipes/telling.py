"""The lines of a build's log that tell why it failed; pure, and bounded whatever the log is."""

import re

MOST_LINES = 20
LINE_CHARS = 300
TELLING = re.compile(
    r"error|fail|cannot|can't|could not|couldn't|not found|no such|no module|missing|unable|denied"
    r"|unresolved|undefined|unknown|invalid|incompatible|conflict|refused|exception|fatal|panic",
    re.IGNORECASE,
)
NOISE = re.compile(r"^\s*(?:at\s|warning|\[warn|npm warn|deprecat)", re.IGNORECASE)
LAST = 3
"""The end is always kept: many programs say there what it came to."""


def telling(log: str) -> str:
    """Its lines that speak of a failure, each once, and its last ones, in their order."""
    lines = [line.rstrip()[:LINE_CHARS] for line in log.splitlines() if line.strip()]
    chosen = [i for i, line in enumerate(lines) if TELLING.search(line) and not NOISE.match(line)]
    ends = range(max(len(lines) - LAST, 0), len(lines))
    first = dict.fromkeys(lines[i] for i in sorted({*chosen[: MOST_LINES - LAST], *ends}))
    return "\n".join(first)
