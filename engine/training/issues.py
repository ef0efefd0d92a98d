"""What somebody who met a bug might write: a title, and now and then more.

Reports are of what is seen from outside (a wrong value, an exception, a hang), so a symptom, not
the bug's kind, chooses the words; the kind decides only which symptoms are likely where nothing was
run. Some say everything, many say little.
"""

from dataclasses import dataclass
from random import Random

MAX_TITLE_CHARS = 200
SHARE_VAGUE = 0.18
SHARE_BODY = 0.75
SHARE_TRACEBACK = 0.5
MAX_QUOTED_CHARS = 70


@dataclass(frozen=True, slots=True)
class Failure:
    """A call, the outcome that it should have and the one that it has, as `outcomes` writes them.

    `got` is empty where the call did not come back.
    """

    call: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Issue:
    """A report; `body` may be empty."""

    title: str
    body: str

    @property
    def text(self) -> str:
        """The title, an empty line and the body."""
        return f"{self.title}\n\n{self.body}" if self.body else self.title


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a report is about; the texts are empty where they are not known."""

    symptom: str
    name: str
    call: str = ""
    expected: str = ""
    got: str = ""
    error: str = ""
    message: str = ""
    words: str = ""


_SHOWN = {
    "wrong": (
        "{name} returns the wrong result: {call} gives {got}, expected {expected}",
        "{call} returns {got} instead of {expected}",
        "wrong value from {name}: got {got}, should be {expected}",
        "{call} is {got}, not {expected}",
        "{name}(): expected {expected} but got {got}",
        "incorrect output of {name} for {call}",
        "I get {got} from {call}; I think it must be {expected}",
        "AssertionError: assert {got} == {expected} where {got} = {call}",
        "{call} should give {expected}",
        "{name} gives an unexpected answer for some inputs, e.g. {call}",
    ),
    "raises": (
        "{name} raises {error}: {call}",
        "{error} in {name}",
        "{call} fails with {error}",
        "{error} when calling {call}",
        "unexpected {error} from {name}(), expected {expected}",
        "{name} crashes with {error}{message}",
        "{call} should return {expected} but raises {error}",
        "{error}{message}",
    ),
    "lenient": (
        "{name} does not raise {expected} any more",
        "{call} should raise {expected}, returns {got}",
        "missing {expected} in {name}: {call} is accepted",
        "{name} accepts what it must refuse",
        "expected {expected} from {call}, nothing was raised",
    ),
    "other error": (
        "{call} raises {error} where {expected} is documented",
        "wrong exception from {name}: {error} instead of {expected}",
        "{name} raises {error}{message}, expected {expected}",
    ),
    "nothing": (
        "{name} returns None",
        "{call} returns None instead of {expected}",
        "{name}() gives nothing back, expected {expected}",
        "result of {name} is None for {call}",
    ),
    "hangs": (
        "{name} never returns for {call}",
        "{call} hangs",
        "{name} loops forever",
        "infinite loop in {name}? {call} does not finish",
        "100 % CPU in {name}() and no answer",
    ),
}
"""Titles where a call is known that shows the failure."""

_UNSHOWN = {
    "wrong": (
        "{name} returns a wrong result",
        "{name}() gives an unexpected value",
        "{name}: {words}",
        "{words} in {name}",
        "{words}",
        "{name}: wrong output for some inputs",
        "something is off with the result of {name}",
        "{name} {words}",
    ),
    "raises": (
        "{error} in {name}",
        "{name} raises {error}{message}",
        "{error}{message}",
        "{name}(): {error}{message}",
        "{name} crashes: {error}",
        "unexpected {error} from {name}",
    ),
    "nothing": (
        "{name} returns None",
        "{name}() gives nothing back",
        "result of {name} is None",
    ),
    "hangs": ("{name} never returns", "{name} hangs", "infinite loop in {name}"),
    "lenient": (
        "{name} accepts invalid input",
        "{name} no longer complains about bad input",
        "{name} should raise but does not",
    ),
}
"""Titles where nothing was run."""

_VAGUE = (
    "{name} is broken",
    "{name} does not work",
    "bug in {name}",
    "{name}: regression since the last release",
    "problem with {name}",
    "Please have a look at {name}",
    "{name} behaves strangely",
    "test of {name} fails",
    "AssertionError in the tests of {name}",
    "tests fail",
)

_BODIES = {
    "wrong": (
        "Steps to reproduce:\n\n>>> {call}\n{got}\n\nExpected:\n\n{expected}",
        "I expected `{expected}` from `{call}`, and got `{got}`.",
        "```python\nassert {call} == {expected}\n```\nfails: the left side is {got}.",
        "Small example: {call}\nactual: {got}\nexpected: {expected}\nIt used to be right.",
        "The documentation made me expect {expected} here, but `{call}` says {got}. "
        "Other inputs that I tried are fine.",
    ),
    "raises": (
        "Calling `{call}` ends in\n\n{trace}\n\nIt should return {expected}.",
        "```\n{trace}\n```",
        "{trace}\n\nThe call was `{call}`.",
        "`{call}` worked before; now it raises {error}.",
    ),
    "lenient": (
        "`{call}` gives {got}. I rely on the {expected} for bad input.",
        ">>> {call}\n{got}\n\nThis must be refused with {expected}.",
    ),
    "other error": (
        "{trace}\n\nI catch {expected}, as told in the documentation, and this one slips through.",
    ),
    "nothing": (
        "`print({call})` prints None. I expected {expected}.",
        ">>> print({call})\nNone\n\nexpected {expected}",
    ),
    "hangs": (
        "I had to interrupt `{call}` after a minute. It should be {expected}.",
        "`{call}` keeps one core busy and does not come back.",
    ),
}
_VAGUE_BODIES = (
    "Sorry, I cannot say more; it happens with our data.",
    "Found while upgrading.",
    "Can anybody reproduce this?",
    "I have not looked at the code.",
    "It is only some inputs.",
)
_PREFIXES = ("Bug: ", "[bug] ", "BUG: ", "regression: ")
_ENDINGS = ("!", "?", " :(", " (regression)", ", please fix")

_ERRORS = {
    "IndexError": (": list index out of range", ": string index out of range", ""),
    "KeyError": ("", ": 0", ": None"),
    "TypeError": (
        ": unsupported operand type(s)",
        ": 'NoneType' object is not subscriptable",
        ": 'int' object is not iterable",
        "",
    ),
    "ValueError": ("", ": not enough values to unpack"),
    "ZeroDivisionError": (": division by zero", ""),
    "UnboundLocalError": (": local variable referenced before assignment", ""),
    "NameError": (": name is not defined", ""),
    "AttributeError": (": 'NoneType' object has no attribute", ""),
    "RecursionError": (": maximum recursion depth exceeded",),
}
_LIKELY: dict[str, tuple[str, ...]] = {
    "index": ("IndexError", "KeyError", "takes the wrong element"),
    "range_bound": ("IndexError", "the last element is missing", "one element too many"),
    "slice_bound": ("the result is cut off", "the last element is missing", "first item is lost"),
    "off_by_one": ("off by one", "one too many", "IndexError"),
    "dropped_one": ("off by one", "one too few", "IndexError"),
    "int_constant": ("off by some amount", "wrong number", "IndexError"),
    "negated_number": ("the sign is wrong", "negative result"),
    "string_constant": ("wrong text in the result", "the separator is wrong"),
    "flag_constant": ("returns True, expected False", "returns False, expected True"),
    "wrong_start": ("off by one", "TypeError", "the first value is ignored"),
    "wrong_return": ("returns None", "returns something else altogether"),
    "compare_operator": ("wrong at the boundary", "equal values are treated wrongly", "hangs"),
    "membership": ("does the opposite", "KeyError"),
    "boolean_operator": ("condition is too strict", "condition is not strict enough"),
    "negated_condition": ("does the opposite of what it says", "lenient"),
    "other_condition": ("takes the wrong branch", "hangs"),
    "added_condition": ("some cases are ignored",),
    "binary_operator": ("the computation is wrong", "ZeroDivisionError", "TypeError"),
    "augmented_operator": ("the total is wrong", "sum has the wrong sign", "hangs"),
    "accumulate_for_assign": ("values pile up", "the total is wrong", "UnboundLocalError"),
    "wrong_variable": ("uses the wrong value", "TypeError", "an argument is ignored"),
    "wrong_target": ("NameError", "UnboundLocalError"),
    "wrong_attribute": ("AttributeError", "looks at the wrong attribute"),
    "swapped_operands": ("the sign is wrong", "result is inverted"),
    "swapped_pair": ("the order of the pair is wrong", "results are swapped"),
    "swapped_branches": ("does the opposite",),
    "swapped_arguments": ("arguments seem to be mixed up", "TypeError"),
    "wrong_call": ("AttributeError", "TypeError", "wrong value"),
    "dropped_argument": ("TypeError", "an option is ignored"),
    "extra_argument": ("TypeError",),
    "dropped_call": ("TypeError", "the result is not converted"),
    "dropped_method": ("AttributeError", "TypeError", "the whole thing is returned"),
    "dropped_guard": ("fails on empty input", "ZeroDivisionError", "IndexError", "lenient"),
    "dropped_statement": ("returns None", "UnboundLocalError", "a step is missing", "hangs"),
    "dropped_clause": ("a case is missing",),
    "dropped_operand": ("part of the result is missing", "ignores an argument"),
    "filter_of_comprehension": ("the filter is not right", "too many items in the result"),
    "moved_statement": ("things happen in the wrong order", "UnboundLocalError"),
    "wrong_indentation": ("only the first item is handled", "stops too early"),
    "loop_exit": ("stops too early", "hangs"),
    "wrong_keyword": ("hangs", "takes the wrong branch"),
    "repeated_statement": ("counts twice", "everything appears twice"),
    "swapped_bodies": ("does the opposite", "takes the wrong branch"),
    "reset_in_loop": ("only the last item counts", "the total is wrong", "earlier items are lost"),
}
"""What is likely to be seen of the kinds of bugs: an exception, a symptom, or words."""


def issue_text(kind: str, name: str, rng: Random, failure: Failure | None = None) -> str:
    """A report in full; its first line is the title."""
    return write_issue(kind, name, rng, failure).text


def title(kind: str, name: str, rng: Random) -> str:
    """A report's title where nothing was run."""
    return _title(_unshown(kind, name, rng), rng)


