"""Every reader of tests ends, whatever code it is given: it runs where no limit of a box holds."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.twins import script
from sandbox.twins.compiled_tokens import read_java, read_rust
from sandbox.twins.script_tokens import read
from sandbox.twins.tokens import Code
from tests.sandbox.test_twins_compiled import of_java, of_rust
from tests.sandbox.test_twins_script import steps

MOST_STEPS = 200_000
"""Many times what the longest of these texts takes."""
HEAD = "package org.example; import org.junit.Test; class CalcTest {"
RUST = """#[cfg(test)] mod tests {
    #[test] #[doc(hidden)] pub(crate) async fn adds() -> Result<[u8; 2], (A, B)> {
        #![allow(unused)]
        { f(1, [2]); } assert_eq!(add(1, 2), 3); if a() { return; }
    }
}"""
JAVA = f"""{HEAD}
    @Test(timeout = 1) @A({{"b", "c"}}) public final void adds() throws a.B, C {{
        check(add(1, 2) == 3, new int[] {{1}});
    }}
}}"""
SCRIPT = """describe('a', function () {
    it('adds', {skip: [1]}, async (t): Promise<[A, B]> => {
        f({b: [2]}); expect(add(1, 2)).to.be.equal(3); if (a) { return }
    })
})"""
PIECES = {
    "rust": ["mod tests", "#[test] fn adds()", "#[test]", "#[a(b)]", "#![a]", "pub", "fn adds()", "fn", "adds", "-> A",
             "assert_eq!", "assert_eq!(a, 3);", "return", "3", ",", ";", "::", "'a"],
    "java": ["class CalcTest", "class", "@Test void adds() throws A", "@Test", "@A(b)", "@", "public",
             "void adds()", "void", "adds", "throws A", "a.b", ".", ",", ";", "3"],
    "script": ["describe('a', ", "it('adds', ", "it", "'adds'", "()", "t", "=>", ": A", "async",
               "function", "expect(a)", ".toBe(3)", "assert", ".", ",", ";", "return", "`b`"],
}  # fmt: skip


def of_script(source: str, titles: str) -> object:
    """What is made of the test under these titles."""
    return script.turned(source, script.Wanted(titles, " > ", "0", context=True))


READERS: Mapping[str, Callable[[str], list[Callable[[], object]]]] = {
    "rust": lambda text: [partial(of_rust, text, name) for name in ("tests::adds", "adds")],
    "java": lambda text: [partial(of_java, whole, "adds") for whole in (text, f"{HEAD} {text} }}")],
    "script": lambda text: [partial(of_script, text, name) for name in ("adds", "a > adds")],
}


def read_all(language: str, text: str) -> None:
    """Have a language's reader look for a test in a text, in so many steps at most."""
    for work in READERS[language](text):
        steps(work, MOST_STEPS)


def balanced(pieces: list[str]) -> st.SearchStrategy[str]:
    """Texts of these pieces whose brackets have their partners, as nothing else is read."""
    within = st.recursive(
        st.sampled_from(pieces),
        lambda inner: st.builds(
            lambda pair, parts: f"{pair[0]} {' '.join(parts)} {pair[1]}",
            st.sampled_from(["()", "[]", "{}"]),
            st.lists(inner, max_size=6),
        ),
        max_leaves=16,
    )
    return st.lists(within, max_size=8).map(" ".join)


@pytest.mark.parametrize("language", PIECES)
@given(st.data())
def test_code_of_any_shape_is_read_to_an_end(language: str, data: st.DataObject) -> None:
    read_all(language, data.draw(balanced(PIECES[language])))


@pytest.mark.parametrize(
    ("language", "text", "read_code"),
    [("rust", RUST, read_rust), ("java", JAVA, read_java), ("script", SCRIPT, read)],
)
def test_good_code_that_lacks_a_part_is_read_to_an_end(
    language: str, text: str, read_code: Callable[[str], Code]
) -> None:
    code = read_code(text)
    for first, token in enumerate(code.tokens):
        last = max(first, code.partners.get(first, first))
        behind = text[code.tokens[last].end :]
        read_all(language, text[: token.start] + behind)
        if last > first:  # a bracket: what is within it stays
            inner = text[token.end : code.tokens[last].start]
            read_all(language, text[: token.start] + inner + behind)


def test_the_good_code_is_turned_around() -> None:
    assert len(of_rust(RUST, "tests::adds")) == 3
    assert len(of_java(JAVA, "adds")) == 2
    assert of_script(SCRIPT, "a > adds") is not None
