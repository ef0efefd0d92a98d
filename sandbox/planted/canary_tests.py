"""Tests that can only fail and one that can only pass; TOKEN is another word in every run."""

import unittest


def test_fails() -> None:
    """Fail as a plain assertion does."""
    left, right = 1, 2
    assert left == right, "canary TOKEN"  # noqa: S101  # the canary itself


class TestTOKEN(unittest.TestCase):
    """Fail and pass as unittest does."""

    def test_differs(self) -> None:
        """Fail as unittest's own assertions do."""
        self.assertEqual(1, 2, "canary TOKEN")  # noqa: PT009  # unittest's way is what is tested

    def test_raises(self) -> None:
        """Fail as broken code does."""
        raise ValueError("canary TOKEN")

    def test_holds(self) -> None:
        """Pass."""
