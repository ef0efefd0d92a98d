"""Twins of JavaScript's and Go's tests, run by node and go themselves."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.twins import go
from sandbox.twins.script import Wanted, titles_alone, turned
from sandbox.twins.script_tests import DEEPEST, MOST_CALLS
from sandbox.twins.script_tokens import read
from sandbox.twins.tokens import MOST_CHARS, MOST_TOKENS, UnreadableError

if TYPE_CHECKING:
    from _typeshed import TraceFunction

HEAD = """
const assert = require('node:assert')
const { describe, it, test } = require('node:test')
const add = (a, b) => a + b
const later = async (a, b) => add(a, b)
const same = assert.strictEqual, refuses = () => { throw new Error('no') }
const pattern = /['"`(]/, half = add(4, 2) / 2, text = `a ${add(1, `}`)} '`
"""
FORMS = {
    "a block": "it('adds', () => { assert.strictEqual(add(1, 2), 3) })",
    "an expression": "it('adds', () => assert.strictEqual(add(1, 2), 3))",
    "a function": "it('adds', function () { assert.strictEqual(add(1, 2), 3) })",
    "this": "it('adds', function () { this.x = 1; assert.strictEqual(add(1, 2), 3) })",
    "awaited": "it('adds', async () => { assert.strictEqual(await later(1, 2), 3) })",
    "a promise": "it('adds', () => { return later(1, 2).then(n => same(n, 3)) })",
    "an early return": "it('adds', () => { if (add(1, 2) === 3) return; assert.fail() })",
    "caught": "it('adds', () => { try { same(add(1, 2), 3); return } finally { add(1, 1) } })",
    "a context": "it('adds', (t) => { t.diagnostic('x'); assert.ok(add(1, 2) === 3) })",
    "options": "test('adds', { timeout: 9000 }, async function named () { assert(add(1, 2)) })",
    "raised": "it('adds', () => {\n  assert.throws(() => refuses())\n})",
    "a constant first": "it('adds', () => { assert.deepEqual(3, add(1, 2)) })",
    "a condition": "it('adds', () => {\n  if (add(1, 1) === 3)\n    assert.equal(add(1, 1), 3)\n})",
    "a template": "it(`adds`, () => { assert.equal(text.length, 6, `${text}'`) })",
}
TWO_TWINS = frozenset(FORMS) - {
    "an expression", "a promise", "an early return", "caught", "a condition",
}  # fmt: skip
ADDS = Wanted("adds", " > ", "0")
WANTED = Wanted("calc > adds", " > ", "0stranger0", context=True)


DRIVER = """
const tests = {}
const declare = (name, ...rest) => { tests[name] = rest.find((each) => typeof each === 'function') }
const runner = { describe: (_, body) => body(), it: declare, test: declare }
const load = (name) => name === 'node:test' ? runner : require(name)
const passes = async (text) => {
  new Function('require', text)(load)
  try { await tests.adds.call({}, { diagnostic () {} }) } catch { return false }
  return true
}
const main = async (given) => {
  const said = []
  for (const texts of given) said.push(await Promise.all(texts.map(passes)))
  console.log(JSON.stringify(said))
}
main(JSON.parse(require('node:fs').readFileSync(0)))
"""


