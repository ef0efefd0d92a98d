"""Tokens a second of the embedded model, for 1, 8 and 16 samples of one prompt."""

import time

from engine import line_format, models
from engine.models.base import Prompt, Sampling
from engine.settings import EngineSettings

FUNCTION = """\
def merge(left, right):
    result = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] < right[j]:
            result.append(left[i])
            i += 1
        else:
            result.append(right[j])
            i += 1
    result.extend(left[i:])
    result.extend(right[j:])
    return result
"""
ROUNDS = 5


def measure() -> dict[str, float | int | str]:
    model = models.load(EngineSettings())
    prompt = Prompt("", line_format.render_prompt(FUNCTION, issue="", previous=()))
    list(model.sample(prompt, Sampling(1, 1.0, 8, seed=0)))
    figures: dict[str, float | int | str] = {"model": model.name, "rounds": ROUNDS}
    for n in (1, 8, 16):
        began, made = time.perf_counter(), 0
        for seed in range(ROUNDS):
            made += sum(c.tokens_out for c in model.sample(prompt, Sampling(n, 1.0, 48, seed)))
        spent = time.perf_counter() - began
        figures[f"tokens_per_s_n{n}"] = made / spent
        figures[f"candidates_per_s_n{n}"] = ROUNDS * n / spent
    return figures
