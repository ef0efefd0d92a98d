"""The import lines of names that a function takes from Python's standard library."""

from collections.abc import Iterable

MODULES = frozenset(
    {"abc", "ast", "base64", "binascii", "bisect", "calendar", "cmath", "codecs", "collections",
     "colorsys", "copy", "datetime", "decimal", "difflib", "fnmatch", "fractions", "functools",
     "hashlib", "heapq", "html", "ipaddress", "itertools", "json", "keyword", "math", "ntpath",
     "numbers", "operator", "os", "posixpath", "re", "shlex", "statistics", "string", "struct",
     "sys", "textwrap", "types", "typing", "unicodedata", "urllib", "warnings", "zlib"}
)  # fmt: skip
"""Modules whose functions answer the same everywhere, most of the time."""

_TAKEN_FROM = {
    "collections": ("ChainMap", "Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"),
    "collections.abc": (
        "Callable", "Generator", "Hashable", "Iterable", "Iterator", "Mapping", "MutableMapping",
        "MutableSequence", "Sequence", "Sized",
    ),
    "copy": ("deepcopy",),
    "datetime": ("date", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "functools": ("cmp_to_key", "lru_cache", "partial", "reduce", "wraps"),
    "heapq": ("heapify", "heappop", "heappush"),
    "itertools": (
        "accumulate", "chain", "combinations", "cycle", "dropwhile", "groupby", "islice",
        "permutations", "product", "repeat", "starmap", "takewhile", "tee", "zip_longest",
    ),
    "math": (
        "atan2", "ceil", "comb", "cos", "degrees", "exp", "factorial", "floor", "fsum", "gcd",
        "hypot", "isclose", "isfinite", "isinf", "isnan", "isqrt", "log", "log10", "log2", "pi",
        "radians", "sin", "sqrt", "tan",
    ),
    "bisect": ("bisect", "bisect_left", "bisect_right", "insort"),
    "numbers": ("Integral", "Number", "Real"),
    "operator": ("add", "attrgetter", "itemgetter", "mul"),
    "textwrap": ("dedent",),
    "typing": ("Any", "cast"),
    "urllib.parse": ("quote", "unquote", "urlparse", "urlsplit"),
}  # fmt: skip
_SOURCES = {name: module for module, names in _TAKEN_FROM.items() for name in names}
_PARTS = {"os": "os.path", "urllib": "urllib.parse", "collections": "collections.abc"}


def imports_for(names: Iterable[str]) -> str | None:
    """Import lines for these names; None when one of them is not the standard library's."""
    lines = []
    for name in sorted(names):
        if name in _SOURCES:
            lines.append(f"from {_SOURCES[name]} import {name}\n")
        elif name in MODULES:
            lines.append(f"import {_PARTS.get(name, name)}\n")
        else:
            return None
    return "".join(lines)