def test_the_control_passes_and_every_twin_fails() -> None:
    given: list[list[str]] = []
    for form, test in FORMS.items():
        text = f"{HEAD}describe('calc', () => {{\n  {test}\n  it('other', () => {{}})\n}})\n"
        found = turned(text, WANTED)
        assert found is not None, form
        assert len(found.twins) == 1 + (form in TWO_TWINS), form
        given.append([text, found.control, *found.twins])
    done = subprocess.run(
        ["node", "-e", DRIVER], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    said = dict(zip(FORMS, json.loads(done.stdout), strict=True))
    wanted = {f: [True, True, *[False] * (1 + (f in TWO_TWINS))] for f in FORMS}
    assert said == wanted


def test_a_control_and_the_first_twin_differ_in_one_word_behind_the_test() -> None:
    found = turned("it('adds', () => { same(add(1, 2), 3) })", Wanted("adds", " > ", "0"))
    assert found is not None
    assert (
        found.control
        == "it('adds', async () => { await (() => { same(add(1, 2), 3) })(); void 1 })"
    )
    assert found.twins[0] == found.control.replace("void 1", "throw 1")


@pytest.mark.parametrize(
    "text",
    [
        "it('adds', done => { done() })",
        "it('adds', function (done) { done() })",
        "it('adds', function * () { yield 1 })",
        "it('adds', { todo: true }, () => {})",
        "it('adds', (t) => { t.todo() }, 1)",
        "it.skip('adds', () => {})",
        "it.each([1])('adds', () => {})",
        "it(`adds${1}`, () => {})",
        "it(name, () => {})",
        "it('adds', wrapped(() => {}))",
        "it('adds', () => {}); it('adds', () => {})",
        "describe(name, () => { it('adds', () => {}) })",
        "it('adds', () => { ')",
        "it('adds', () => {}",
        "it('adds', () => {})}",
        "const a = <p>don't</p>; it('adds', () => {})",
        "it('adds', () => { say(`${`) })",
    ],
)
def test_what_cannot_be_relied_on_has_no_twin(text: str) -> None:
    assert turned(text, Wanted("adds", " > ", "0")) is None


def test_a_comparison_that_the_issue_of_typescript_is_keeps_its_types() -> None:
    text = "it('adds', async (): Promise<void> => {\n  await expect(later(1)).resolves.toBe(3)\n})"
    found = turned(text, Wanted("adds", " > ", "word", typed=True))
    assert found is not None
    assert ".resolves.toBe(('word' as any))" in found.twins[1]
    own = "it('adds', function () { this.timeout(1) })"
    assert turned(own, Wanted("adds", " > ", "word", typed=True)) is None


def test_what_expects_is_turned_around_by_what_is_expected() -> None:
    text = "it('adds', () => { expect(add(1, 2)).to.equal(3) })"
    found = turned(text, Wanted("adds", " ", "word"))
    assert found is not None
    assert "expect(add(1, 2)).to.equal('word')" in found.twins[1]
    thrown = turned("it('adds', () => { expect(f).toThrow() })", Wanted("adds", " ", "word"))
    assert thrown is not None
    assert "expect(() => { try { (f)() } catch {} }).toThrow()" in thrown.twins[1]
    for text in ("expect(f).not.toBe(1)", "expect(f).toBeDefined()", "same(f)", "f.equal(1, 2)"):
        found = turned(f"it('adds', () => {{ {text} }})", Wanted("adds", " ", "w"))
        assert found is not None
        assert len(found.twins) == 1


REVERSED = (
    "assert.not.equal(f(), 3)",
    "assert.not.ok(f())",
    "t.assert.not.throws(f)",
    "ok.not.equal(1, 2)",
)
PLAIN = (
    "chai.assert.equal(f(), 3)",
    "t.assert.ok(f())",
    "assert.strict.equal(f(), 3)",
    "assert(f())",
)


def test_a_word_that_is_not_known_may_reverse_a_comparison() -> None:
    count = {}
    for text in (*REVERSED, *PLAIN):
        found = turned(f"it('adds', () => {{ {text} }})", ADDS)
        assert found is not None
        count[text] = len(found.twins)
    assert count == dict.fromkeys(REVERSED, 1) | dict.fromkeys(PLAIN, 2)


def test_subtests_are_found_in_the_tests_around_them() -> None:
    text = "test('calc', async (t) => { await t.test('adds', () => {}) })"
    assert turned(text, WANTED) is not None
    assert titles_alone(text, WANTED) == ("calc", "adds")
    assert titles_alone(f"{text}\ndescribe('x', () => {{ it('adds', () => {{}}) }})", WANTED) == ()


COUNT = 100


def nested(count: int, opened: str, closed: str) -> str:
    return opened * count + closed * count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/* " * COUNT, "a comment is never closed at 0"),
        ("(/a[" * COUNT, "no token begins at 1"),
        ("a" * (MOST_CHARS + 1), f"more than {MOST_CHARS} characters"),
        ("," * (MOST_TOKENS + 1), f"more than {MOST_TOKENS} tokens"),
        (nested(COUNT, "`${", "}`"), "templates lie in templates too deep"),
    ],
)
def test_a_text_that_costs_much_is_refused_at_once(text: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        read(text)
    assert turned(text, ADDS) is None


def test_many_tests_or_deep_ones_are_refused() -> None:
    one = "it('adds', () => {})"
    assert turned(nested(DEEPEST - 1, "it('a',[", "],f=>f)"), ADDS) is None
    around = "describe('a',()=>{", "})"
    titled = Wanted(" > ".join(["a"] * (DEEPEST - 1) + ["adds"]), " > ", "0")
    assert turned(one.join([around[0] * (DEEPEST - 1), around[1] * (DEEPEST - 1)]), titled)
    deeper = Wanted(f"a > {titled.titles}", " > ", "0")
    assert turned(one.join([around[0] * DEEPEST, around[1] * DEEPEST]), deeper) is None
    assert turned(f"{one};" + "it('b',f=>f);" * (MOST_CALLS - 1), ADDS) is not None
    assert turned(f"{one};" + "it('b',f=>f);" * MOST_CALLS, ADDS) is None


def steps(work: Callable[[], object], most: float = math.inf) -> int:
    """How many instructions of Python some work takes; beyond the most allowed it is ended."""
    count = 0

    def step(frame: FrameType, event: str, _: object) -> "TraceFunction":
        nonlocal count
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count += event == "opcode"
        assert count <= most
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "form",
    [
        "{} it('adds',()=>{{}})",
        "it('adds',()=>{{{}}})",
        "it('adds',()=>{{}});describe('b',()=>{{{}}})",
    ],
)
@pytest.mark.parametrize("part", ["it('b',f=>f);", "t;", "t.a();", "/* */", "`${t}`;", "(a:b);"])
def test_twice_the_text_takes_twice_the_work(form: str, part: str) -> None:
    texts = [form.format(part * (count * COUNT)) for count in (2, 4)]
    some, twice = (steps(partial(turned, text, ADDS)) for text in texts)
    assert twice < 2.2 * some


@given(st.text(alphabet="it('adds,=>{}/\\`$\"\n x", max_size=80))
def test_no_text_makes_it_raise_or_lose_a_character(text: str) -> None:
    turned(text, Wanted("adds", " > ", "0"))
    try:
        script = read(text)
    except UnreadableError:
        return
    assert all(script.source[t.start : t.end] == t.text for t in script.tokens)


SUITE_GO = """package calc

import "testing"

func TestAdds(t *testing.T) {
	if 1+2 == 3 {
		return
	}
	t.Fatal("wrong")
}

func TestSkips(t *testing.T) { t.Skip("not today") }

func TestInner(test *testing.T) {
	test.Run("inner", func(t *testing.T) { t.Parallel() })
}
"""


@pytest.mark.parametrize("name", ["TestAdds", "TestSkips", "TestInner"])
def test_a_twin_in_go_fails_however_its_test_ends(name: str, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("there is no go")
    found = go.turned(SUITE_GO, name)
    assert found is not None
    (tmp_path / "go.mod").write_text("module example.org/calc\n\ngo 1.17\n")
    said = {}
    for kind, text in (("control", found.control), ("twin", found.twin)):
        (tmp_path / "calc_test.go").write_text(text)
        argv = ["go", "test", "-vet=off", "-run", f"^{name}$"]
        said[kind] = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode
    assert said == {"control": 0, "twin": 1}


@pytest.mark.parametrize(
    "text",
    [
        "func TestAdds(_ *testing.T) {\n}\n",
        "func TestAdds(t *T) {\n}\n",
        "func Other(t *testing.T) {\n}\n",
        "func TestAdds(t *testing.T) {\n}\nfunc TestAdds(t *testing.T) {\n}\n",
    ],
)
def test_what_is_no_plain_test_of_go_has_no_twin(text: str) -> None:
    assert go.turned(text, "TestAdds") is None
    assert go.turned(text, "Test.*") is None
