"""Debian's node reads parts of itself from fixed places: a copy is told its own ones.

The new place is as long as the old one, so it can stand in its place in a program. Node as its
makers distribute it has all its parts inside, and is copied as it is.
"""

import os
import re
from pathlib import Path

from sandbox.recipes import machine
from sandbox.toolchain import needed_libraries

OLD = b"/usr/share/nodejs/"
PLACE = "builtins"
NEW = f"/{machine.HOME}/{PLACE}/".encode()
NAMED = re.compile(re.escape(OLD) + rb"([\w-]+(?:/[\w.-]+)*\.js)")
LIBRARY = "libnode.so*"


def parts(node: Path) -> dict[str, Path]:
    """The files that a node reads its own modules from, by their new places; none for most."""
    libraries = [path for path in needed_libraries([node]) if path.match(LIBRARY)]
    named = {name for path in (node, *libraries) for name in NAMED.findall(path.read_bytes())}
    places = {f"{PLACE}/{os.fsdecode(name)}": Path(os.fsdecode(OLD + name)) for name in named}
    return {place: path for place, path in sorted(places.items()) if path.is_file()}


def relocate(target: Path) -> None:
    """Rewrite the places in the copy below a layer's root."""
    home = target / machine.HOME
    for path in (home / "node" / "node", *(home / machine.LIBRARIES_PLACE).glob(LIBRARY)):
        path.write_bytes(path.read_bytes().replace(OLD, NEW))
