"""What an attack is: product code or a patch, and what must be true of it on every back end."""

import textwrap
from dataclasses import dataclass

from sandbox.contract import Limits, Patch
from sandbox.settings import MIB

LIMITS = Limits(wall_clock_s=60.0, memory_bytes=512 * MIB, output_bytes=256 * 1024)
GOT_THROUGH = "got through"
"""What an attack's own code says where its goal was reached; it must never be in a report."""

HONEST = "def add(a, b):\n    return a + b\n"
BUGGY = "def add(a, b):\n    return a - b\n"


@dataclass(frozen=True)
class Attack:
    """Code that takes the place of the product's, and what the verdict on it must be.

    `policy` is a part of what the policy says to it, None where it sees nothing. `said` is a
    pattern in the verdict when it is run all the same. `fix` says that the tests pass in the end:
    the attack did no harm and the product is right. `fooled` says that the first verdict believes
    it: then `trial` must not, unless that is said to be fooled too.
    """

    name: str
    code: str
    policy: str | None = None
    said: str = ""
    fix: bool = False
    fooled: bool = False
    trial_fooled: bool = False
    limits: Limits = LIMITS
    harms: bool = False

    @property
    def patch(self) -> Patch:
        """The patch that puts the code there."""
        lines = self.code.splitlines()
        return Patch(
            "diff --git a/calc/__init__.py b/calc/__init__.py\n"
            "--- a/calc/__init__.py\n+++ b/calc/__init__.py\n"
            f"@@ -1,2 +1,{len(lines)} @@\n"
            + "".join(f"-{line}\n" for line in BUGGY.splitlines())
            + "".join(f"+{line}\n" for line in lines)
        )


@dataclass(frozen=True, slots=True)
class BadPatch:
    """A patch that must be refused before anything runs, and a pattern in what is said."""

    name: str
    patch: str
    said: str


def honest(body: str) -> str:
    """The right product, whose import also does this."""
    return textwrap.dedent(body).strip() + "\n\n\n" + HONEST


def lying(body: str) -> str:
    """The product with its bug, whose import also does this."""
    return textwrap.dedent(body).strip() + "\n\n\n" + BUGGY
