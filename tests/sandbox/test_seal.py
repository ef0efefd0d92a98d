"""The names of trusted files, as the program reads them that looks at these after a run."""

from fnmatch import fnmatchcase

import pytest

from sandbox.planted.seal import COMPILED, matching
from sandbox.protected import NAMES, TEST_NAMES

GLOBS = [*TEST_NAMES, *(glob for globs in NAMES.values() for glob in globs), *COMPILED]
ODD = ("a*b", "*", "a**b", "*x*", "[!a]b", "?", "a[", "")


def names(glob: str) -> set[str]:
    """Names that a glob is about, and some that are nearly so."""
    plain = {glob.replace("*", star) for star in ("", "x", "a.b", "*", "x\n")}
    of_sets = {p.replace("[cm]", "c").replace("[jt]", "t").replace("[-_]", "_") for p in plain}
    of_any = {p.replace("?", any_one) for p in plain | of_sets for any_one in ("j", "", "?")}
    return {made for p in of_any for made in (p, p.upper(), f"x{p}", f"{p}x", p[1:], p[:-1])}


@pytest.mark.parametrize("globs", [*([glob] for glob in (*GLOBS, *ODD)), GLOBS, []])
def test_a_name_is_matched_as_fnmatch_would(globs: list[str]) -> None:
    matches = matching(globs)
    for name in sorted({name for glob in (*GLOBS, *ODD) for name in names(glob)}):
        assert matches(name) == any(fnmatchcase(name, glob) for glob in globs), name
