"""A patch that no box is opened for; attacks on boxes are `sandbox.conformance.hostile`'s."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BadPatch:
    """A patch that must be refused before anything runs, and a part of what is said."""

    name: str
    patch: str
    said: str
    applied: bool = field(default=False)
