"""Half precision and INT8 of the shipped graph: the same student, and its score's arithmetic stays exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from agent.bundle.bundle import open_bundle
from agent.messages import Floats, Pixels
from models.shipping.lint import element_types, lint, opset_of
from models.shipping.lowered import Half, half_nodes, lowered
from models.shipping.quantized import EXACT, quantized
from models.shipping.variants import by_openvino, by_session

SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv"
EXACT_OPERATORS = {
    *("Sub", "Div", "Pow", "Sqrt", "Log", "ReduceMean", "ReduceSum", "MaxPool", "Softplus", "TopK", "Round")
}
HALVES: tuple[Half, ...] = ("f16", "bf16")


@pytest.fixture(scope="module")
def plain() -> ModelProto:
    return onnx.load_from_string(open_bundle(SAMPLE).model)


@pytest.fixture(scope="module")
def tiles() -> Pixels:
    return open_bundle(SAMPLE).golden()[0][-2:]  # of which the model tells one from the other


@pytest.fixture(scope="module")
def int8(plain: ModelProto, tiles: Pixels) -> ModelProto:
    return quantized(plain, tiles)


def scores(graph: ModelProto, tiles: Pixels) -> Floats:
    """ONNX Runtime has no bfloat16 convolution; OpenVINO computes it."""
    is_bfloat16 = TensorProto.BFLOAT16 in element_types(graph).values()
    data = graph.SerializeToString()
    inspector = by_openvino(data, "f32")[0] if is_bfloat16 else by_session(data)
    return inspector(tiles).scores


def test_three_runtimes_agree_on_the_shipped_graph_to_a_ten_thousandth(tiles: Pixels) -> None:
    bundle = open_bundle(SAMPLE)
    expected = bundle.golden()[1][-len(tiles) :]
    for inspector in (by_session(bundle.model), by_openvino(bundle.model, "f32")[0]):
        assert np.abs(inspector(tiles).scores - expected).max() < 1e-4 * expected.max()


@pytest.mark.parametrize("half", HALVES)
def test_the_lowered_graph_scores_as_its_float32_one_within_its_rounding(
    plain: ModelProto, tiles: Pixels, half: Half
) -> None:
    allowed = {"f16": 0.02, "bf16": 0.1}[half]
    difference = np.abs(scores(lowered(plain, half), tiles) / scores(plain, tiles) - 1).max()
    assert 0 < difference < allowed


@pytest.mark.parametrize("half", HALVES)
def test_no_value_of_the_score_s_arithmetic_is_half(plain: ModelProto, half: Half) -> None:
    found = onnx.shape_inference.infer_shapes(lowered(plain, half))
    types = element_types(found)
    for node in found.graph.node:
        if node.op_type in EXACT_OPERATORS:
            assert types[node.output[0]] == TensorProto.FLOAT, node.name


@pytest.mark.parametrize("half", HALVES)
def test_every_convolution_of_a_network_s_many_channels_is_half_and_no_other(
    plain: ModelProto, half: Half
) -> None:
    found = lowered(plain, half)
    networks = [node for node in plain.graph.node if node.op_type == "Conv"]
    chosen = half_nodes(plain.graph)
    assert {node.input[1] for node in networks if node.output[0] not in chosen} == {
        "restorer.deviates.weight",
        "codec.between",
        "blur.row",
        "transpose",
    }
    types = element_types(found)
    kinds = {types[node.input[1]] for node in found.graph.node if node.op_type == "Conv"}
    assert len(kinds) == 2


@pytest.mark.parametrize("half", HALVES)
def test_inputs_and_outputs_keep_their_names_and_types(plain: ModelProto, half: Half) -> None:
    found = lowered(plain, half)
    assert list(found.graph.input) == list(plain.graph.input)
    assert list(found.graph.output) == list(plain.graph.output)
    assert lint(found) == []
    assert opset_of(found) == {"f16": 18, "bf16": 22}[half]
    assert found.ByteSize() < 0.55 * plain.ByteSize()


def test_neither_changes_the_original(plain: ModelProto, tiles: Pixels) -> None:
    before = plain.SerializeToString()
    lowered(plain, "f16")
    quantized(plain, tiles[:1])
    assert plain.SerializeToString() == before


def test_int8_is_explicit_symmetric_and_leaves_biases_in_float(int8: ModelProto) -> None:
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in int8.graph.initializer}
    quantizers = [node for node in int8.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert quantizers
    for node in quantizers:
        assert not constants[node.input[2]].any()  # symmetric: the zero point is zero
    assert lint(int8) == []
    per_channel = [node for node in quantizers if constants[node.input[1]].ndim == 1]
    assert per_channel
    assert {helper.get_node_attr_value(node, "axis") for node in per_channel} == {0}


def test_first_and_last_convolutions_stay_in_float(int8: ModelProto) -> None:
    weights = {node.input[1] for node in int8.graph.node if node.op_type == "Conv"}
    exact = {name for name in weights if name.startswith(EXACT)}
    kinds = {one for one in EXACT for name in exact if name.startswith(one)}
    assert kinds == set(EXACT)
    assert all("DequantizeLinear" in name for name in weights - exact)


def test_int8_still_ranks_the_tiles(int8: ModelProto, plain: ModelProto, tiles: Pixels) -> None:
    assert np.argsort(scores(int8, tiles)).tolist() == np.argsort(scores(plain, tiles)).tolist()
    assert np.abs(scores(int8, tiles) / scores(plain, tiles) - 1).max() < 0.5


def test_onnx_runtime_takes_a_free_batch(plain: ModelProto, tiles: Pixels) -> None:
    session = onnxruntime.InferenceSession(plain.SerializeToString(), providers=["CPUExecutionProvider"])
    together = session.run(["score"], {"tiles": tiles})[0]
    alone = [session.run(["score"], {"tiles": tile[None]})[0][0] for tile in tiles]
    assert np.allclose(together, alone, rtol=1e-5)
