"""A gold patch's files, out of a local clone, and the patch as search/replace blocks."""

import difflib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from engine.candidate import CodeContext, SourceFile
from engine.edits import Edited, read_search_replace
from sandbox.unified_diff import parse

GIT_TIMEOUT_S = 60.0
MAX_FILE_BYTES = 400_000
MAX_CONTEXT_LINES = 12

_REPO = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")


class Gold(Protocol):
    """What is known of an instance."""

    @property
    def base_commit(self) -> str:
        """The commit that the patch applies to."""
        ...

    @property
    def patch(self) -> str:
        """The gold diff; it adds, removes and renames no file."""
        ...


@dataclass(frozen=True, slots=True)
class GoldEdit:
    """The files before, and the patch in the words of a search/replace model."""

    before: Mapping[str, str]
    blocks: str


def gold_edit(clones: Path, repo: str, gold: Gold) -> GoldEdit | str:
    """Read the files from the clone of `repo` and write the patch as blocks; else why not."""
    clone = _clone(clones, repo)
    if clone is None:
        return "no clone of the repository"
    if not _COMMIT.fullmatch(gold.base_commit):
        return "no base_commit"
    paths = [path for change in parse(gold.patch) for path in change.paths]
    before = {path: _show(clone, gold.base_commit, path) for path in dict.fromkeys(paths)}
    texts = {path: text for path, text in before.items() if text is not None}
    if len(texts) < len(before):
        return "file not in the clone, too large, or no text"
    after = _patched(texts, gold.patch)
    if after is None:
        return "patch that does not apply"
    blocks = "\n\n".join(search_replace(path, texts[path], after[path]) for path in texts)
    return GoldEdit(texts, blocks) if _reads_back(texts, after, blocks) else "patch without blocks"


def _clone(clones: Path, repo: str) -> Path | None:
    if not _REPO.fullmatch(repo) or ".." in repo:
        return None
    flat = repo.replace("/", "__")
    names = (f"{flat}.git", flat, f"{repo}.git", repo)
    return next((clones / name for name in names if (clones / name).is_dir()), None)


def _show(clone: Path, commit: str, path: str) -> str | None:
    raw = _git(clone, "cat-file", "blob", f"{commit}:{path}")
    if raw is None or len(raw) > MAX_FILE_BYTES:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _git(folder: Path, *arguments: str, text: bytes | None = None) -> bytes | None:
    """What git printed; None where it failed. No hook, no configuration of the clone is run."""
    argv = ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, timeout=GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _patched(texts: Mapping[str, str], patch: str) -> dict[str, str] | None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in texts.items():
            target = folder / path
            if not target.resolve().is_relative_to(folder.resolve()):
                return None
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
        if _git(folder, "apply", "--whitespace=nowarn", "-", text=patch.encode()) is None:
            return None
        return {path: (folder / path).read_bytes().decode("utf-8", "replace") for path in texts}


def search_replace(path: str, before: str, after: str) -> str:
    """The change of one file as blocks, each with as few lines around it as make it unique.

    Changes that grow into each other become one block.
    """
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    changes = [codes for codes in matcher.get_opcodes() if codes[0] != "equal"]
    spans: list[tuple[int, int, int, int]] = []
    for _, i1, i2, j1, j2 in changes:
        grown = _grown(old, before, (i1, i2, j1, j2), len(new))
        while spans and spans[-1][1] >= grown[0]:
            last = spans.pop()
            grown = _grown(old, before, (last[0], grown[1], last[2], grown[3]), len(new))
        spans.append(grown)
    return "\n\n".join(
        _block(path, "".join(old[i1:i2]), "".join(new[j1:j2])) for i1, i2, j1, j2 in spans
    )


def _grown(
    old: list[str], before: str, span: tuple[int, int, int, int], new_lines: int
) -> tuple[int, int, int, int]:
    i1, i2, j1, j2 = span
    for _ in range(MAX_CONTEXT_LINES):
        text = "".join(old[i1:i2])
        if text.strip() and before.count(text) == 1 and i2 > i1:
            break
        up, down = min(1, i1, j1), min(1, len(old) - i2, new_lines - j2)
        i1, j1, i2, j2 = i1 - up, j1 - up, i2 + down, j2 + down
    return i1, i2, j1, j2


def _block(path: str, search: str, replace: str) -> str:
    marks = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
    return f"### {path}\n{marks[0]}\n{_ended(search)}{marks[1]}\n{_ended(replace)}{marks[2]}"


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _reads_back(before: Mapping[str, str], after: Mapping[str, str], blocks: str) -> bool:
    """Whether the engine reads the blocks as exactly this change."""
    context = CodeContext(tuple(SourceFile(path, text) for path, text in before.items()))
    whole = CodeContext(context.files)
    read = read_search_replace(blocks, whole)
    if not isinstance(read, Edited):
        return False
    wanted = _patched(before, read.patch)
    return wanted is not None and all(
        wanted[path].rstrip("\n") == after[path].rstrip("\n") for path in after
    )
