"""Tests of Go turned around by a line that comes first in them.

What is registered first is cleaned up last, after every subtest; there the twin fails, however its
test came to its end. The *control* registers the same and only logs.
"""

import re
from dataclasses import dataclass

DECLARED = r"^func {name}\((\w+) \*testing\.T\) \{{"
FIRST = "{t}.Cleanup(func() {{ {t}.{verb}(1) }});"
NAME = re.compile(r"Test\w*")


@dataclass(frozen=True, slots=True)
class TurnedGo:
    """A file with one test prepared: `control` passes where the test does, `twin` must fail."""

    control: str
    twin: str


def turned(source: str, name: str) -> TurnedGo | None:
    """A test turned around; None where it is not declared once, the way `gofmt` writes it."""
    if not NAME.fullmatch(name):
        return None
    found = re.findall(DECLARED.format(name=name), source, re.MULTILINE)
    if len(found) != 1 or found[0] == "_":
        return None
    return TurnedGo(*(_with(source, name, found[0], verb) for verb in ("Log", "Error")))


def _with(source: str, name: str, t: str, verb: str) -> str:
    line = FIRST.format(t=t, verb=verb)
    declared = re.compile(DECLARED.format(name=name), re.MULTILINE)
    return declared.sub(lambda found: f"{found[0]} {line}", source)
