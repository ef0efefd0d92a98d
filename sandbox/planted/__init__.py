"""Programs that are laid into boxes beside a repository's tests; here they are only text."""

from pathlib import Path


def text_of(name: str) -> str:
    """The text of one of these programs."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
