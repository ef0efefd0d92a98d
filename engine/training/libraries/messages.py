"""Tasks → tokens: the engine's own prompts, so that a model is asked in the words it learned.

A prompt is a chat for search/replace models and raw text for line models; what a trainer sees are
token ids, prompt and completion apart, made here once for all stages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.candidate import Candidate, ConditioningExample, Span
from engine.edits import Edited, Unusable, read_line_edit, read_search_replace
from engine.errors import BadInputError
from engine.models.base import EditFormat, Profile, Prompt
from engine.prompts import chat_prompt, first_part, line_prompt
from engine.training.libraries.tasks import Task
from sandbox.contract import Patch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Example:
    """An earlier completion that was usable: its diff and the patched code's normalised form."""

    completion: str
    patch: str
    key: str


def read(task: Task, completion: str, profile: Profile) -> Edited | Unusable:
    """Read a completion as the engine does.

    Raises:
        BadInputError: a line model's task names no focus.
    """
    if profile.edit_format is EditFormat.LINE:
        return read_line_edit(completion, task.context, _span(task))
    return read_search_replace(completion, task.context)


def usable(task: Task, completion: str, profile: Profile) -> Example | None:
    """The completion as a conditioning example, or None when it is no patch.

    Raises:
        BadInputError: a line model's task names no focus.
    """
    match read(task, completion, profile):
        case Edited(patch, key):
            return Example(completion, patch, key)
        case Unusable():
            return None


def task_prompt(task: Task, examples: Sequence[Example], profile: Profile) -> Prompt:
    """The engine's prompt for a task, conditioned on earlier patches where there are some.

    Raises:
        BadInputError: a line model's task names no focus, or one with too many lines.
    """
    shown = [_conditioning(task, example) for example in examples]
    if profile.edit_format is not EditFormat.LINE:
        return chat_prompt(task.issue, task.context, shown, profile)
    try:
        return line_prompt(task.issue, task.context, shown, _span(task))
    except ValueError as error:
        raise BadInputError(f"the task {task.instance_id}: {error}") from error


def _conditioning(task: Task, example: Example) -> ConditioningExample:
    patch = Patch(example.patch)
    candidate = Candidate(0, 0, example.completion, patch, example.key, focus=task.span)
    return ConditioningExample(candidate)


def _span(task: Task) -> Span:
    if task.span is None:
        raise BadInputError(f"the task {task.instance_id} needs a focus for the line format")
    return task.span


def target(task: Task, *, conditioned: bool) -> str:
    """What a supervised model is to answer: the teacher's reasoning, if any, and the gold edit."""
    reasoning = task.mutation_reasoning if conditioned else task.reasoning
    return f"{reasoning.strip()}\n\n{task.completion}" if reasoning.strip() else task.completion


def prompt_ids(prompt: Prompt, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """A prompt's tokens, ready for the model to go on.

    Raises:
        BadInputError: a chat is wanted and the tokenizer has no chat template.
    """
    if not prompt.system:
        return list(tokenizer.encode(prompt.user, add_special_tokens=False))
    text = _templated(chat(prompt), tokenizer, ask=True)
    return list(tokenizer.encode(text, add_special_tokens=False))


def completion_ids(
    prompt: Prompt, completion: str, tokenizer: "PreTrainedTokenizerBase"
) -> list[int]:
    """A completion's tokens as they follow the prompt's, the end of the answer included.

    Raises:
        BadInputError: the chat template is missing, or changes the prompt once it is answered.
    """
    if not prompt.system:
        end = tokenizer.eos_token_id
        return [*tokenizer.encode(completion, add_special_tokens=False), end]
    answered = [*chat(prompt), {"role": "assistant", "content": completion}]
    asked = _templated(chat(prompt), tokenizer, ask=True)
    whole = _templated(answered, tokenizer, ask=False)
    if not whole.startswith(asked):
        raise BadInputError(
            "the tokenizer's chat template rewrites the prompt once it is answered, so the "
            "completion cannot be told apart; use a template that only appends"
        )
    return list(tokenizer.encode(whole[len(asked) :].rstrip("\n"), add_special_tokens=False))


def chat(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as messages."""
    return [
        {"role": "system", "content": prompt.system},
        {"role": "user", "content": prompt.user},
    ]


def _templated(
    messages: list[dict[str, str]], tokenizer: "PreTrainedTokenizerBase", *, ask: bool
) -> str:
    if not tokenizer.chat_template:
        raise BadInputError(
            "the model's tokenizer has no chat template, which the search/replace format needs; "
            "take an instruct model, or set model.edit_format = 'line'"
        )
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask))


def judged_ids(
    task: Task, example: Example, profile: Profile, tokenizer: "PreTrainedTokenizerBase"
) -> list[int]:
    """What the reward model reads: issue, files and one patch; its score stands at the last token.

    Raises:
        BadInputError: the tokenizer has no chat template where one is needed, or no focus is named.
    """
    if profile.edit_format is EditFormat.LINE:
        return prompt_ids(task_prompt(task, [example], profile), tokenizer)
    shown = chat_prompt(task.issue, task.context, (), profile).user.removesuffix(first_part())
    asked = f"{shown}# Patch\n\n```diff\n{example.patch}```\n\nDoes this patch resolve the issue?"
    text = _templated([{"role": "user", "content": asked}], tokenizer, ask=True)
    return list(tokenizer.encode(text, add_special_tokens=False))
