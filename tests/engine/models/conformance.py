"""The Model protocol as checks without a test runner.

`python -m tests.engine.models.conformance FOLDER REPORT` runs them on vLLM in the interpreter that
has it, and writes one sentence for each check that failed, as JSON.
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from engine import line_format
from engine.errors import PromptTooLongError
from engine.models.base import EditFormat, Model, Profile, Prompt, Sampling

SOURCE = "def f(a, b):\n    return a - b\n"
LINE = Profile(EditFormat.LINE, evolves=False, context_tokens=512)


def prompt(source: str = SOURCE) -> Prompt:
    return Prompt("", line_format.render_prompt(source, issue="wrong sign", previous=()))


def exactly_n_completions_come_numbered_from_zero(model: Model) -> None:
    for n in (1, 2, 7):
        completions = list(model.sample(prompt(), Sampling(n, 0.9, 12, seed=3)))
        assert sorted(c.sample for c in completions) == list(range(n)), completions


def tokens_are_counted(model: Model) -> None:
    for completion in model.sample(prompt(), Sampling(2, 0.9, 12, seed=3)):
        assert completion.tokens_in > 0, completion
        assert 0 < completion.tokens_out <= 13, completion


def it_has_a_name_and_a_profile(model: Model) -> None:
    assert model.name
    assert model.profile.edit_format is EditFormat.LINE


def the_same_seed_gives_the_same_texts(model: Model) -> None:
    for temperature in (0.0, 0.9):
        sampling = Sampling(3, temperature, 12, seed=11)
        first = {c.sample: c.text for c in model.sample(prompt(), sampling)}
        again = {c.sample: c.text for c in model.sample(prompt(), sampling)}
        assert first == again, (first, again)


def at_temperature_zero_all_texts_are_one(model: Model) -> None:
    texts = {c.text for c in model.sample(prompt(), Sampling(3, 0.0, 12, seed=1))}
    assert len(texts) == 1, texts


def with_heat_samples_and_seeds_differ(model: Model) -> None:
    drawn = [[c.text for c in model.sample(prompt(), Sampling(6, 1.5, 12, s))] for s in (1, 2)]
    assert len(set(drawn[0])) > 1, drawn
    assert sorted(drawn[0]) != sorted(drawn[1]), drawn


def stopping_early_is_harmless(model: Model) -> None:
    iterator = model.sample(prompt(), Sampling(4, 0.9, 12, seed=3))
    next(iter(iterator))
    if hasattr(iterator, "close"):
        iterator.close()
    assert len(list(model.sample(prompt(), Sampling(1, 0.9, 12, seed=3)))) == 1


def a_prompt_that_is_too_long_is_told_apart(model: Model) -> None:
    long = prompt("\n".join(f"name_{n} = {list(range(40))}" for n in range(60)))
    try:
        list(model.sample(long, Sampling(1, 0.9, 12, seed=3)))
    except PromptTooLongError:
        return
    raise AssertionError("a prompt of thousands of tokens was taken")


CHECKS: Mapping[str, Callable[[Model], None]] = {
    check.__name__: check
    for check in (
        exactly_n_completions_come_numbered_from_zero,
        tokens_are_counted,
        it_has_a_name_and_a_profile,
        the_same_seed_gives_the_same_texts,
        stopping_early_is_harmless,
    )
}
WEIGHED: Mapping[str, Callable[[Model], None]] = {
    check.__name__: check
    for check in (
        at_temperature_zero_all_texts_are_one,
        with_heat_samples_and_seeds_differ,
        a_prompt_that_is_too_long_is_told_apart,
    )
}
"""What only a back end with weights of its own can promise: not `scripted`, nor a server double."""


def main(folder: str, report: str) -> None:
    from engine.models.vllm_local import VllmLocal

    model = VllmLocal(folder, LINE)
    said: dict[str, str] = {}
    for name, check in {**CHECKS, **WEIGHED}.items():
        try:
            check(model)
        except Exception:  # noqa: BLE001 - whatever it is, it is what this check reports
            said[name] = traceback.format_exc(limit=3)
        else:
            said[name] = ""
    model.close()
    Path(report).write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