def title_of(text: str) -> str:
    """The title of a report in full."""
    return text.partition("\n")[0]


def write_issue(kind: str, name: str, rng: Random, failure: Failure | None = None) -> Issue:
    """A report of a bug of this kind, from one vague line to a paragraph with a traceback."""
    if failure is None:
        return Issue(title(kind, name, rng), _vague_body(rng))
    seen = _shown(name, failure, rng)
    body = rng.choice(_BODIES[seen.symptom]) if rng.random() < SHARE_BODY else ""
    return Issue(_title(seen, rng), _filled(body, seen) if body else _vague_body(rng))


def _vague_body(rng: Random) -> str:
    return rng.choice(_VAGUE_BODIES) if rng.random() < SHARE_VAGUE else ""


def _title(seen: _Seen, rng: Random) -> str:
    """A title about what was seen, more or less exact."""
    if rng.random() < SHARE_VAGUE:
        template = rng.choice(_VAGUE)
    else:
        template = rng.choice((_SHOWN if seen.call else _UNSHOWN)[seen.symptom])
    text = _filled(template, seen)
    styled = rng.random()
    if styled < 0.06:
        text = rng.choice(_PREFIXES) + text
    elif styled < 0.12:
        text += rng.choice(_ENDINGS)
    elif styled < 0.25:
        text = text[:1].upper() + text[1:]
    return " ".join(text.split())[:MAX_TITLE_CHARS]


