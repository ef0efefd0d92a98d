"""A small line model in this process, by onnxruntime on the CPU: what the default install has."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ModelUnavailableError
from engine.line_format import EOS_TOKEN
from engine.models.decoding import Decoder, Floats, Ints, TokenTree
from engine.models.folder import WEIGHTS, ModelFolder
from engine.models.local import LocalModel

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

    from engine.models.onnx_graph import Shape


class OnnxLocal(LocalModel):
    """A Qwen2 folder on disk, prompted with raw text."""

    def _load(self) -> Decoder:
        """Read the folder, whose files are there."""
        return Decoder(self._network(), _read_codec(self._folder), self._profile)

    def _network(self) -> "_OnnxNetwork":
        """Build the graph and hand it to onnxruntime."""
        import onnxruntime

        from engine.models.onnx_graph import qwen2_graph

        shape = read_shape(self._folder)
        weights = self._folder.weights()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: it warns of every constant that it folds
        # A thread that waits by spinning takes a core from the tests that run beside the search.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        try:
            session = onnxruntime.InferenceSession(
                qwen2_graph(shape, weights), options, providers=["CPUExecutionProvider"]
            )
        except (KeyError, ValueError, RuntimeError) as error:
            raise self._folder.unavailable(WEIGHTS, error) from error
        return _OnnxNetwork(session, shape, len(weights["model.embed_tokens.weight"]))


def read_shape(folder: ModelFolder) -> "Shape":
    """Read `config.json`.

    Raises:
        ModelUnavailableError: it describes no Qwen2 network, or lacks a size.
    """
    from engine.models.onnx_graph import Shape

    config = folder.config()
    if config.get("model_type") not in {"qwen2", "llama"}:
        reason = f"model_type {config.get('model_type')!r} is none of qwen2 and llama"
        raise ModelUnavailableError(folder.name, f"{folder.path / 'config.json'}: {reason}")
    rope = config.get("rope_parameters")
    theta = rope.get("rope_theta") if isinstance(rope, dict) else config.get("rope_theta", 10000.0)
    try:
        heads, hidden = int(str(config["num_attention_heads"])), int(str(config["hidden_size"]))
        return Shape(
            layers=int(str(config["num_hidden_layers"])),
            heads=heads,
            kv_heads=int(str(config["num_key_value_heads"])),
            head=int(str(config.get("head_dim") or hidden // heads)),
            epsilon=float(str(config["rms_norm_eps"])),
            theta=float(str(theta)),
        )
    except (KeyError, ValueError) as error:
        raise folder.unavailable("config.json", error) from error


class _OnnxNetwork:
    """A session and what it must be told."""

    def __init__(self, session: "InferenceSession", shape: "Shape", vocabulary: int) -> None:
        self._session = session
        self._shape = shape
        self.vocabulary = vocabulary

    def read(self, ids: Sequence[int]) -> "_OnnxReading":
        """Read a prompt."""
        reading = _OnnxReading(self._session, self._shape)
        reading.begin(np.array(ids, np.int64))
        return reading


class _OnnxReading:
    """A prompt's keys and values, and what came after it."""

    def __init__(self, session: "InferenceSession", shape: "Shape") -> None:
        self._session = session
        empty = np.zeros((1, shape.kv_heads, 0, shape.head), np.float32)
        self._seen = {f"{p}_{k}": empty for k in range(shape.layers) for p in ("keys", "values")}
        self._names = ["logits", *(f"all_{name}" for name in self._seen)]
        self._length = 0
        self.logits: Floats = np.zeros(0, np.float32)

    def begin(self, ids: Ints) -> None:
        """Read the prompt."""
        width = len(ids)
        mask = np.tril(np.ones((1, width, width), np.bool_))
        out = self._run(ids[None], np.arange(width)[None], mask, np.array([width - 1]))
        self._keep(out)
        self.logits = out[0][0, 0]

    def repeat(self, n: int) -> None:
        """Go on in `n` rows that begin alike."""
        self._seen = {name: np.repeat(array, n, 0) for name, array in self._seen.items()}

    def step(self, tokens: Ints) -> Floats:
        """Read one token a row; logits of shape (n, vocabulary)."""
        places = np.full((len(tokens), 1), self._length)
        mask = np.ones((len(tokens), 1, self._length + 1), np.bool_)
        out = self._run(tokens[:, None], places, mask, np.array([0]))
        self._keep(out)
        logits: Floats = out[0][:, 0]
        return logits

    def branches(self, tree: TokenTree) -> Floats:
        """Logits of shape (nodes, vocabulary) after each node of a tree; nothing is kept."""
        wanted = np.arange(tree.read.size)
        out = self._run(tree.read[None], tree.positions[None], tree.mask[None], wanted, keep=False)
        logits: Floats = out[0][0]
        return logits

    def _keep(self, out: list[Floats]) -> None:
        self._seen = dict(zip(self._seen, out[1:], strict=True))
        self._length = next(iter(self._seen.values())).shape[2]

    def _run(
        self, ids: Ints, positions: Ints, mask: object, wanted: Ints, *, keep: bool = True
    ) -> list[Floats]:
        """One forward pass: logits, and if they are to be kept, keys and values."""
        told = {"ids": ids, "positions": positions, "mask": mask, "wanted": wanted}
        names = self._names if keep else self._names[:1]
        found: list[Floats] = self._session.run(names, {**told, **self._seen})
        return found


class _Codec:
    """The folder's `tokenizer.json`."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer
        self.eos = self.id_of(EOS_TOKEN)
        self.size = tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Text in tokens, nothing added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens as text, added tokens as they are written."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=False)
        return text

    def id_of(self, token: str) -> int:
        """The id of one added token."""
        found = self._tokenizer.token_to_id(token)
        if found is None:
            msg = f"it has no token {token}"
            raise ValueError(msg)
        return int(found)


def _read_codec(folder: ModelFolder) -> _Codec:
    """Read `tokenizer.json`.

    Raises:
        ModelUnavailableError: it is no tokenizer, or not of a line model.
    """
    from tokenizers import Tokenizer

    try:
        return _Codec(Tokenizer.from_file(str(folder.path / "tokenizer.json")))
    except Exception as error:  # the library raises nothing narrower
        raise folder.unavailable("tokenizer.json", error) from error
