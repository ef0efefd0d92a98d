"""Checks `X-Hub-Signature-256`: SHA-256 only, a secret is required, compared in constant time."""

import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum

from pydantic import SecretStr

PREFIX = b"sha256="


class Verdict(StrEnum):
    """Which secret signed a body, if any."""

    CURRENT = "current"
    PREVIOUS = "previous"
    WRONG = "wrong"


def sign(secret: SecretStr, body: bytes) -> str:
    """The header value that GitHub sends for `body`."""
    key = secret.get_secret_value().encode()
    return (PREFIX + hmac.new(key, body, hashlib.sha256).hexdigest().encode()).decode()


def verify(body: bytes, headers: Sequence[bytes], secrets: Sequence[SecretStr]) -> Verdict:
    """Say which of `secrets` (current first, then the previous one) signed the raw body.

    `headers` are all values that the request carried; anything but exactly one is wrong.
    """
    given = headers[0] if len(headers) == 1 else b""
    verdict = Verdict.WRONG
    names = (Verdict.CURRENT, Verdict.PREVIOUS)
    for name, secret in zip(names, secrets, strict=False):
        matches = hmac.compare_digest(sign(secret, body).encode(), given)
        if matches and secret.get_secret_value() and verdict is Verdict.WRONG:
            verdict = name
    return verdict
