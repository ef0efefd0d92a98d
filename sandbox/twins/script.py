"""Tests of JavaScript and TypeScript turned around by editing their text.

A test's function is put into another that awaits it and then throws; the *control* is the same
edit with nothing thrown, so that stacks, lines and columns are the same in both. A second twin
changes the first comparison of the test, so that a judge of values that always agrees shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.twins.script_tests import Call, Path, arguments, paths
from sandbox.twins.script_tokens import read
from sandbox.twins.tokens import Code, Edit, UnreadableError, edited

GIVES_WAY = ("todo", "expectFailure", "fails", "failing")
"""Words among a declaration's options by which a failure counts as none."""
COMPARES = frozenset(
    {"equal", "equals", "strictEqual", "deepEqual", "deepStrictEqual", "eql", "eq", "toBe",
     "toEqual", "toStrictEqual"}
)  # fmt: skip
HOLDS = frozenset({"assert", "ok", "isTrue"})
RAISES = frozenset({"throws", "throw", "toThrow", "toThrowError"})
BETWEEN = frozenset({"to", "be", "deep", "that", "is", "have"})
LEADS = frozenset({"t", "chai", "assert", "strict", "deep"})
"""What may stand before a judgement that is no `expect`; another word, as `not`, may reverse it."""
ASSERTING = LEADS | COMPARES | HOLDS | RAISES
"""What a statement that compares begins with, where it is no `expect`."""
CONDITIONS = frozenset({"if", "for", "while", "with"})
NEEDS_A_VALUE = frozenset({"else", "do", "return", "typeof", "void", "new", "in", "of"})


@dataclass(frozen=True, slots=True)
class Turned:
    """A file with one test prepared: `control` passes where the test does, `twins` must fail.

    `titles` are those of the suites around the test from the outside in, and its own.
    """

    titles: tuple[str, ...]
    control: str
    twins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which test of a file is meant: the titles of its suites and its own, joined by `joint`.

    `stranger` is a word that no answer is; `typed` says that the file is TypeScript, `context` that
    a test's one parameter is no callback by which it says when it is over.
    """

    titles: str
    joint: str
    stranger: str
    typed: bool = False
    context: bool = False


def turned(source: str, wanted: Wanted) -> Turned | None:
    """A test turned around; None where it is not found, found twice, or not to be relied on.

    Never raises.
    """
    try:
        script = read(source)
        path = _find(script, paths(script), wanted)
    except UnreadableError:
        return None
    function = None if path is None else _wrapper(script, path[-1], wanted)
    if path is None or function is None:
        return None
    call = path[-1]
    before, after = function
    start = script.tokens[call.function.first].start
    end = script.tokens[call.function.last].end

    def made(last: str, *more: Edit) -> str:
        around = [(start, start, before), (end, end, f"{after}; {last} 1 }}")]
        return edited(source, [*around, *more])

    twins = [made("throw")]
    other = _other_value(script, call, wanted)
    if other is not None:
        twins.append(made("void", other))
    titles = tuple(each.title or "" for each in path)
    return Turned(titles, made("void"), tuple(twins))


def titles_alone(source: str, wanted: Wanted) -> tuple[str, ...]:
    """The titles of a test and of the tests around it; none where another test bears its title."""
    script = read(source)
    found = paths(script)
    path = _find(script, found, wanted)
    if path is None or [p[-1].title for p in found if p[-1].is_test].count(path[-1].title) > 1:
        return ()
    return tuple(each.title or "" for each in path if each.is_test)


def _find(script: Code, found: list[Path], wanted: Wanted) -> Path | None:
    named: list[Path] = []
    for path in (each for each in found if each[-1].is_test):
        titles = [each.title for each in path]
        if None not in titles and wanted.joint.join(map(str, titles)) == wanted.titles:
            named.append(path)
    if len(named) != 1:
        return None
    options = (script.span(*one) for each in named[0] for one in each.options)
    return None if any(w in text for text in options for w in GIVES_WAY) else named[0]


def _wrapper(script: Code, call: Call, wanted: Wanted) -> tuple[str, str] | None:
    """What comes before and behind a test's function, up to the word that decides."""
    function = call.function
    words = {t.text for t in script.tokens[function.first : function.last] if t.kind == "word"}
    if function.parameters > int(wanted.context) or words & {"arguments", "todo"}:
        return None
    given = "given" if function.parameters else ""
    if function.arrow:
        return f"async ({given}) => {{ await (", f")({given})"
    if "this" not in words:
        return f"async ({given}) => {{ await (", f")({given})"
    if wanted.typed:  # `this` would lose its type
        return None
    return f"async function ({given}) {{ await (", f").call(this{', ' if given else ''}{given})"


