"""Runs a test command and leaves its report where the host looks for it; sent into boxes as text.

Arguments: an order as JSON, then the ids of the tests to run (none: all). The order's `select` says
how ids become arguments, and `scratch` which folders are made first. What a runner prints, or the
files it writes (`collect` names them by globs), become the one report.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from xml.parsers.expat import ExpatError, ParserCreate

REPORT_BYTES = 32 * 1024 * 1024
FILES = 20_000
GO_ID = re.compile(r"(.+?)\.((?:Test|Example|Fuzz)[^/]*)(?:/.*)?$", re.DOTALL)


def files_of(ids: Sequence[str]) -> list[str]:
    """The files that ids `file > suite > test` begin with."""
    return list(dict.fromkeys(test.split(" > ")[0] for test in ids))


def go_arguments(ids: Sequence[str]) -> list[str]:
    """`-run` and the packages for ids `package.Test/sub`."""
    tops: dict[str, None] = {}
    packages: dict[str, None] = {}
    for test in ids:
        match = GO_ID.match(test)
        if match:
            packages[match[1]] = None
            tops[re.escape(match[2])] = None
    return ["-run", f"^({'|'.join(tops)})$", *packages] if tops else ["./..."]


def classes_of(ids: Sequence[str]) -> list[str]:
    """The classes that ids `package.Class > method` begin with."""
    return list(dict.fromkeys(test.split(" > ")[0] for test in ids))


def maven_arguments(ids: Sequence[str]) -> list[str]:
    """The option by which surefire runs the classes of these ids."""
    return [f"-Dtest={','.join(classes_of(ids))}"]


def gradle_arguments(ids: Sequence[str]) -> list[str]:
    """The options by which Gradle runs the classes of these ids."""
    return [word for name in classes_of(ids) for word in ("--tests", name)]


SELECT = {
    "files": files_of,
    "go": go_arguments,
    "maven": maven_arguments,
    "gradle": gradle_arguments,
}


def matches_of(pattern: str) -> list[str]:
    """What a glob matches below the current directory; installed packages are not looked into."""
    names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  # Path.glob refuses "/tmp/*"
    return [name for name in names if "node_modules" not in name.split("/")][:FILES]


def expanded(words: Sequence[str]) -> list[str]:
    """Words with globs replaced by what they match; one that matches nothing is dropped."""
    found: list[str] = []
    for word in words:
        is_glob = not word.startswith("-") and any(c in word for c in "*?[")
        found += matches_of(word) if is_glob else [word]
    return list(dict.fromkeys(found or words))


def from_output(kind: str, output: Path) -> bytes:
    """The report out of what the command printed."""
    data = output.read_bytes()[: REPORT_BYTES + 1]
    if kind != "json":
        return data
    start = re.search(rb"^\{$", data, re.MULTILINE)
    end = data.rfind(b"\n}")
    return data[start.start() : end + 2] if start and end > start.start() else b""


def files_matching(patterns: Sequence[str]) -> list[Path]:
    """The regular files that globs match, in order; nothing through a link."""
    names = [name for pattern in patterns for name in matches_of(pattern)]
    found = [Path(name) for name in dict.fromkeys(names)]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def is_whole(text: bytes) -> bool:
    """Whether it is XML by itself, in the encoding in which the joined report is read."""
    try:
        ParserCreate("utf-8").Parse(text, True)  # noqa: FBT003  # it takes no names
    except ExpatError:
        return False
    return True


def collected(patterns: Sequence[str]) -> bytes:
    """The files' XML below one element, or the one file's text where they are none.

    There is no report at all where one of several is no XML by itself: joined, it could hide what
    the others hold, as in a comment that begins in the first and ends in the last.
    """
    texts = [path.read_bytes()[: REPORT_BYTES + 1] for path in files_matching(patterns)]
    texts = [text[len(BOM_UTF8) :] if text.startswith(BOM_UTF8) else text for text in texts]
    if not any(text.lstrip().startswith(b"<") for text in texts):
        return b"\n".join(texts)
    if not all(map(is_whole, texts)):
        return b""
    inner = b"\n".join(re.sub(rb"^\s*<\?xml[^>]*\?>", b"", text) for text in texts)
    return b"<testsuites>" + inner + b"</testsuites>"


def make_ready(scratch: Sequence[str], collect: Sequence[str]) -> None:
    """Make the folders that tools write in, and remove reports that are not of this run."""
    for place in scratch:
        Path(place).mkdir(parents=True, exist_ok=True)
    for old in files_matching(collect):
        old.unlink()  # of an earlier run, or the repository's own


def main() -> None:
    """Run the command, keep its report, exit as it did."""
    order = json.loads(sys.argv[1])
    ids = sys.argv[2:]
    report = Path(order["report"])
    report.parent.mkdir(parents=True, exist_ok=True)
    output = report.with_name("output.txt")
    select = SELECT.get(order["select"])  # without one the whole suite is run
    chosen = select(ids) if select and ids else order.get("all", [])
    argv = [*order["argv"], *(expanded(chosen) if order.get("expand") else chosen)]
    box_env = dict(os.environ)  # noqa: TID251  # a program of its own: the box's environment
    env = {**box_env, **order.get("env", {})}
    env["PATH"] = ":".join([*map(os.path.abspath, order.get("path", ())), env["PATH"]])
    kind = order.get("output", "")
    make_ready(order.get("scratch", ()), order.get("collect", ()))
    if kind:
        with output.open("wb") as stream:
            stderr = subprocess.STDOUT if kind == "both" else None
            done = subprocess.run(argv, env=env, check=False, stdout=stream, stderr=stderr)
        printed = output.read_bytes()
        sys.stdout.buffer.write(printed[-65536:])
        if not report.exists():
            report.write_bytes(from_output(kind, output))
    else:
        done = subprocess.run(argv, env=env, check=False)
    if order.get("collect"):
        report.write_bytes(collected(order["collect"]))
    if report.exists() and not report.stat().st_size:
        report.unlink()
    code = done.returncode
    sys.exit(128 - code if code < 0 else code)


if __name__ == "__main__":
    main()
