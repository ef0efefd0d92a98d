"""A Qwen2 network as an ONNX graph, made from a folder's own configuration and weights.

Inputs: `ids`, `positions` (rows, new tokens), `mask` (rows, new, seen + new), `wanted` (kept,), and
layer k's keys and values, `keys_k` and `values_k` (rows, key/value heads, seen, head size).
Outputs: `logits` (rows, kept, vocabulary) at the wanted places, and the keys and values so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.models.onnx_messages import Kind, Size, model, node, tensor, value
from engine.models.onnx_messages import graph as encode_graph

OPSET = 18
IR_VERSION = 9
MASKED = -1e9


@dataclass(frozen=True, slots=True)
class Shape:
    """What the graph needs of `config.json`."""

    layers: int
    heads: int
    kv_heads: int
    head: int
    epsilon: float
    theta: float


class _Graph:
    """Nodes and constants as they are added; every method gives the name of what it made."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self.nodes: list[bytes] = []
        self.constants: dict[str, bytes] = {}
        self._weights = weights

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: int | list[int]) -> str:
        """One operation with one result."""
        result = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(node(kind, inputs, [result], attributes))
        return result

    def constant(self, values: object, kind: type[np.generic] = np.int64) -> str:
        """A small constant."""
        array = np.asarray(values, kind)
        name = f"const_{array.dtype}_{array.shape}_{array.tolist()}"
        self.constants.setdefault(name, tensor(name, array))
        return name

    def weight(self, name: str, *, turned: bool = False) -> str:
        """A weight of the folder; `turned` for matrices, which are stored (out, in)."""
        if name not in self.constants:
            array = self._weights[name]
            self.constants[name] = tensor(name, array.T if turned else array)
        return name

    def linear(self, x: str, name: str) -> str:
        """A linear layer, with its bias where it has one."""
        made = self.add("MatMul", x, self.weight(f"{name}.weight", turned=True))
        bias = f"{name}.bias"
        return self.add("Add", made, self.weight(bias)) if bias in self._weights else made

    def norm(self, x: str, name: str, epsilon: float) -> str:
        """Root mean square normalisation over the last axis."""
        square = self.add("ReduceMean", self.add("Mul", x, x), self.constant([-1]), keepdims=1)
        size = self.add("Sqrt", self.add("Add", square, self.constant(epsilon, np.float32)))
        return self.add("Mul", self.add("Div", x, size), self.weight(f"{name}.weight"))

    def split(self, x: str, parts: list[int]) -> list[str]:
        """Split over the last axis."""
        names = [f"part_{len(self.nodes)}_{k}" for k in range(len(parts))]
        self.nodes.append(node("Split", [x, self.constant(parts)], names, {"axis": -1}))
        return names