def _unshown(kind: str, name: str, rng: Random) -> _Seen:
    """What a bug of a kind is likely to look like."""
    said = rng.choice((*_LIKELY.get(kind, ()), "wrong value"))
    if said in _ERRORS:
        return _Seen("raises", name, error=said, message=rng.choice(_ERRORS[said]))
    if said == "returns None":
        return _Seen("nothing", name)
    if said in _UNSHOWN:
        return _Seen(said, name)
    return _Seen("wrong", name, words=said)


def _shown(name: str, failure: Failure, rng: Random) -> _Seen:
    """What running a call has shown."""
    expected, wanted_error = _read(failure.expected)
    got, error = _read(failure.got)
    message = f": {got}" if got and error else rng.choice(_ERRORS.get(error, ("",)))
    if not failure.got:
        symptom = "hangs"
    elif error:
        symptom = "other error" if wanted_error else "raises"
    elif wanted_error:
        symptom = "lenient"
    else:
        symptom = "nothing" if got == "None" else "wrong"
    return _Seen(
        symptom,
        name,
        call=_short(failure.call),
        expected=wanted_error or _short(expected),
        got=_short(got),
        error=error,
        message=message,
    )


def _read(outcome: str) -> tuple[str, str]:
    """The text of an outcome, and the exception's name where it is one."""
    for word in ("raises ", "raised "):
        if outcome.startswith(word):
            error, _, message = outcome.removeprefix(word).strip().partition(":")
            return message.strip(), error.rpartition(".")[2]
    return outcome.removeprefix("printed ").strip() or "nothing", ""


def _short(text: str) -> str:
    """A text as it is quoted: one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTED_CHARS else line[: MAX_QUOTED_CHARS - 3] + "..."


def _filled(template: str, seen: _Seen) -> str:
    """A template with what was seen in its places."""
    trace = (
        'Traceback (most recent call last):\n  File "example.py", line 3, in <module>\n'
        f"    {seen.call}\n{seen.error}{seen.message}"
    )
    return template.format(
        name=seen.name,
        call=seen.call,
        expected=seen.expected,
        got=seen.got,
        error=seen.error,
        message=seen.message,
        words=seen.words or "wrong value",
        trace=trace,
    )
