"""A bias of its own for each convolution.

The student looks at a tile and at its restoration with the same features, so that two convolutions share
one bias. OpenVINO 2026.4 then adds it, and the ReLU6 behind it, in a step apart from the convolution: 95
such steps in place of 30 (DECISIONS.md). Kernels may be shared.
"""

from __future__ import annotations

from onnx import ModelProto, TensorProto

BIAS = 2  # of Conv's inputs


def with_own_biases(model: ModelProto) -> ModelProto:
    """A copy in which no constant is the bias of two convolutions; it computes the same in float32."""
    copy = ModelProto()
    copy.CopyFrom(model)
    constants = {one.name: one for one in copy.graph.initializer}
    taken: set[str] = set()
    more: list[TensorProto] = []
    for node in copy.graph.node:
        if node.op_type != "Conv" or len(node.input) <= BIAS or node.input[BIAS] not in constants:
            continue
        name = node.input[BIAS]
        if name in taken:
            own = TensorProto()
            own.CopyFrom(constants[name])
            own.name = node.input[BIAS] = f"{name}_{len(more)}"
            more.append(own)
        taken.add(name)
    copy.graph.initializer.extend(more)
    return copy