def qwen2_graph(shape: Shape, weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The serialised graph, weights included.

    Raises:
        KeyError: a weight of a Qwen2 network is missing.
    """
    graph = _Graph(weights)
    vocabulary = graph.weight("model.embed_tokens.weight")
    x = graph.add("Gather", vocabulary, "ids")
    turns = _turns(graph, shape)
    hidden = graph.add("Unsqueeze", "mask", graph.constant([1, 2]))
    for layer in range(shape.layers):
        name = f"model.layers.{layer}"
        normed = graph.norm(x, f"{name}.input_layernorm", shape.epsilon)
        x = graph.add("Add", x, _attention(graph, shape, normed, layer, turns, hidden))
        normed = graph.norm(x, f"{name}.post_attention_layernorm", shape.epsilon)
        gate = graph.linear(normed, f"{name}.mlp.gate_proj")
        gated = graph.add("Mul", gate, graph.add("Sigmoid", gate))
        wide = graph.add("Mul", gated, graph.linear(normed, f"{name}.mlp.up_proj"))
        x = graph.add("Add", x, graph.linear(wide, f"{name}.mlp.down_proj"))
    kept = graph.norm(graph.add("Gather", x, "wanted", axis=1), "model.norm", shape.epsilon)
    if "lm_head.weight" in weights:
        out = graph.weight("lm_head.weight", turned=True)
    else:
        out = graph.add("Transpose", vocabulary, perm=[1, 0])
    graph.add("MatMul", kept, out, name="logits")
    return _serialised(graph, shape)


def _turns(graph: _Graph, shape: Shape) -> tuple[str, str]:
    """Cosines and sines of the rotary embedding, of shape (rows, 1, new, half a head)."""
    rates = shape.theta ** (-np.arange(0, shape.head, 2) / shape.head)
    places = graph.add("Cast", "positions", to=int(Kind.FLOAT))
    angles = graph.add(
        "Mul",
        graph.add("Unsqueeze", places, graph.constant([1, 3])),
        graph.constant(rates, np.float32),
    )
    return graph.add("Cos", angles), graph.add("Sin", angles)


def _attention(
    graph: _Graph, shape: Shape, x: str, layer: int, turns: tuple[str, str], mask: str
) -> str:
    """Grouped-query attention over earlier and new tokens, shape (rows, new, hidden)."""
    name = f"model.layers.{layer}.self_attn"

    def heads(part: str, count: int) -> str:
        wide = graph.linear(x, f"{name}.{part}_proj")
        apart = graph.add("Reshape", wide, graph.constant([0, 0, count, shape.head]))
        return graph.add("Transpose", apart, perm=[0, 2, 1, 3])

    query = _turned(graph, shape, heads("q", shape.heads), turns)
    new_keys = _turned(graph, shape, heads("k", shape.kv_heads), turns)
    new_values = heads("v", shape.kv_heads)
    keys = graph.add("Concat", f"keys_{layer}", new_keys, name=f"all_keys_{layer}", axis=2)
    values = graph.add("Concat", f"values_{layer}", new_values, name=f"all_values_{layer}", axis=2)
    group = shape.heads // shape.kv_heads
    grouped = graph.constant([0, shape.kv_heads, group, -1, shape.head])
    query = graph.add("Reshape", query, grouped)
    beside = graph.constant([2])
    turned = graph.add("Transpose", keys, perm=[0, 1, 3, 2])
    scores = graph.add("MatMul", query, graph.add("Unsqueeze", turned, beside))
    scale = graph.constant(shape.head**-0.5, np.float32)
    scaled = graph.add("Mul", scores, scale)
    seen = graph.add("Where", mask, scaled, graph.constant(MASKED, np.float32))
    shares = graph.add("Softmax", seen, axis=-1)
    mixed = graph.add("MatMul", shares, graph.add("Unsqueeze", values, beside))
    flat = graph.add("Reshape", mixed, graph.constant([0, shape.heads, -1, shape.head]))
    lined = graph.add("Transpose", flat, perm=[0, 2, 1, 3])
    joined = graph.add("Reshape", lined, graph.constant([0, 0, shape.heads * shape.head]))
    return graph.linear(joined, f"{name}.o_proj")


def _turned(graph: _Graph, shape: Shape, x: str, turns: tuple[str, str]) -> str:
    """The rotary embedding: a head's halves turned against each other."""
    cos, sin = turns
    first, second = graph.split(x, [shape.head // 2] * 2)
    left = graph.add("Sub", graph.add("Mul", first, cos), graph.add("Mul", second, sin))
    right = graph.add("Add", graph.add("Mul", second, cos), graph.add("Mul", first, sin))
    return graph.add("Concat", left, right, axis=-1)


def _serialised(graph: _Graph, shape: Shape) -> bytes:
    """The graph with its inputs and outputs."""
    inputs = [
        value("ids", Kind.INT64, ["rows", "new"]),
        value("positions", Kind.INT64, ["rows", "new"]),
        value("mask", Kind.BOOL, ["rows", "new", "all"]),
        value("wanted", Kind.INT64, ["kept"]),
    ]
    outputs = [value("logits", Kind.FLOAT, ["rows", "kept", "vocabulary"])]
    for layer in range(shape.layers):
        for part in ("keys", "values"):
            before: list[Size] = ["rows", shape.kv_heads, "seen", shape.head]
            after: list[Size] = ["rows", shape.kv_heads, "all", shape.head]
            inputs.append(value(f"{part}_{layer}", Kind.FLOAT, before))
            outputs.append(value(f"all_{part}_{layer}", Kind.FLOAT, after))
    constants = list(graph.constants.values())
    told = encode_graph("qwen2", graph.nodes, constants, inputs, outputs)
    return model(told, opset=OPSET, ir_version=IR_VERSION)
