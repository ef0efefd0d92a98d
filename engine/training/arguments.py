"""Guesses arguments that a function can be called with, from its names, its uses and its constants.

Nothing is known of a function but its text, so guesses are many and cheap: what a call gives is
found out in a box, and calls that only raise are thrown away there.
"""

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

Types = tuple[str, ...]
"""What kind of value each parameter gets, by the names of `_VALUES`."""

_NAMED = {
    "int": (
        "n", "m", "i", "j", "k", "num", "number", "count", "size", "length", "index", "idx", "pos",
        "position", "start", "stop", "end", "step", "width", "height", "depth", "level", "limit",
        "offset", "base", "year", "month", "day", "bits", "indent", "order", "degree", "dim",
        "axis", "ndim", "maxlen", "row", "col", "rows", "cols", "precision", "digits", "seed", "p",
        "q",
    ),
    "float": (
        "x", "y", "z", "a", "b", "c", "t", "r", "alpha", "beta", "ratio", "scale", "value", "val",
        "tol", "seconds", "angle", "low", "high", "lower", "upper", "minimum", "maximum", "step",
    ),
    "str": (
        "s", "text", "string", "name", "word", "line", "path", "prefix", "suffix", "sep", "key",
        "char", "c", "ch", "msg", "message", "label", "title", "filename", "source", "delimiter",
        "pattern", "url", "code", "token", "lang", "attr", "filepath", "fmt", "format", "header",
    ),
    "ints": (
        "items", "seq", "lst", "l", "values", "list", "data", "elements", "iterable", "xs", "arr",
        "array", "numbers", "nums", "sequence", "shape", "axes", "dims", "indices", "it", "vec",
        "v", "perm", "iterator", "iterables", "vector", "coords", "points",
    ),
    "strs": (
        "lines", "words", "names", "strings", "args", "parts", "tokens", "keys", "argv", "labels",
        "columns", "fields", "tags", "paths", "texts", "chars",
    ),
    "dict": (
        "d", "dict", "mapping", "kwargs", "options", "params", "config", "kw", "opts", "data",
        "attrs", "metadata", "obj", "env", "headers", "counts",
    ),
    "bool": ("flag", "strict", "reverse", "verbose", "recursive", "inclusive", "force"),
    "call": ("f", "func", "fn", "function", "key", "callback", "predicate", "pred", "op"),
    "table": ("matrix", "rows", "table", "grid", "pairs", "edges", "graph", "lists", "tuples"),
}  # fmt: skip
_METHODS = {
    "str": {
        "lower", "upper", "strip", "lstrip", "rstrip", "split", "rsplit", "startswith", "endswith",
        "replace", "find", "rfind", "isdigit", "isalpha", "partition", "rpartition", "splitlines",
        "encode", "isupper", "islower", "title", "capitalize", "zfill", "ljust", "rjust", "format",
        "isspace", "isidentifier", "isalnum", "join", "expandtabs", "swapcase", "casefold",
    },
    "ints": {"append", "extend", "insert", "sort", "reverse", "remove", "index", "count", "pop"},
    "dict": {"items", "keys", "values", "get", "setdefault", "update"},
    "set": {"add", "union", "difference", "intersection", "discard", "issubset"},
    "bytes": {"decode", "hex"},
}  # fmt: skip
_ANNOTATED = {
    "str": ("str", "text"), "int": ("int",), "float": ("float",), "bool": ("bool",),
    "dict": ("dict", "mapping"), "ints": ("list[int", "sequence[int", "iterable[int"),
    "strs": ("list[str", "sequence[str", "iterable[str", "tuple[str"), "call": ("callable",),
    "bytes": ("bytes",), "set": ("set",), "mixed": ("list", "sequence", "iterable", "tuple"),
}  # fmt: skip
_CONSUMERS = {
    "range": {"int": 4.0}, "len": {"ints": 2.0, "str": 2.0, "strs": 1.0},
    "sum": {"ints": 4.0}, "sorted": {"ints": 2.0, "strs": 1.0}, "enumerate": {"ints": 2.0},
    "zip": {"ints": 3.0}, "min": {"ints": 2.0}, "max": {"ints": 2.0}, "abs": {"int": 3.0},
    "ord": {"char": 5.0}, "chr": {"int": 4.0}, "int": {"digits": 3.0, "float": 2.0},
    "reversed": {"ints": 2.0, "str": 1.0}, "map": {"ints": 2.0}, "iter": {"ints": 2.0},
    "float": {"float": 3.0, "digits": 1.0}, "divmod": {"int": 4.0}, "round": {"float": 3.0},
}  # fmt: skip
_ITERATED = {"ints": 3, "strs": 2, "str": 1, "table": 1}
_INDEXED = {"ints": 3, "str": 1, "strs": 1}
_KEYED = {"dict": 6}
_WORDS = (
    "", "a", "ab", "abc", "hello world", "Hello World", "a,b,c", "foo_bar", "12", "  x y ", "A-b",
    "key=value", "/usr/lib/x.py", "aXbXc", "fooBar", "x.y.z", "a b  c", "-3.5", "line1\nline2",
    "The quick brown fox", "abcabc", "(a)", "'q'", "#1", "a:b", "Zz9", "aab",
)  # fmt: skip
_LAMBDAS = (
    "lambda x: x", "lambda *a: len(a)", "lambda x: x > 1", "lambda x: x % 2 == 0", "str", "len",
    "lambda x, y: x + y", "lambda x, y=1: x * y", "bool",
)  # fmt: skip
_SPREAD = 0.25
"""The share of guesses that ignore every hint."""


