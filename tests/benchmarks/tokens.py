"""The embedded model: tokens a second when it writes, and candidates a second when it ranks.

Every round has a prompt of its own, so that nothing is remembered from the one before.
"""

import time

from engine import line_format
from engine.models import EMBEDDED, EMBEDDED_PROFILE
from engine.models.base import Prompt, Sampling
from engine.models.onnx_local import OnnxLocal
from engine.models.ranked import RankedRewrites

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
    writing = OnnxLocal(EMBEDDED, name="embedded", profile=EMBEDDED_PROFILE)
    ranking = RankedRewrites(writing)
    list(writing.sample(_prompt(0), Sampling(1, 1.0, 8, seed=0)))
    figures: dict[str, float | int | str] = {"rounds": ROUNDS}
    for n in (1, 8, 16):
        began, made = time.perf_counter(), 0
        for number in range(ROUNDS):
            sampling = Sampling(n, 1.0, 48, seed=number)
            made += sum(c.tokens_out for c in writing.sample(_prompt(number), sampling))
        figures[f"written_tokens_per_s_n{n}"] = made / (time.perf_counter() - began)
    began = time.perf_counter()
    for number in range(ROUNDS):
        list(ranking.sample(_prompt(number), Sampling(32, 1.0, 48, seed=0)))
    figures["ranked_32_candidates_s"] = (time.perf_counter() - began) / ROUNDS
    return figures


def _prompt(number: int) -> Prompt:
    source = FUNCTION.replace("merge", f"merge_{number}")
    return Prompt("", line_format.render_prompt(source, issue="", previous=()))
