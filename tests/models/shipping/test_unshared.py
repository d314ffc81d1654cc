"""Convolutions that share a kernel have biases of their own, which is faster and nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import ModelProto, numpy_helper

from agent.bundle.bundle import Bundle
from models.shipping.unshared import BIAS, with_own_biases
from models.shipping.variants import by_session

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def shared(model: ModelProto) -> ModelProto:
    """As the exporter writes it: one constant for equal biases of one kernel."""
    copy = ModelProto()
    copy.CopyFrom(model)
    first: dict[str, str] = {}
    for node in copy.graph.node:
        if node.op_type == "Conv" and len(node.input) > BIAS:
            node.input[BIAS] = first.setdefault(node.input[1], node.input[BIAS])
    used = {name for node in copy.graph.node for name in node.input}
    kept = [one for one in copy.graph.initializer if one.name in used]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    return copy


def biases(model: ModelProto) -> Counter[str]:
    nodes = (node for node in model.graph.node if node.op_type == "Conv" and len(node.input) > BIAS)
    return Counter(node.input[BIAS] for node in nodes)


def steps_apart(model: bytes, bundle: Bundle) -> int:
    """What OpenVINO makes of additions and ReLUs that it cannot do within a convolution."""
    core = ov.Core()
    read, tile = core.read_model(model), bundle.golden()[0][:1]
    read.reshape(list(tile.shape))
    compiled = core.compile_model(read, "CPU", {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    request.infer({0: tile})
    run = ov.ProfilingInfo.Status.EXECUTED
    return sum(one.status == run and one.node_type == "Subgraph" for one in request.profiling_info)


def test_no_two_convolutions_of_a_bundle_share_a_bias(bundle: Bundle) -> None:
    model = onnx.load_from_string(bundle.model)
    assert set(biases(model).values()) == {1}
    assert max(biases(shared(model)).values()) == 2, "input and restoration go through the same features"


def test_own_biases_give_the_same_answers_to_the_bit(bundle: Bundle) -> None:
    before = shared(onnx.load_from_string(bundle.model))
    after = with_own_biases(before)
    onnx.checker.check_model(after, full_check=True)
    assert set(biases(after).values()) == {1}
    kept = {one.name: numpy_helper.to_array(one) for one in after.graph.initializer}
    for node, own in zip(before.graph.node, after.graph.node, strict=True):
        if node.op_type == "Conv" and len(node.input) > BIAS:
            assert np.array_equal(kept[node.input[BIAS]], kept[own.input[BIAS]])
    tiles = bundle.golden()[0][:4]
    one, other = (by_session(model.SerializeToString())(tiles) for model in (before, after))
    assert np.array_equal(one.scores, other.scores)
    assert np.array_equal(one.maps, other.maps)


def test_openvino_then_takes_fewer_steps(bundle: Bundle) -> None:
    model = onnx.load_from_string(bundle.model)
    assert steps_apart(bundle.model, bundle) < steps_apart(shared(model).SerializeToString(), bundle)
