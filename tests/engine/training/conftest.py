import json
from dataclasses import asdict
from pathlib import Path

import pytest

from engine.training.corpus import Function, functions_in

TEXT = """
def total(values):
    result = 0
    for value in values:
        result += value
    return result

def largest(values, start):
    best = start
    for value in values:
        if value > best:
            best = value
    return best

def words(text):
    found = []
    for word in text.split(' '):
        if word and word not in found:
            found.append(word.lower())
    return sorted(found)
"""


@pytest.fixture
def functions() -> list[Function]:
    return [f for split in ("train", "dev") for f, _ in functions_in(TEXT, "demo", split)]


@pytest.fixture
def corpus_file(tmp_path: Path, functions: list[Function]) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(asdict(f)) + "\n" for f in functions))
    return path
