"""Which files a test file of JavaScript or TypeScript reaches by imports, read and not run."""

from collections.abc import Iterator, Mapping
from posixpath import dirname, join, normpath, splitext

from pydantic import BaseModel, ConfigDict

ENDINGS = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")
TYPED = {".js": (".ts", ".tsx"), ".mjs": (".mts",), ".cjs": (".cts",), ".jsx": (".tsx",)}
"""What TypeScript takes for a file that is named by what it will be compiled to."""
MOST_IMPORTS = 200
"""Of one file. So what a walk costs is bounded by the number of files that it reaches."""

Graph = Mapping[str, frozenset[str]]
"""The files that each file imports, by path."""


class Imports(BaseModel):
    """What each file imports, by path and as it is spelt there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: Mapping[str, tuple[str, ...]]

    def graph(self) -> Graph:
        """What is spelt as a path, found; of packages and of aliases nothing is known."""
        return {path: frozenset(self._found(path)) for path in self.files}

    def _found(self, path: str) -> Iterator[str]:
        for spelt in self.files[path][:MOST_IMPORTS]:
            if spelt.startswith("."):
                place = normpath(join(dirname(path), spelt))
                yield from [name for name in _candidates(place) if name in self.files][:1]


def reached(graph: Graph, path: str) -> frozenset[str]:
    """A file and all that it imports, and what that imports; empty for one that is not there."""
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in graph and current not in seen:
            seen.add(current)
            waiting += graph[current] - seen
    return frozenset(seen)


def _candidates(place: str) -> list[str]:
    """The files that a path may mean, as node and then as TypeScript see it."""
    stem, ending = splitext(place)
    names = [place, *(place + each for each in ENDINGS)]
    names += [stem + each for each in TYPED.get(ending, ())]
    return names + [f"{place}/index{each}" for each in ENDINGS]
