import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.signature import Verdict, sign, verify
from tests.factories import SECRET

BODY = b"Hello, World!"
PUBLISHED = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
OLD = SecretStr("the secret before this one")


def test_the_example_in_github_s_documentation_holds() -> None:
    assert sign(SECRET, BODY) == PUBLISHED
    assert verify(BODY, [PUBLISHED.encode()], [SECRET]) is Verdict.CURRENT


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [PUBLISHED.upper().encode()],
        [PUBLISHED.replace("75", "75".upper()).swapcase().encode()],
        [PUBLISHED.encode() + b" "],
        [PUBLISHED.encode(), PUBLISHED.encode()],
        [PUBLISHED.replace("sha256=", "sha1=").encode()],
        [PUBLISHED.replace("sha256=", "md5=").encode()],
        [PUBLISHED.removeprefix("sha256=").encode()],
        [b"sha1=d03207e4b030cf234e3447bac4d93add4c6643d8"],
        ["sha256=ünïcode".encode()],
        [b"\xff\xfe"],
        [b"sha256=" + b"7" * 10_000],
    ],
)
def test_anything_but_the_one_right_header_is_wrong(headers: list[bytes]) -> None:
    assert verify(BODY, headers, [SECRET]) is Verdict.WRONG


def test_the_previous_secret_counts_while_it_is_configured() -> None:
    header = [sign(OLD, BODY).encode()]
    assert verify(BODY, header, [SECRET, OLD]) is Verdict.PREVIOUS
    assert verify(BODY, header, [SECRET]) is Verdict.WRONG


def test_an_empty_secret_signs_nothing() -> None:
    empty = SecretStr("")
    assert verify(BODY, [sign(empty, BODY).encode()], [empty]) is Verdict.WRONG


@given(st.binary(max_size=200), st.lists(st.binary(max_size=80), max_size=3))
def test_it_never_raises_and_accepts_only_what_it_would_sign(
    body: bytes, headers: list[bytes]
) -> None:
    expected = headers == [sign(SECRET, body).encode()]
    assert (verify(body, headers, [SECRET]) is Verdict.CURRENT) == expected


@given(st.binary(max_size=200))
def test_one_changed_byte_is_noticed(body: bytes) -> None:
    header = [sign(SECRET, body).encode()]
    assert verify(body + b" ", header, [SECRET]) is Verdict.WRONG
