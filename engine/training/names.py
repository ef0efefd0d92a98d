"""Names that the command line offers, apart from what needs torch."""

from enum import StrEnum

ARM_NAMES = ("B0", "B1", "B2", "B3", "M1", "M2", "M3", "R1", "R2", "R3", "R4")


class Objective(StrEnum):
    """What a sample is paid."""

    DIFFERENCE = "difference"
    """R(x, y) - R(x, y'): the potential-based difference."""
    PLAIN = "plain"
    """R(x, y)."""


class Baseline(StrEnum):
    """What the payment is compared with."""

    BATCH = "batch"
    """All samples of the step (REINFORCE++)."""
    GROUP = "group"
    """The samples of the same prompt; R(x, y') is the same for all of them if drawn once a prompt,
    and cancels."""
