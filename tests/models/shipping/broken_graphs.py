"""Small graphs that each break one rule of models/shipping/lint.py, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
Sides = Sequence[int | str]


def graph(
    nodes: list[NodeProto],
    *,
    given: Sides,
    result: Sides,
    types: tuple[int, int] = (FLOAT, FLOAT),
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 18,
) -> ModelProto:
    """A graph from x to y."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "broken",
            [helper.make_tensor_value_info("x", types[0], given)],
            [helper.make_tensor_value_info("y", types[1], result)],
            [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=10,
    )


def bfloat16_convolution(opset: int) -> ModelProto:
    weight = np.ones((2, 2, 1, 1), np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["w"], ["v"], to=TensorProto.BFLOAT16),
        helper.make_node("Conv", ["h", "v"], ["c"]),
        helper.make_node("Cast", ["c"], ["y"], to=FLOAT),
    ]
    return graph(nodes, given=("n", 2, 8, 8), result=("n", 2, 8, 8), constants={"w": weight}, opset=opset)


def top_k(count: int) -> ModelProto:
    return graph(
        [helper.make_node("TopK", ["x", "k"], ["y", "indices"])],
        given=("n", 8192),
        result=("n", count),
        constants={"k": np.array([count], np.int64)},
    )


def cast_and_transpose(*, cast_first: bool) -> ModelProto:
    cast = helper.make_node("Cast", ["x" if cast_first else "t"], ["c" if cast_first else "y"], to=FLOAT)
    turn = helper.make_node(
        "Transpose", ["c" if cast_first else "x"], ["y" if cast_first else "t"], perm=[0, 3, 1, 2]
    )
    return graph(
        [cast, turn] if cast_first else [turn, cast],
        given=("n", 8, 8, 1),
        result=("n", 1, 8, 8),
        types=(UINT8, FLOAT),
    )


def quantized_bias() -> ModelProto:
    return graph(
        [
            helper.make_node("DequantizeLinear", ["b", "s"], ["bias"]),
            helper.make_node("Conv", ["x", "w", "bias"], ["y"]),
        ],
        given=("n", 2, 8, 8),
        result=("n", 2, 8, 8),
        constants={
            "w": np.ones((2, 2, 1, 1), np.float32),
            "b": np.ones(2, np.int32),
            "s": np.array(0.1, np.float32),
        },
    )


def external_weights() -> ModelProto:
    made = graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        given=("n", 4),
        result=("n", 4),
        constants={"w": np.ones(4, np.float32)},
    )
    weights = made.graph.initializer[0]
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")
    weights.ClearField("raw_data")
    return made


BROKEN: dict[str, ModelProto] = {
    "operator": graph([helper.make_node("DFT", ["x"], ["y"], axis=1)], given=("n", 8, 1), result=("n", 8, 2)),
    "uint8": cast_and_transpose(cast_first=False),
    "shape": graph([helper.make_node("Relu", ["x"], ["y"])], given=("n", "width"), result=("n", "width")),
    "top_k": top_k(5000),
    "dequantize": quantized_bias(),
    "half": bfloat16_convolution(18),
    "opset": graph([helper.make_node("Relu", ["x"], ["y"])], given=("n", 4), result=("n", 4), opset=17),
    "one_file": external_weights(),
}
REFUSED_BY_TENSORRT = ("operator", "uint8", "top_k", "dequantize")
KEPT: dict[str, ModelProto] = {
    "uint8": cast_and_transpose(cast_first=True),
    "top_k": top_k(3840),
    "half": bfloat16_convolution(22),
}
