import ast
from random import Random

import pytest

from engine.models.rewrites import repairs
from engine.models.rewrites.kinds import REPAIRS, Kind, repair, rewrite
from engine.models.rewrites.spans import ParsedFunction, make

SAMPLE = """def f(self, items, key, limit):
    found = []
    try:
        for item in items:
            if item.name and not item.hidden:
                found.append(Entry(item.name.strip()))
    except KeyError:
        report(items)
    if limit:
        found.issupserset(key)
    return found[limit]"""

EXPECTED = {
    "compared": "    if limit is not None:",
    "precondition": "            if key and item.name and not item.hidden:",
    "named_argument": "        report(items, key=key)",
    "bounded": "    return found[max(0, limit)]",
    "other_receiver": "        key.issupserset(key)",
    "own_type": "                found.append(type(self)(item.name.strip()))",
    "near_name": "        found.issuperset(key)",
    "early_return": "    if not items:\n        return",
    "forgotten_return": "        return report(items)",
    "iterated": "        for item in list(items):",
    "caught_too": "    except (KeyError, IndexError):",
}


@pytest.mark.parametrize("kind", REPAIRS, ids=lambda kind: kind.rewrite.__name__)
def test_a_repair_kind_writes_what_was_forgotten_and_mostly_python(kind: Kind):
    parsed, rng = ParsedFunction(SAMPLE), Random(0)
    made = [kind.rewrite(parsed, rng) for _ in range(1500)]
    texts = {make(SAMPLE, splice) for splice in made if splice is not None}
    assert any(EXPECTED[kind.rewrite.__name__] in text for text in texts), sorted(texts)[:5]
    for text in texts:
        ast.parse(text)


@pytest.mark.parametrize("kind", REPAIRS, ids=lambda kind: kind.rewrite.__name__)
def test_a_repair_kind_gives_nothing_where_it_does_not_fit(kind: Kind):
    assert kind.rewrite(ParsedFunction("def f():\n    pass"), Random(0)) is None


def test_either_side_of_an_or_is_asked_after_the_precondition():
    parsed = ParsedFunction("def f(a, b):\n    if a or b:\n        return 1")
    texts = {
        make(parsed.source, splice)
        for seed in range(50)
        if (splice := repairs.precondition(parsed, Random(seed)))
    }
    assert any("if b and (a or b):" in text for text in texts)


def test_repairs_are_mixed_in_at_their_share_and_never_injected():
    parsed = ParsedFunction(SAMPLE)
    names = {kind.rewrite.__name__ for kind in REPAIRS}
    rng = Random(1)
    drawn = [made.kind for _ in range(400) if (made := repair(parsed, rng, 0.25))]
    assert 0.1 < sum(kind in names for kind in drawn) / len(drawn) < 0.4
    injected = [made.kind for _ in range(200) if (made := rewrite(parsed, rng))]
    assert not names & set(injected)
