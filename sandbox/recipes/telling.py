"""What of a build's log tells why it failed and may be told; pure, bounded whatever the log is."""

import re

MOST_LINES = 20
LINE_CHARS = 300
TELLING = re.compile(
    r"error|fail|cannot|can't|could not|couldn't|not found|no such|no module|missing|unable|denied"
    r"|unresolved|undefined|unknown|invalid|incompatible|conflict|refused|exception|fatal|panic",
    re.IGNORECASE,
)
NOISE = re.compile(r"^\s*(?:at\s|warning|\[warn|npm warn|deprecated|deprecation)", re.IGNORECASE)
LAST = 3
"""The end is always kept: many programs say there what it came to."""

ADDRESS = re.compile(
    r"\b[a-z][\w+.-]{0,20}://(?:[^\s/@\"']*@)?([^\s/:\"'<>)\]]+)[^\s\"'<>)\]]*", re.I
)
MACHINE = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])(?::\d+)?|\[[0-9a-f]*:[0-9a-f:]*\]:\d+"
)
PATH = re.compile(r"(?<![^\s\"'=(\[:])/(?:[^\s/\"':]+/)+[^\s\"':,)]*")


def without_places(said: str) -> str:
    """What a program of this machine said, as anybody may read it: no paths, hosts or addresses.

    It names the operator's mirror of a registry and the home of the user that it runs as.
    """
    hosts = sorted(set(ADDRESS.findall(said)), key=len, reverse=True)
    said = ADDRESS.sub("(an address)", said)
    for host in hosts:
        said = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w|/)(?::\d+)?", "(a host)", said)
    return PATH.sub("(a path)", MACHINE.sub("(a host)", said))


def telling(log: str) -> str:
    """Its lines that speak of a failure, each once, and its last ones, in their order."""
    lines = [line.rstrip()[:LINE_CHARS] for line in log.splitlines() if line.strip()]
    chosen = [i for i, line in enumerate(lines) if TELLING.search(line) and not NOISE.match(line)]
    ends = range(max(len(lines) - LAST, 0), len(lines))
    first = dict.fromkeys(lines[i] for i in sorted({*chosen[: MOST_LINES - LAST], *ends}))
    return "\n".join(first)
