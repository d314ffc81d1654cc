"""The explaining form of a shipped graph: what follows it, so that it gives its evidence and features, too.

    evidence    float32 (N, kinds, h, w): each of EVIDENCE, in spreads above its mean on good parts
    features    float32 (N, C, H / 8, W / 8): the groups of `good_of`, in their order

`model.onnx` itself stays as it is, to the byte. What is written here is an ONNX file without a beginning: its
nodes read the first one's values by their names. In Protocol Buffers the bytes of two messages one after
the other are the two merged, so the device explains with `model.onnx` + `explain/graph.onnx` and judges with
`model.onnx`, which costs no engine anything.

The values are found by how the graph is made, not by the exporter's names: the map is a blur of the sum of
weighted standardised evidence, whose distances are means of squared differences of features; what a memory
says has a sum of its own, which counts in full where the other one peaks. A graph from before the student
remembered good parts has the first seven kinds, and one from shortly after that a single sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from agent.errors import PlumblineError
from agent.explain.form import EVIDENCE, FEATURES, FEATURES_STRIDE_PX, Good, Group, Kind
from agent.messages import Floats
from models.parts.features import STRIDES
from models.student.student import EVIDENCE as KINDS
from models.student.student import FEATURE_STAGES

DISTANCES = tuple(f"stride_{STRIDES[stage]}" for stage in FEATURE_STAGES)
# Finer ones, and what differs from the restoration, tell classes of defects worse (DECISIONS.md).
FEATURE_STRIDES_PX = (8, 16)
PREFIX = "explain"  # of every name that is added


class NotExplainable(PlumblineError):
    """The graph is not made as a student's is; says where."""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Where one distance of features comes from, by the names of the graph's values."""

    stride_px: int
    seen: str  # features of the input
    usual: Floats  # (1, c, 1, 1): squared differences on good parts


def following(model: ModelProto) -> bytes:
    """What follows `model` in its explaining form, serialised. Raises NotExplainable."""
    graph = _Read(model.graph)
    standard = graph.standardised()
    distances = graph.distances(graph.raw_of(standard))
    more = GraphProto()
    copied = NodeProto()
    copied.CopyFrom(standard)
    copied.name, copied.output[0] = f"{PREFIX}_evidence", EVIDENCE
    more.node.append(copied)
    parts = [_whitened(more, one) for one in distances if one.stride_px in FEATURE_STRIDES_PX]
    more.node.append(helper.make_node("Concat", parts, [FEATURES], name=f"{PREFIX}_features", axis=1))
    tile_px = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    stride = graph.map_stride_px(tile_px)
    batch = model.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    channels = sum(group.channels for group in good_of(model).groups)
    cells = tile_px // FEATURES_STRIDE_PX
    for name, shape in (
        (EVIDENCE, [len(graph.weights_of(standard)), tile_px // stride, tile_px // stride]),
        (FEATURES, [channels, cells, cells]),
    ):
        more.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape]))
    written = ModelProto()
    written.graph.CopyFrom(more)
    return bytes(written.SerializeToString(deterministic=True))


def good_of(model: ModelProto) -> Good:
    """What evidence and features of its explaining form are; nothing of good parts. Raises NotExplainable."""
    graph = _Read(model.graph)
    standard = graph.standardised()
    weights = graph.weights_of(standard)
    return Good(
        kinds=tuple(
            Kind(name=name, weight=round(weight, 6), values=())
            for name, weight in zip(KINDS[: len(weights)], weights, strict=True)
        ),
        groups=tuple(
            Group(name=f"stride_{one.stride_px}", channels=one.usual.shape[1])
            for one in graph.distances(graph.raw_of(standard))
            if one.stride_px in FEATURE_STRIDES_PX
        ),
    )


def _whitened(more: GraphProto, one: Distance) -> str:
    """Features in units of what good parts differ by from their restoration, on the grid of `features`."""
    stem, usual = f"{PREFIX}_stride_{one.stride_px}", f"{PREFIX}_usual_{one.stride_px}"
    more.initializer.append(numpy_helper.from_array(np.sqrt(one.usual), usual))
    more.node.append(helper.make_node("Div", [one.seen, usual], [stem], name=stem))
    if one.stride_px == FEATURES_STRIDE_PX:
        return stem
    grown, scales = f"{stem}_grown", f"{PREFIX}_scales_{one.stride_px}"
    factor = one.stride_px / FEATURES_STRIDE_PX
    more.initializer.append(numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), scales))
    more.node.append(
        helper.make_node(
            "Resize",
            [stem, "", scales],
            [grown],
            name=grown,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    )
    return grown


class _Read:
    """A graph by who makes each value."""

    def __init__(self, graph: GraphProto) -> None:
        self.makers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
        self.constants = {one.name: one for one in graph.initializer}
        self.outputs = [one.name for one in graph.output]
        self.map_sides = [one.type.tensor_type.shape.dim for one in graph.output if one.name == "map"]

    def map_stride_px(self, tile_px: int) -> int:
        return int(tile_px // self.map_sides[0][1].dim_value)

    def standardised(self) -> NodeProto:
        """The Div that makes evidence from raw evidence less its mean."""
        name, seen = "map", set[str]()
        while (node := self.makers.get(name)) is not None and name not in seen:
            seen.add(name)
            if node.op_type == "ReduceSum":
                weighted = self._maker(node, "Mul")
                return self._maker(weighted, "Div")
            name = node.input[1] if node.op_type == "Where" else node.input[0]
        raise NotExplainable("the graph's map is no blurred sum of evidence")

    def weights_of(self, standard: NodeProto) -> list[float]:
        """Of each kind, as if all counted in full: in one of the sums it has its weight, in others 0."""
        sums = [
            numpy_helper.to_array(self.constants[node.input[1]]).ravel()
            for node in self.makers.values()
            if node.op_type == "Mul" and node.input[0] == standard.output[0]
        ]
        if not sums:
            raise NotExplainable(f"{standard.name}: its evidence has no weights")
        return [float(one) for one in sum(sums[1:], sums[0])]

    def raw_of(self, standard: NodeProto) -> NodeProto:
        """The Concat of all raw evidence."""
        return self._maker(self._maker(standard, "Sub"), "Concat")

    def distances(self, raw: NodeProto) -> list[Distance]:
        logarithm = self.makers.get(raw.input[1])
        if logarithm is None or logarithm.op_type != "Log":
            raise NotExplainable(f"{raw.name}: its second part is no logarithm of distances")
        listed = self._maker(self._maker(logarithm, "Add"), "Concat")
        return [self._distance(name, value) for name, value in zip(DISTANCES, listed.input, strict=False)]

    def _distance(self, name: str, value: str) -> Distance:
        node = self.makers[value]
        if node.op_type == "Resize":
            node = self.makers[node.input[0]]
        if node.op_type != "ReduceMean":
            raise NotExplainable(f"{node.name}: {name} is no mean over channels")
        shared = self._maker(node, "Div")
        power = self._maker(shared, "Pow")
        difference = self._maker(power, "Sub")
        usual = numpy_helper.to_array(self.constants[shared.input[1]])
        stride_px = int(name.rpartition("_")[2])
        return Distance(
            stride_px=stride_px,
            seen=difference.input[0],
            usual=usual.reshape(1, -1, 1, 1).astype(np.float32),
        )

    def _maker(self, node: NodeProto, wanted: str) -> NodeProto:
        """Of the node's first input that is no constant."""
        found: NodeProto | None = self.makers.get(
            next((name for name in node.input if name not in self.constants), "")
        )
        if found is None or found.op_type != wanted:
            words = "nothing" if found is None else found.op_type
            raise NotExplainable(f"{node.name}: {wanted} should come before it, not {words}")
        return found
