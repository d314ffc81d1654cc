"""What a graph must keep to so that every runtime of the box takes it; a pure look, no runtime needed.

Each rule is a refusal that was seen: TensorRT's parser or builder, onnx's checker, or the eager twin.

    operator        only those that the plain twin computes, and casts to and from INT8
    uint8           only Cast reads a uint8 tensor: TensorRT has no uint8 Transpose
    shape           every shape is static but for the batch
    top_k           at most 3840: more is parsed, and fails in the builder
    dequantize      no int32 bias behind DequantizeLinear
    half            Conv takes bfloat16 from opset 22 on
    opset           18, which TensorRT 10.3 parses; half precision and nothing else may ask for 22
    one_file        weights are inside

Not covered: speed, numerics, and what a vendor's kernel refuses; `tests/tensorrt` builds.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import ModelProto, TensorProto, numpy_helper

from agent.engines.eager import OPERATORS

QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}
TOP_K_MAX = 3840
OPSETS = {18, 22}
BFLOAT16_CONV_OPSET = 22


def lint(model: ModelProto) -> list[str]:
    """Every broken rule as `rule: node: what and the remedy`; empty for a graph that may ship."""
    typed = onnx.shape_inference.infer_shapes(_of_batch(model, 4), data_prop=True)
    return [problem for rule in RULES for problem in rule(typed)]


def _of_batch(model: ModelProto, size: int) -> ModelProto:
    """A copy whose inputs have this batch, so that whatever is static with it can be told."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for one in fixed.graph.input:
        one.type.tensor_type.shape.dim[0].dim_value = size
    for one in fixed.graph.output:
        one.type.tensor_type.ClearField("shape")
    return fixed


def operators(model: ModelProto) -> Iterator[str]:
    for node in model.graph.node:
        if (node.op_type not in OPERATORS and node.op_type not in QUANTIZERS) or node.domain:
            yield f"operator: {node.name}: {node.domain}{node.op_type} is in no engine's list"


def uint8_readers(model: ModelProto) -> Iterator[str]:
    types = element_types(model)
    for node in model.graph.node:
        if node.op_type != "Cast" and any(types.get(name) == TensorProto.UINT8 for name in node.input):
            yield f"uint8: {node.name}: {node.op_type} reads uint8; cast to float before it"


def static_shapes(model: ModelProto) -> Iterator[str]:
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        sides = value.type.tensor_type.shape.dim
        free = [axis for axis, side in enumerate(sides) if side.WhichOneof("value") != "dim_value"]
        if free:
            yield f"shape: {value.name}: axes {free} vary with more than the batch; fix them at export"
    for node in model.graph.node:
        if node.op_type in ("Shape", "Size", "NonZero", "Unique"):
            yield f"shape: {node.name}: {node.op_type} makes shapes depend on data; fix the sizes at export"


def top_k_sizes(model: ModelProto) -> Iterator[str]:
    constants = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "TopK":
            continue
        count = constants.get(node.input[1])
        if count is None:
            yield f"top_k: {node.name}: how many is not a constant; fix it at export"
        elif (found := int(numpy_helper.to_array(count).item())) > TOP_K_MAX:
            yield f"top_k: {node.name}: {found}, TensorRT builds at most {TOP_K_MAX}; lower `top`"


def dequantized_types(model: ModelProto) -> Iterator[str]:
    types = element_types(model)
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and types.get(node.input[0]) == TensorProto.INT32:
            yield f"dequantize: {node.name}: an int32 bias, which TensorRT refuses; leave biases in float"


def half_convolutions(model: ModelProto) -> Iterator[str]:
    types = element_types(model)
    opset = opset_of(model)
    for node in model.graph.node:
        is_bfloat16 = any(types.get(name) == TensorProto.BFLOAT16 for name in node.input)
        if node.op_type == "Conv" and is_bfloat16 and opset < BFLOAT16_CONV_OPSET:
            yield (f"half: {node.name}: a bfloat16 Conv at opset {opset}; write opset {BFLOAT16_CONV_OPSET}")


def opsets(model: ModelProto) -> Iterator[str]:
    if (found := opset_of(model)) not in OPSETS:
        yield f"opset: {found}, wanted one of {sorted(OPSETS)}; older TensorRT parses no other"


def one_file(model: ModelProto) -> Iterator[str]:
    for one in model.graph.initializer:
        if one.data_location == TensorProto.EXTERNAL:
            yield f"one_file: {one.name}: its data are in another file; export with external_data=False"


RULES = (
    operators,
    uint8_readers,
    static_shapes,
    top_k_sizes,
    dequantized_types,
    half_convolutions,
    opsets,
    one_file,
)


def opset_of(model: ModelProto) -> int:
    """Of ONNX's own operators."""
    return next((int(one.version) for one in model.opset_import if one.domain == ""), 0)


def element_types(model: ModelProto) -> dict[str, int]:
    """TensorProto's number of each value's type, where it is known."""
    graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    found = {one.name: int(one.type.tensor_type.elem_type) for one in values}
    return found | {one.name: int(one.data_type) for one in graph.initializer}
