"""What the readers of Rust and Java make of a file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turned:
    """A file with one test prepared: `control` passes where the test does, `twins` must fail.

    All have the lines of the file, of which a few are edited.
    """

    control: str
    twins: tuple[str, ...]
