import pytest
from receipts import change, discounted, total


def test_total():
    assert total([1, 2, 3]) == 6


def test_no_discount():
    assert discounted(80, 0) == 80


def test_discount_out_of_range():
    with pytest.raises(ValueError):
        discounted(80, 101)


def test_change():
    assert change(10, 7) == 3
    assert change(5, 7) == 0