class Guesses:
    """What a function's text tells about its parameters, and the values to try."""

    def __init__(self, node: ast.FunctionDef) -> None:
        """Read a function."""
        arguments = [*node.args.posonlyargs, *node.args.args]
        self.required = len(arguments) - len(node.args.defaults)
        self.names = tuple(a.arg for a in arguments)
        self.variadic = node.args.vararg is not None
        items = list(ast.walk(node))
        constants = {n.value for n in items if isinstance(n, ast.Constant)}
        self._ints = sorted(c for c in constants if type(c) is int and abs(c) < 10**6)
        self._strs = sorted(c for c in constants if isinstance(c, str) and 0 < len(c) < 12)
        self._weights = {a.arg: _weights(a, items) for a in arguments}
        self._add_defaults(arguments, node.args.defaults)

    def _add_defaults(self, arguments: Sequence[ast.arg], defaults: Sequence[ast.expr]) -> None:
        for argument, value in zip(reversed(arguments), reversed(defaults), strict=False):
            if isinstance(value, ast.Constant):
                self._weights[argument.arg][_kind(value)] += 6

    def types(self, rng: Random) -> Types:
        """One guess of what each argument is; now and then the ones with defaults are left out."""
        last = rng.choice((self.required, len(self.names), len(self.names)))
        kinds = list(_VALUES)
        drawn = []
        for name in self.names[:last]:
            weights = self._weights[name]
            if rng.random() < _SPREAD or not weights:
                drawn.append(rng.choice(kinds))
            else:
                drawn.append(rng.choices(list(weights), list(weights.values()))[0])
        if self.variadic:
            drawn += [rng.choice(("int", "str", "ints"))] * rng.randint(0, 3)
        return tuple(drawn)

    def call(self, name: str, types: Types, rng: Random) -> str:
        """A call with values of these types, as source."""
        values = [self._value(kind, rng) for kind in types]
        return f"{name}({', '.join(values)})"

    def _value(self, kind: str, rng: Random) -> str:
        """A value of a kind as source; the function's own constants now and then."""
        if kind == "int" and self._ints and rng.random() < 0.4:
            return str(rng.choice(self._ints) + rng.choice((0, 0, 1, -1)))
        if kind == "str" and self._strs and rng.random() < 0.45:
            return repr(self._spelt(rng))
        if kind == "strs" and self._strs and rng.random() < 0.45:
            return repr([self._spelt(rng) for _ in range(rng.randint(1, 4))])
        if kind == "dict" and self._strs and rng.random() < 0.5:
            return repr({s: _int(rng) for s in rng.sample(self._strs, min(3, len(self._strs)))})
        return _VALUES[kind](rng)

    def _spelt(self, rng: Random) -> str:
        """A text that holds one of the function's own strings."""
        own, word = rng.choice(self._strs), rng.choice(_WORDS)
        return rng.choice((own, own, own + word, word + own, word + own + rng.choice(_WORDS)))


def _weights(argument: ast.arg, items: Sequence[ast.AST]) -> Counter[str]:
    """How much speaks for each kind of value of one parameter."""
    weights: Counter[str] = Counter()
    name = argument.arg.lower()
    for kind, names in _NAMED.items():
        weights[kind] += 3 * (name in names) + (name.split("_")[-1] in names)
    if name.startswith(("is_", "has_", "use_", "with_", "include_", "allow_")):
        weights["bool"] += 4
    if argument.annotation is not None:
        _add_annotation(weights, ast.unparse(argument.annotation).lower())
    for item in items:
        _add_use(weights, item, argument.arg)
    return +weights