def _other_value(script: Code, call: Call, wanted: Wanted) -> Edit | None:
    """The edit by which the first comparison that is always reached cannot hold."""
    if call.function.body is None:
        return None
    seen = call.function.body[0]
    for at in _statements(script, *call.function.body):
        if any(script.text(each) == "return" for each in range(seen, at)):
            return None
        seen = at
        found = _comparison(script, at, wanted)
        if found is not None:
            return found
    return None


def _statements(script: Code, opened: int, closed: int) -> Iterator[int]:
    """The first tokens of statements right within braces that nothing but order decides on."""
    at = opened + 1
    while at < closed:
        before = script.tokens[at - 1]
        apart = "\n" in script.source[before.end : script.tokens[at].start]
        if before.text in {";", "{", "}"} or (apart and _ends_a_statement(script, at - 1)):
            yield at
        at = script.partners.get(at, at) + 1


def _ends_a_statement(script: Code, at: int) -> bool:
    token = script.tokens[at]
    if token.text == ")":
        return script.text(script.partners[at] - 1) not in CONDITIONS
    return (token.kind != "sign" and token.text not in NEEDS_A_VALUE) or token.text in {"]", "}"}


def _comparison(script: Code, at: int, wanted: Wanted) -> Edit | None:
    """The edit of a call such as `assert.equal(a, b)` or `expect(a).toBe(b)` that begins here."""
    awaited = script.text(at) == "await"
    at += awaited
    expects = script.text(at) == "expect" and script.text(at + 1) == "("
    if not expects and script.text(at) not in ASSERTING:
        return None
    head, at = at + 1, script.partners[at + 1] if expects else at
    words = [] if expects else [script.text(at)]
    while script.text(at + 1) == "." and script.kind(at + 2) == "word":
        at += 2
        words.append(script.text(at))
    between = (BETWEEN | {"resolves"} if awaited else BETWEEN) if expects else LEADS
    if not words or script.text(at + 1) != "(" or set(words[:-1]) - between:
        return None
    given = list(arguments(script, at + 1))
    actual = list(arguments(script, head)) if expects else given[:1]
    expected = given if expects else given[1:]
    return _failing(script, words[-1], actual, expected, wanted)


def _failing(
    script: Code,
    name: str,
    actual: list[tuple[int, int]],
    expected: list[tuple[int, int]],
    wanted: Wanted,
) -> Edit | None:
    """The edit that makes a judgement of this name fail although the code is called as before."""
    if not actual:
        return None
    text = script.span(*actual[0])
    if name in RAISES:
        return _edit(script, actual[0], f"() => {{ try {{ ({text})() }} catch {{}} }}")
    if name in HOLDS:
        return _edit(script, actual[0], f"!({text})")
    if name not in COMPARES or not expected:
        return None
    stranger = f"('{wanted.stranger}' as any)" if wanted.typed else f"'{wanted.stranger}'"
    first, last = actual[0]
    constant = first == last and script.kind(first) != "word"
    return _edit(script, actual[0] if constant else expected[0], stranger)


def _edit(script: Code, tokens: tuple[int, int], text: str) -> Edit:
    first, last = tokens
    return script.tokens[first].start, script.tokens[last].end, text
