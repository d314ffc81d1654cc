"""A graph that stores kernels in half precision, with these in float32 again: pure, and without onnx.

    stored      kernel_f16 (FLOAT16) -> Cast to FLOAT -> kernel -> Conv
    widened     kernel (FLOAT) -> Conv

float32 holds every value of half precision, so both forms compute the same to the bit. ONNX Runtime and
OpenVINO fold the Cast when they load a graph, and OpenVINO then keeps both kernels; TensorRT takes the kernel
for one that is computed; the plain twin, the lint and the other precisions read kernels from the constants.
So all of them get the widened form. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from agent.protobuf import Field, bytes_field, bytes_head, fields, number_field

FLOAT, FLOAT16 = 1, 10  # TensorProto.DataType
_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of a GraphProto
_NODE_INPUT, _NODE_OUTPUT, _OPERATOR, _ATTRIBUTE, _DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_NUMBER, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 3, 6, 11
_VALUE_NAME = 1
_TYPE, _TENSOR_NAME, _RAW, _EXTERNAL, _LOCATION = 2, 8, 9, 13, 14  # of a TensorProto

_Piece = bytes | memoryview


def widened(graph: bytes) -> bytes:
    """The ONNX file with a float32 constant for each Cast of a FLOAT16 one; without any, the same bytes.

    Two files, one after the other, are one, as for ONNX itself. What is no ONNX comes back as it is: who
    reads it says what is wrong with it.
    """
    try:
        model = fields(memoryview(graph))
        parts = [fields(_message(one)) for one in model if one.number == _MODEL_GRAPH]
        plan = _plan([one for part in parts for one in part])
        if not plan.casts:
            return graph
        pieces: list[_Piece] = []
        for one in model:
            pieces += (
                _framed(one.number, _graph(parts.pop(0), plan)) if one.number == _MODEL_GRAPH else [one.whole]
            )
    except ValueError:
        return graph
    return b"".join(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What goes, by name, and what comes instead of it."""

    halves: Mapping[bytes, list[Field]]  # constants in half precision
    casts: Mapping[bytes, bytes]  # by the value that it makes: the constant that a Cast reads
    kept: frozenset[bytes]  # constants in half precision that somebody else reads


def _plan(graph: list[Field]) -> _Plan:
    """Raises ValueError for what is no graph, and for nodes with graphs of their own, which read names."""
    outside = {
        name
        for one in graph
        if one.number in (_INPUT, _OUTPUT)
        for name in _texts(fields(_message(one)), _VALUE_NAME)
    }
    nodes = [fields(_message(one)) for one in graph if one.number == _NODE]
    attributes = [fields(_message(one)) for node in nodes for one in node if one.number == _ATTRIBUTE]
    if any(one.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS) for parts in attributes for one in parts):
        raise ValueError("a node with a graph of its own")
    made = Counter(name for node in nodes for name in _texts(node, _NODE_OUTPUT))
    tensors = [fields(_message(one)) for one in graph if one.number == _INITIALIZER]
    halves = {
        name: tensor
        for tensor in tensors
        for name in _texts(tensor, _TENSOR_NAME)
        if name not in outside and name not in made and _is_half(tensor)
    }
    casts: dict[bytes, bytes] = {}
    read = set[bytes]()
    for node in nodes:
        inputs, outputs = _texts(node, _NODE_INPUT), _texts(node, _NODE_OUTPUT)
        if _is_cast(node) and inputs[0] in halves and outputs[0] not in outside and made[outputs[0]] == 1:
            casts[outputs[0]] = inputs[0]
        else:
            read.update(inputs)
    return _Plan(halves=halves, casts=casts, kept=frozenset(read))


def _graph(graph: list[Field], plan: _Plan) -> list[_Piece]:
    """The bytes of a graph in pieces, so that weights are copied once."""
    wanted: dict[bytes, list[bytes]] = {}
    for made, constant in plan.casts.items():
        wanted.setdefault(constant, []).append(made)
    pieces: list[_Piece] = []
    for one in graph:
        if one.number == _NODE and plan.casts.keys() & set(_texts(fields(_message(one)), _NODE_OUTPUT)):
            continue
        if one.number == _INITIALIZER:
            (name,) = _texts(fields(_message(one)), _TENSOR_NAME) or [b""]
            for made in wanted.get(name, ()):
                pieces += _framed(_INITIALIZER, _in_float32(plan.halves[name], made))
            if name in wanted and name not in plan.kept:
                continue
        pieces.append(one.whole)
    return pieces


def _in_float32(tensor: list[Field], name: bytes) -> list[_Piece]:
    """The tensor under another name; what else is said of it stays."""
    pieces: list[_Piece] = []
    for one in tensor:
        if one.number == _TYPE:
            pieces.append(number_field(_TYPE, FLOAT))
        elif one.number == _TENSOR_NAME:
            pieces.append(bytes_field(_TENSOR_NAME, name))
        elif one.number == _RAW:
            values = np.frombuffer(_message(one), "<f2").astype("<f4").tobytes()
            pieces += [bytes_head(_RAW, len(values)), values]
        else:
            pieces.append(one.whole)
    return pieces


def _is_half(tensor: list[Field]) -> bool:
    types = [one.value for one in tensor if one.number == _TYPE]
    raw = [one.value for one in tensor if one.number == _RAW and not isinstance(one.value, int)]
    elsewhere = any(one.number in (_EXTERNAL, _LOCATION) for one in tensor)
    return types == [FLOAT16] and len(raw) == 1 and len(raw[0]) % 2 == 0 and not elsewhere


def _is_cast(node: list[Field]) -> bool:
    """Whether the node casts one value to float32."""
    if _texts(node, _OPERATOR) != [b"Cast"] or any(_texts(node, _DOMAIN)):
        return False
    attributes = [fields(_message(one)) for one in node if one.number == _ATTRIBUTE]
    to = [
        one.value
        for attribute in attributes
        if _texts(attribute, _ATTRIBUTE_NAME) == [b"to"]
        for one in attribute
        if one.number == _ATTRIBUTE_NUMBER
    ]
    return to == [FLOAT] and len(_texts(node, _NODE_INPUT)) == len(_texts(node, _NODE_OUTPUT)) == 1


def _texts(message: Iterable[Field], number: int) -> list[bytes]:
    return [bytes(_message(one)) for one in message if one.number == number]


def _message(one: Field) -> memoryview:
    if isinstance(one.value, int):
        raise ValueError(f"field {one.number}: a number, where a message should be")
    return memoryview(one.value)


def _framed(number: int, pieces: list[_Piece]) -> list[_Piece]:
    return [bytes_head(number, sum(map(len, pieces))), *pieces]