def _add_annotation(weights: Counter[str], written: str) -> None:
    """What an annotation says outweighs most."""
    for kind, words in _ANNOTATED.items():
        if any(word in written for word in words):
            weights[kind] += 12
    if "none" in written or "optional" in written:
        weights["none"] += 3


def _add_use(weights: Counter[str], item: ast.AST, name: str) -> None:
    """What one node of the function does with a parameter."""
    match item:
        case ast.Attribute(value=ast.Name(id=used), attr=method) if used == name:
            weights.update({kind: 5 for kind, known in _METHODS.items() if method in known})
        case ast.Subscript(value=ast.Name(id=used), slice=index) if used == name:
            keyed = isinstance(index, ast.Constant) and isinstance(index.value, str)
            weights.update(_KEYED if keyed else _INDEXED)
        case ast.For(iter=ast.Name(id=used)) | ast.comprehension(iter=ast.Name(id=used)):
            weights.update(_ITERATED if used == name else {})
        case ast.Call(func=ast.Name(id=caller), args=arguments):
            _add_call(weights, caller, arguments, name)
        case ast.BinOp(left=left, right=right) | ast.Compare(left=left, comparators=[right]):
            _add_operand(weights, left, right, name)


def _add_call(weights: Counter[str], caller: str, arguments: Sequence[ast.expr], name: str) -> None:
    """A parameter that is called, or handed to one of Python's own functions."""
    if caller == name:
        weights["call"] += 12
    handed = any(isinstance(a, ast.Name) and a.id == name for a in arguments)
    if handed and caller in _CONSUMERS:
        weights.update({kind: int(w) for kind, w in _CONSUMERS[caller].items()})
    if handed and caller == "isinstance" and len(arguments) == 2:
        _add_annotation(weights, ast.unparse(arguments[1]).lower())


def _add_operand(weights: Counter[str], left: ast.AST, right: ast.AST, name: str) -> None:
    """A parameter next to an operator takes after what stands on the other side."""
    for one, other in ((left, right), (right, left)):
        if not (isinstance(one, ast.Name) and one.id == name):
            continue
        if isinstance(other, ast.Constant):
            weights[_kind(other)] += 4
        else:
            weights.update({"int": 2, "float": 1})


def _kind(constant: ast.Constant) -> str:
    """The kind of value that a constant is."""
    kind = type(constant.value).__name__
    return kind if kind in _VALUES else "none"


def _int(rng: Random) -> int:
    return rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 10, 12, 16, 25, 100, -1, -2, -5))


def _float(rng: Random) -> str:
    return repr(rng.choice((0.0, 0.5, 1.0, 1.5, 2.0, 2.25, 3.75, -0.5, -1.25, 10.0, 0.1, 100.0)))


def _ints(rng: Random) -> list[int]:
    return [_int(rng) for _ in range(rng.choice((0, 1, 2, 3, 3, 4, 5, 6)))]


def _strs(rng: Random) -> list[str]:
    return [rng.choice(_WORDS) for _ in range(rng.choice((0, 1, 2, 3, 4)))]


def _table(rng: Random) -> str:
    width = rng.randint(1, 3)
    rows = [[_int(rng) for _ in range(width)] for _ in range(rng.randint(1, 4))]
    return repr(rows if rng.random() < 0.5 else [tuple(row) for row in rows])


_VALUES: dict[str, Callable[[Random], str]] = {
    "int": lambda rng: str(_int(rng)),
    "float": lambda rng: _float(rng) if rng.random() < 0.6 else str(_int(rng)),
    "str": lambda rng: repr(rng.choice(_WORDS)),
    "bool": lambda rng: str(rng.random() < 0.5),
    "none": lambda _: "None",
    "ints": lambda rng: repr(_ints(rng) if rng.random() < 0.8 else tuple(_ints(rng))),
    "strs": lambda rng: repr(_strs(rng)),
    "dict": lambda rng: repr({rng.choice("abcxyz"): _int(rng) for _ in range(rng.randint(0, 3))}),
    "table": _table,
    "set": lambda rng: f"set({_ints(rng)!r})",
    "call": lambda rng: rng.choice(_LAMBDAS),
    "bytes": lambda rng: repr(rng.choice(_WORDS).encode()),
    "char": lambda rng: repr(rng.choice("aZ5 -")),
    "digits": lambda rng: repr(str(_int(rng))),
    "mixed": lambda rng: repr(rng.choice((_ints(rng), _strs(rng)))),
}
