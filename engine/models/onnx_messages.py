"""The few messages of the ONNX format that a graph is made of, as protocol buffers' wire bytes.

The package `onnx` writes these too, in 31 MB; here are the parts of `onnx.proto` (IR version 9)
that one network needs. The numbers are the fields' in that file; tests read the result with `onnx`.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Part = bytes
"""An encoded field, or several one after another."""
Size = int | str
"""A dimension: its size, or the name of one that is told later."""

INTEGER, INTEGERS = 2, 7
"""AttributeProto.AttributeType."""


class Kind(IntEnum):
    """TensorProto.DataType, as far as it is used."""

    FLOAT = 1
    INT64 = 7
    BOOL = 9


KINDS = {np.dtype(np.float32): Kind.FLOAT, np.dtype(np.int64): Kind.INT64}


def varint(value: int) -> bytes:
    """Seven bits a byte, the least first; negative numbers as 64 bits."""
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # the wire format's seven bits
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def field(number: int, value: int | str | bytes) -> Part:
    """One field: a number as a varint, anything else behind its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    told = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(told)) + told


def fields(number: int, values: Iterable[int | str | bytes]) -> Part:
    """A repeated field."""
    return b"".join(field(number, value) for value in values)


def node(
    kind: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: dict[str, int | list[int]],
) -> bytes:
    """A NodeProto."""
    told = fields(5, (_attribute(name, value) for name, value in attributes.items()))
    return fields(1, inputs) + fields(2, outputs) + field(4, kind) + told


def _attribute(name: str, value: int | list[int]) -> bytes:
    """An AttributeProto."""
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, INTEGER)
    return field(1, name) + fields(8, value) + field(20, INTEGERS)


def tensor(name: str, array: NDArray[np.generic]) -> bytes:
    """A TensorProto of float32 or int64, its values little-endian."""
    raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    head = fields(1, array.shape) + field(2, int(KINDS[array.dtype]))
    return head + field(8, name) + field(9, raw)


def value(name: str, kind: Kind, sizes: Sequence[Size]) -> bytes:
    """A ValueInfoProto."""
    dimensions = (field(1 if isinstance(size, int) else 2, size) for size in sizes)
    told = field(1, int(kind)) + field(2, fields(1, dimensions))
    return field(1, name) + field(2, field(1, told))


def graph(
    name: str,
    nodes: Sequence[bytes],
    constants: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
) -> bytes:
    """A GraphProto; the constants are its initializers."""
    told = fields(1, nodes) + field(2, name) + fields(5, constants)
    return told + fields(11, inputs) + fields(12, outputs)


def model(told: bytes, *, opset: int, ir_version: int) -> bytes:
    """A ModelProto around a graph."""
    return field(1, ir_version) + field(7, told) + field(8, field(1, "") + field(2, opset))
