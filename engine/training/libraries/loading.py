"""Models and tokenizers for training, loaded with errors that say what to do."""

from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.training.libraries.config import LargeConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """A model's tokenizer, padding on the left as generation wants it.

    Raises:
        BadInputError: there is none, or it has no end or padding token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
    except (OSError, ValueError) as error:
        raise BadInputError(_unloadable(name, error)) from error
    if tokenizer.eos_token_id is None:
        raise BadInputError(f"the tokenizer of {name} has no end token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(name: str, config: LargeConfig, *, classifier: bool = False) -> "PreTrainedModel":
    """A causal model, or the same with one scalar in place of its head.

    Master weights are float32 where all of them are trained: bf16 ones lose small updates.

    Raises:
        BadInputError: there is none.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kept = torch.bfloat16 if config.lora and config.run.precision == "bf16" else torch.float32
    try:
        if classifier:
            model = AutoModelForSequenceClassification.from_pretrained(
                name, num_labels=1, dtype=kept
            )
        else:
            model = AutoModelForCausalLM.from_pretrained(name, dtype=kept)
    except (OSError, ValueError) as error:
        raise BadInputError(_unloadable(name, error)) from error
    loaded: PreTrainedModel = model
    return loaded


def _unloadable(name: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"the model {name} cannot be loaded: {first}; name a folder, or download it first"


def require_libraries() -> None:
    """Say so before the work where the libraries are missing.

    Raises:
        BadInputError: they are; says how to install them.
    """
    try:
        import datasets  # noqa: F401 - is it there?
        import torch  # noqa: F401 - likewise
        import trl  # noqa: F401 - likewise
    except ImportError as error:
        raise BadInputError(
            f"training a large model needs {error.name}; pip install 'evoscale[train]'"
        ) from error
