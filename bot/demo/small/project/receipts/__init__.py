"""Adds up receipts."""


def total(prices):
    """The sum of all prices."""
    result = 0
    for price in prices:
        result += price
    return result


def discounted(price, percent):
    """The price after a discount in percent."""
    if percent < 0 or percent > 100:
        raise ValueError("a discount lies between 0 and 100 percent")
    return price * (100 + percent) / 100


def change(paid, due):
    """What the customer gets back."""
    return max(paid - due, 0)
