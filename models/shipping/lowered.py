"""A shipped graph in half precision: networks in float16 or bfloat16, arithmetic of the score in float32.

TensorRT since 10.12 takes precision from the types of tensors, so they are written into the graph:

    half        convolutions of a network's many channels, and what only moves or bounds their results
    float32     input scaling, whitening, distances, logarithms, fusion, blur, top-k, restoration

Distances of features are small differences of large numbers and logarithms are steep near zero: there half
precision would break. A Cast stands wherever a value crosses; inputs, outputs and the graph's meaning stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

Half = Literal["f16", "bf16"]

TYPES = {"f16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}
ARRAYS = {half: helper.tensor_dtype_to_np_dtype(number) for half, number in TYPES.items()}
OPSETS = {"f16": 18, "bf16": 22}  # Conv takes bfloat16 from 22 on

MOVED = ("Resize", "Reshape", "Slice", "Squeeze", "Pad")  # the first input is the value, the others say how
FOLLOWING = ("Relu", "Clip", "Add", "Concat", *MOVED)  # half where all that they read is


def lowered(model: ModelProto, half: Half) -> ModelProto:
    """The checked graph in `half`, from a float32 one with the student's operators; a new model."""
    graph = GraphProto()
    graph.CopyFrom(model.graph)
    del graph.value_info[:], graph.node[:], graph.initializer[:]
    constants = {one.name: one for one in model.graph.initializer}
    chosen = half_nodes(model.graph)
    made_half = {name for node in model.graph.node if node.output[0] in chosen for name in node.output}
    written: dict[tuple[str, bool], str] = {(name, False): name for name in constants}
    written |= {(one.name, False): one.name for one in model.graph.input}

    def as_type(name: str, wanted_half: bool) -> str:
        """The name of this value in the wanted type, with the Cast or constant that makes it."""
        if (name, wanted_half) not in written:
            other = f"{name}_{half if wanted_half else 'f32'}"
            if name in constants:
                array = numpy_helper.to_array(constants[name]).astype(ARRAYS[half])
                graph.initializer.append(numpy_helper.from_array(array, other))
            else:
                to = TYPES[half] if wanted_half else onnx.TensorProto.FLOAT
                graph.node.append(helper.make_node("Cast", [name], [other], name=f"to_{other}", to=to))
            written[name, wanted_half] = other
        return written[name, wanted_half]

    for original in model.graph.node:
        node = NodeProto()
        node.CopyFrom(original)
        is_half = original.output[0] in chosen
        for index, name in enumerate(original.input):
            if name and _is_value(original, index) and (is_half or name in made_half):
                node.input[index] = as_type(name, is_half)
        graph.node.append(node)
        written |= {(name, is_half): name for name in node.output}
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(one for name, one in constants.items() if name in used)
    found = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSETS[half])], ir_version=model.ir_version
    )
    onnx.checker.check_model(found, full_check=True)
    return found


def half_nodes(graph: GraphProto) -> set[str]:
    """The nodes that half precision does not harm, by first output; see the file's docstring."""
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    users: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    chosen: set[str] = set()
    values: set[str] = set()
    for node in graph.node:
        if node.op_type == "Conv":
            one_channel = shapes[node.input[1]][0] == 1  # the blur of the map, the gate
            is_half = not one_channel and not node.input[1].startswith("codec")  # whose results are pixels
        else:
            inputs = {name for name in node.input if name and name not in shapes}
            is_half = node.op_type in FOLLOWING and bool(inputs) and inputs <= values
        if is_half:
            chosen.add(node.output[0])
            values.update(node.output)
    for node in graph.node:  # a mixed list that only networks read
        if node.op_type == "Concat" and _only_networks(users.get(node.output[0], []), chosen):
            chosen.add(node.output[0])
    return chosen


def _only_networks(users: Iterable[NodeProto], chosen: set[str]) -> bool:
    found = list(users)
    return bool(found) and all(user.op_type == "Conv" and user.output[0] in chosen for user in found)


def _is_value(node: NodeProto, index: int) -> bool:
    """False for inputs that say how: shapes, axes, scales."""
    return index == 0 or node.op_type not in MOVED
