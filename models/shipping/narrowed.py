"""Kernels in half the bytes: what a shipped graph stores, not what it computes in.

A kernel is rounded to half precision once, before the student is calibrated (`round_kernels`); then storing
it so loses nothing (`narrowed`). Biases, means, spreads and weights of evidence stay in float32, where they
are few bytes and their precision counts.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

LOST_MAX = 2**-8  # of a kernel's length; rounding takes 2**-12, values that are too small for it take more


def round_kernels(net: nn.Module) -> None:
    """Round the kernel of every convolution to what half precision holds, in place.

    Raises ValueError naming the first that half precision cannot hold.
    """
    with torch.no_grad():
        for name, part in net.named_modules():
            if not isinstance(part, nn.Conv2d):
                continue
            half = part.weight.half().float()
            lost = torch.linalg.vector_norm(half - part.weight)
            if not lost <= LOST_MAX * torch.linalg.vector_norm(part.weight):
                raise ValueError(
                    f"{name}.weight: half precision cannot hold it, from {float(part.weight.min()):.3g} to "
                    f"{float(part.weight.max()):.3g}; it holds 6e-5 to 65504 of either sign"
                )
            part.weight.copy_(half)


def narrowed(model: ModelProto) -> ModelProto:
    """A copy that stores each kernel that half precision holds exactly so, with a Cast in front of it.

    `agent.bundle.widened.widened` gives back the bytes that `model` has.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    kernels = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    casts = []
    for one in copy.graph.initializer:
        if one.name not in kernels or one.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(one)
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if np.array_equal(half.astype(np.float32), array):
            name = one.name
            one.CopyFrom(numpy_helper.from_array(half, f"{name}_f16"))
            casts.append(
                helper.make_node("Cast", [one.name], [name], name=f"{name}_f32", to=TensorProto.FLOAT)
            )
    nodes = [*casts, *model.graph.node]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    onnx.checker.check_model(copy, full_check=True)
    return copy
