"""Rows for mutation SFT: the same instances, with patches sampled from the classical model in view.

The label is the true repair, as in classical SFT, and nothing filters what is shown: the patches
are right, wrong and of mixed worth, as they will be (arXiv 2505.23604, `pi_M-SFT`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from engine.errors import BadInputError
from engine.line_format import apply, parse
from engine.training.batches import MAX_TOKENS
from engine.training.checkpoints import claim
from engine.training.data import RepairRow, write_rows
from engine.training.policy import MAX_EDIT_TOKENS, Policy, load_policy, seeded
from engine.training.row_sources import FreshBugs

CONDITIONING_EXAMPLES = 5
CHUNK = 256
DEV_SHARE = 10
"""For so many instances to train on one of the held-out packages."""


@dataclass(frozen=True, slots=True)
class MutationRows:
    """What to write: `count` instances of one split with up to K patches each."""

    corpus: Path
    classical: Path
    split: str
    count: int
    seed: int = 0
    temperature: float = 1.0


def ensure_mutation_rows(
    wanted: MutationRows, folder: Path, on_progress: Callable[[int], None] = lambda _: None
) -> tuple[Path, Path]:
    """The files of rows to train on, and of a tenth as many to measure by, made when not there.

    Raises:
        BadInputError: corpus or model are missing or unreadable, or what lies in the folder was
            made from others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "rows.json", asdict(wanted))
    held_out = replace(wanted, split="dev", count=max(1, wanted.count // DEV_SHARE))
    for each in (wanted, held_out):
        path = folder / f"{each.split}.jsonl"
        if not path.is_file():
            partial = path.with_suffix(".partial")
            write_mutation_rows(each, partial, on_progress)
            partial.replace(path)
    return folder / f"{wanted.split}.jsonl", folder / f"{held_out.split}.jsonl"


def write_mutation_rows(
    wanted: MutationRows, out: Path, on_progress: Callable[[int], None] = lambda _: None
) -> None:
    """Sample the classical model on fresh bugs and write the rows to `out`.

    Raises:
        BadInputError: the corpus or the model is missing or unreadable.
    """
    draw = FreshBugs(wanted.corpus, wanted.split, previous_share=0.0).load()
    if draw is None:
        msg = f"{wanted.corpus} has no function of the split {wanted.split}; build it again"
        raise BadInputError(msg)
    policy = load_policy(wanted.classical)
    instances = list(draw(wanted.seed, 0, wanted.count))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, _conditioned(instances, policy, wanted, on_progress))


def _conditioned(
    instances: Sequence[RepairRow],
    policy: Policy,
    wanted: MutationRows,
    on_progress: Callable[[int], None],
) -> Iterator[RepairRow]:
    generator = seeded(wanted.seed)
    rng = Random(wanted.seed)
    for at in range(0, len(instances), CHUNK):
        chunk = [row for row in instances[at : at + CHUNK] if _fits(row, policy)]
        prompts = [row.prompt for row in chunk]
        samples = policy.sample(prompts, CONDITIONING_EXAMPLES, wanted.temperature, generator)
        for row, drawn in zip(chunk, samples, strict=True):
            shown = usable([s.text for s in drawn], row.source)
            yield replace(row, previous=tuple(shown[: rng.randint(1, CONDITIONING_EXAMPLES)]))
        on_progress(at + len(chunk))


def _fits(row: RepairRow, policy: Policy) -> bool:
    """Whether prompt, patches and repair stay within what is trained on."""
    room = MAX_TOKENS - (CONDITIONING_EXAMPLES + 1) * MAX_EDIT_TOKENS
    return len(policy.encode([row.prompt])[0]) <= room


def usable(texts: Sequence[str], source: str) -> list[str]:
    """The edits that apply and change something, each once, in their order."""
    found = dict.fromkeys(texts)
    return [text for text in found if (edit := parse(text)) and apply(edit, source) is not None]
