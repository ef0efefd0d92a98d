"""EvoScale: sample, select conditioning examples, mutate, repeat (arXiv 2505.23604, algorithm 1).

Iteration 0 is unconditioned; every later one is conditioned on K candidates of the one before. The
loop knows no score: selection is an argument, and when to stop is the caller's business, who simply
stops iterating. A completion that is no usable edit, or repeats a candidate that was tried before,
is sampled again, at most `RETRIES` times.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.candidate import (
    Candidate,
    CodeContext,
    ConditioningExample,
    Iteration,
    Select,
    Span,
)
from engine.contract import Budget, Issue
from engine.edits import Edited, Unusable, read_line_edit, read_search_replace
from engine.errors import PromptTooLongError
from engine.models.base import Completion, EditFormat, Model, Sampling
from engine.prompts import Request, requests

RETRIES = 5
TEMPERATURE = 0.8
MAX_TOKENS = {EditFormat.SEARCH_REPLACE: 2048, EditFormat.LINE: 96}
SEED_STRIDE = 1_000_003


class Tried:
    """What was sampled so far: which patches, and in which words."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._keys: set[str] = set()
        self._texts: dict[Span | None, set[str]] = {}

    def add(self, candidate: Candidate) -> bool:
        """Note a candidate; whether it is usable and new."""
        self._texts.setdefault(candidate.focus, set()).add(candidate.completion)
        if candidate.patch is None or candidate.key is None or candidate.key in self._keys:
            return False
        self._keys.add(candidate.key)
        return True

    def texts(self, focus: Span | None) -> frozenset[str]:
        """The completions that were read as edits of this place."""
        return frozenset(self._texts.get(focus, ()))


@dataclass(frozen=True, slots=True)
class Search:
    """What stays the same over all iterations of one search."""

    issue: Issue
    context: CodeContext
    model: Model
    seed: int = 0
    greedy_first: bool = False
    temperature: float = TEMPERATURE


def evolve(
    search: Search,
    budget: Budget,
    *,
    select: Select,
    on_candidate: Callable[[Candidate], None],
    earlier: Sequence[Candidate] = (),
) -> Iterator[Iteration]:
    """Yield one iteration at a time; the caller may stop whenever it likes.

    `on_candidate` hears of each candidate as soon as it is sampled, so that tests start while the
    model still decodes. `earlier` holds candidates written down before a restart; they are not
    sampled again.

    Raises:
        ModelUnavailableError: the model cannot be reached or loaded.
        PromptTooLongError: the prompt leaves no room for a completion.
    """
    examples: tuple[ConditioningExample, ...] = ()
    tried = Tried()
    for index in range(budget.iterations):
        known = {c.sample: c for c in earlier if c.iteration == index}
        for candidate in known.values():
            tried.add(candidate)
        wanted = [s for s in range(budget.candidates_per_iteration) if s not in known]
        for candidate in sample_candidates(search, examples, index, wanted, tried):
            known[candidate.sample] = candidate
            on_candidate(candidate)
        candidates = tuple(known[sample] for sample in sorted(known))
        yield Iteration(index, examples, candidates)
        examples = tuple(select(candidates, budget.conditioning_examples))


def sample_candidates(
    search: Search,
    examples: Sequence[ConditioningExample],
    index: int,
    wanted: Sequence[int],
    tried: "Tried",
) -> Iterator[Candidate]:
    """Yield one candidate for each wanted sample number; usable and new ones at once.

    `tried` holds what was sampled earlier and gains what is sampled now. Slots that stay unusable
    after all retries are yielded last, with the last reason.
    """
    open_slots = list(wanted)
    failed: dict[int, Candidate] = {}
    for retry in range(RETRIES + 1):
        still_open: list[int] = []
        for candidate in _sample_once(search, examples, (index, retry), open_slots, tried):
            if tried.add(candidate):
                yield candidate
            else:
                failed[candidate.sample] = candidate
                still_open.append(candidate.sample)
        open_slots = sorted(still_open)
        if not open_slots:
            return
    for sample in open_slots:
        note = failed[sample].note or "repeats an earlier candidate"
        yield replace(failed[sample], patch=None, key=None, note=note)


def _sample_once(
    search: Search,
    examples: Sequence[ConditioningExample],
    turn: tuple[int, int],
    slots: Sequence[int],
    tried: "Tried",
) -> Iterator[Candidate]:
    """One try for each slot at a turn, (iteration, retry); every request has a seed of its own."""
    index, retry = turn
    profile = search.model.profile
    queue = list(slots)
    plan = requests(search.issue, search.context, examples, len(queue), profile)
    for number, request in enumerate(plan):
        greedy = search.greedy_first and index == 0 and retry == 0
        sampling = Sampling(
            n=request.n,
            temperature=0.0 if greedy else _warmth(search) + 0.1 * retry,
            max_tokens=MAX_TOKENS[profile.edit_format],
            seed=_seed(search.seed, index, retry, number),
            avoid=tried.texts(request.focus),
            reached=search.context.reached(request.focus) if request.focus else None,
        )
        own, queue = queue[: request.n], queue[request.n :]
        try:
            for completion in search.model.sample(request.prompt, sampling):
                yield _candidate(search.context, request, completion, index, own[completion.sample])
        except PromptTooLongError as error:
            if len(plan) == 1:
                raise
            for sample in own:  # the other functions still have a chance
                yield Candidate(index, sample, "", None, focus=request.focus, note=str(error))


def _warmth(search: Search) -> float:
    """The model's own temperature where it is known, else the search's."""
    own = search.model.profile.temperature
    return search.temperature if own is None else own


def _seed(seed: int, index: int, retry: int, number: int) -> int:
    return ((seed * SEED_STRIDE + index) * 64 + retry) * 1024 + number


def _candidate(
    context: CodeContext, request: Request, completion: Completion, index: int, sample: int
) -> Candidate:
    text = completion.text
    read = (
        read_line_edit(text, context, request.focus)
        if request.focus
        else read_search_replace(text, context)
    )
    candidate = Candidate(
        iteration=index,
        sample=sample,
        completion=text,
        patch=None,
        focus=request.focus,
        tokens_in=completion.tokens_in,
        tokens_out=completion.tokens_out,
    )
    match read:
        case Edited(patch, key):
            return replace(candidate, patch=patch, key=key)
        case Unusable(reason):
            return replace(candidate, note=reason)
