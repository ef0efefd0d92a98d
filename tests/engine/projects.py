"""Small repositories made on the spot, each with something to find out."""

from pathlib import Path

DISCOUNT = '''\
"""Adds up receipts."""


def total(prices):
    result = 0
    for price in prices:
        result += price
    return result


def discounted(price, percent):
    if percent < 0:
        raise ValueError("negative")
    return price * (100 + percent) / 100
'''
TESTS = """\
from receipts import discounted, total


def test_total():
    assert total([1, 2]) == 3


def test_no_discount():
    assert discounted(80, 0) == 80
"""
ISSUE_TITLE = "A discount makes things dearer"
ISSUE_BODY = "```\n>>> from receipts import discounted\n>>> discounted(200, 10)\n180.0\n```\n"
FIX = """\
### receipts.py
<<<<<<< SEARCH
    return price * (100 + percent) / 100
=======
    return price * (100 - percent) / 100
>>>>>>> REPLACE
"""
BREAKS = FIX.replace("(100 - percent) / 100", "(90 - 0 * percent) / 100")
HARMLESS = """\
### receipts.py
<<<<<<< SEARCH
    result = 0
=======
    result = 0 * 1
>>>>>>> REPLACE
"""
ALSO_HARMLESS = HARMLESS.replace("0 * 1", "0 * 2")
TAMPERS = """\
### receipts.py
<<<<<<< SEARCH
    result = 0
=======
    import pytest
    result = 0
>>>>>>> REPLACE
"""


def receipts(folder: Path, tests: str | None = TESTS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "receipts.py").write_text(DISCOUNT)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "receipts"\nversion = "1"\n\n[tool.pytest.ini_options]\n'
    )
    if tests is not None:
        (folder / "test_receipts.py").write_text(tests)
    return folder
