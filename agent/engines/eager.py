"""The plain twin: the bundle's own ONNX graph, node by node in eager float32 torch.

It reads the very file that the other engines compile, so a difference is theirs or the exporter's.
Needs torch and onnx (extra `lab`); the device does not import this file unless it is asked for.
Only the operators of a shipped student are here: OPERATORS is also the list of what a graph may use.
`Graph` is an ordinary module, so CUDA graphs, torch.export and Torch-TensorRT take it as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

from agent.bundle.bundle import MODEL, Bundle
from agent.engines.batches import by_batches
from agent.engines.engine import Answer, Description, EngineError, proven
from agent.messages import Pixels

Attributes = Mapping[str, Any]
Operator = Callable[[list[Any], Attributes], Any]  # an absent optional input is None

OUTPUTS = ("score", "map", "restored")
PADDINGS = {b"constant": "constant", b"edge": "replicate", b"reflect": "reflect"}
TYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.UINT8: torch.uint8}
# Inputs that torch takes as plain numbers. Read from a tensor they would stop a GPU, and torch.export.
NUMBERS: dict[str, tuple[int, ...]] = {
    "Expand": (1,),
    "Pad": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Resize": (2, 3),
    "Slice": (1, 2, 3),
    "Squeeze": (1,),
    "TopK": (1,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation, by the names of its values; `numbers` by the position of the input."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes
    numbers: Mapping[int, tuple[float, ...]]


class Graph(nn.Module):
    """uint8 (N, H, W, C) -> score (N,), map (N, h, w), restored uint8 (N, H, W, C)."""

    def __init__(self, nodes: list[Node], constants: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._nodes = nodes
        self._buffers_of = {name: f"constant{index}" for index, name in enumerate(constants)}
        for name, buffer in self._buffers_of.items():  # ONNX names may hold dots, buffers may not
            self.register_buffer(buffer, constants[name])

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = {name: getattr(self, buffer) for name, buffer in self._buffers_of.items()}
        values["tiles"] = tiles
        for node in self._nodes:
            inputs = [
                node.numbers[index] if index in node.numbers else values[name] if name else None
                for index, name in enumerate(node.inputs)
            ]
            found = OPERATORS[node.operator](inputs, node.attributes)
            results = found if isinstance(found, tuple | list) else [found]
            values.update(zip(node.outputs, results, strict=False))
        score, map_, restored = (values[name] for name in OUTPUTS)
        return score, map_, restored


class EagerEngine:
    """The graph on the CPU, as plainly as it can be."""

    def __init__(self, graph: Graph, description: Description) -> None:
        self._graph = graph
        self._description = description

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        return by_batches(lambda batch: self._run(batch, restored), tiles)

    def describe(self) -> Description:
        return self._description

    def close(self) -> None:
        pass

    def _run(self, batch: Pixels, restored: bool) -> Answer:
        with torch.inference_mode():
            score, map_, picture = self._graph(torch.from_numpy(np.ascontiguousarray(batch)))
        return Answer(
            scores=score.numpy(),
            maps=map_.numpy(),
            restored=picture.numpy() if restored else None,
            engine=self._description.name,
        )


def open_eager(bundle: Bundle, *, threads: int = 0) -> EagerEngine:
    """Read the graph. Raises EngineError when it is none, uses an operator that no shipped graph has, or
    does not reproduce the golden scores.
    """
    started = time.monotonic()
    if threads:
        torch.set_num_threads(threads)
    engine = EagerEngine(
        read_graph(bundle),
        Description(
            name="eager-f32",
            runtime=f"torch {torch.__version__}",
            device="cpu",
            precision="f32",
            open_s=round(time.monotonic() - started, 3),
        ),
    )
    return proven(engine, bundle)


def read_graph(bundle: Bundle) -> Graph:
    """The bundle's graph as a module on the CPU. Raises EngineError."""
    try:
        onnx.checker.check_model(bundle.model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise EngineError(f"{bundle.path}/{MODEL}: {error}; export the bundle again") from error
    graph = onnx.load_from_string(bundle.model).graph
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    nodes = [
        Node(
            operator=node.op_type,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            attributes={one.name: onnx.helper.get_attribute_value(one) for one in node.attribute},
            numbers={
                index: tuple(arrays[node.input[index]].ravel().tolist())
                for index in NUMBERS.get(node.op_type, ())
                if index < len(node.input) and node.input[index] in arrays
            },
        )
        for node in graph.node
    ]
    unknown = sorted({node.operator for node in nodes} - set(OPERATORS))
    if unknown:
        raise EngineError(f"{bundle.path}: graph uses {', '.join(unknown)}, which no shipped student has")
    constants = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    return Graph(nodes, constants).eval()


def _conv(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    return F.conv2d(
        x,
        weight,
        bias,
        tuple(attributes.get("strides", (1, 1))),
        (top, left),
        tuple(attributes.get("dilations", (1, 1))),
        attributes.get("group", 1),
    )


def _resize(inputs: list[Any], attributes: Attributes) -> Tensor:
    x = inputs[0]
    if len(inputs) > 3 and inputs[3] is not None:
        size = [int(side) for side in inputs[3]][2:]
    else:
        size = [round(side * float(factor)) for side, factor in zip(x.shape, inputs[2], strict=True)][2:]
    if attributes["mode"] == b"nearest":
        return F.interpolate(x, size=size, mode="nearest")
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _pad(inputs: list[Any], attributes: Attributes) -> Tensor:
    amounts = [int(amount) for amount in inputs[1]]
    half = len(amounts) // 2
    # ONNX lists all begins then all ends from the first axis; torch pairs from the last axis.
    pairs = [side for axis in reversed(range(half)) for side in (amounts[axis], amounts[half + axis])]
    # Torch mirrors and repeats in the last two axes only.
    mode = PADDINGS[attributes.get("mode", b"constant")]
    return F.pad(inputs[0], pairs if mode == "constant" else pairs[:4], mode=mode)


def _reshape(inputs: list[Any], attributes: Attributes) -> Tensor:
    sizes = [int(size) for size in inputs[1]]
    if not attributes.get("allowzero", 0):
        sizes = [inputs[0].shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    reshaped: Tensor = inputs[0].reshape(sizes)
    return reshaped


def _reduce(operation: Callable[..., Tensor]) -> Operator:
    def reduce(inputs: list[Any], attributes: Attributes) -> Tensor:
        axes = [int(axis) for axis in inputs[1]]
        return operation(inputs[0], dim=axes, keepdim=bool(attributes.get("keepdims", 1)))

    return reduce


def _top_k(inputs: list[Any], attributes: Attributes) -> tuple[Tensor, Tensor]:
    values, indices = inputs[0].topk(int(inputs[1][0]), dim=attributes.get("axis", -1))
    return values, indices


def _slice(inputs: list[Any], _: Attributes) -> Tensor:
    starts, ends, axes = ([int(value) for value in one] for one in inputs[1:4])
    sliced: Tensor = inputs[0]
    for start, end, axis in zip(starts, ends, axes, strict=True):
        sliced = sliced.narrow(axis, start, min(end, sliced.shape[axis]) - start)
    return sliced


def _padding(attributes: Attributes) -> tuple[int, int]:
    """Of rows and of columns, at both ends alike."""
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise ValueError(f"a pooling's pads {top, left, bottom, right}, which no shipped student has")
    return top, left


def _average_pool(inputs: list[Any], attributes: Attributes) -> Tensor:
    return F.avg_pool2d(
        inputs[0],
        tuple(attributes["kernel_shape"]),
        tuple(attributes["strides"]),
        _padding(attributes),
        count_include_pad=bool(attributes.get("count_include_pad", 0)),
    )


def _max_pool(inputs: list[Any], attributes: Attributes) -> Tensor:
    return F.max_pool2d(
        inputs[0], tuple(attributes["kernel_shape"]), tuple(attributes["strides"]), _padding(attributes)
    )


def _concat(inputs: list[Any], attributes: Attributes) -> Tensor:
    return torch.cat(inputs, attributes["axis"])


OPERATORS: dict[str, Operator] = {
    "Abs": lambda x, _: torch.abs(x[0]),
    "Add": lambda x, _: x[0] + x[1],
    "AveragePool": _average_pool,
    "Cast": lambda x, a: x[0].to(TYPES[a["to"]]),
    "Clip": lambda x, _: torch.clamp(x[0], x[1], x[2]),
    "Concat": _concat,
    "Conv": _conv,
    "DepthToSpace": lambda x, a: F.pixel_shuffle(x[0], a["blocksize"]),
    "Div": lambda x, _: x[0] / x[1],
    "Expand": lambda x, _: x[0] * x[0].new_ones([int(side) for side in x[1]]),
    "Greater": lambda x, _: x[0] > x[1],
    "Log": lambda x, _: torch.log(x[0]),
    "MaxPool": _max_pool,
    "Mul": lambda x, _: x[0] * x[1],
    "Pad": _pad,
    "Pow": lambda x, _: x[0] ** x[1],
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceSum": _reduce(torch.sum),
    "Relu": lambda x, _: torch.relu(x[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": lambda x, _: torch.round(x[0]),
    "Slice": _slice,
    "Softplus": lambda x, _: F.softplus(x[0]),
    "Sqrt": lambda x, _: torch.sqrt(x[0]),
    "Squeeze": lambda x, _: x[0].squeeze(tuple(int(axis) for axis in x[1])),
    "Sub": lambda x, _: x[0] - x[1],
    "TopK": _top_k,
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
    "Where": lambda x, _: torch.where(x[0], x[1], x[2]),
}
