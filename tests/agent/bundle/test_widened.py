"""A graph that stores kernels in half precision is widened to the float32 one, all else stays."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from agent.bundle.widened import widened
from agent.messages import Floats
from agent.protobuf import bytes_field
from models.shipping.narrowed import narrowed
from tests.agent.engines.small_bundle import small_model

KERNEL = np.array([[[[0.5, -1.25], [3.0, 2.0**-20]]]], np.float32)  # half precision holds each
PICTURE = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
CAST = helper.make_node("Cast", ["kernel_f16"], ["kernel"], name="kernel_f32", to=TensorProto.FLOAT)


def model_of(
    nodes: list[NodeProto], constants: dict[str, np.ndarray], inputs: tuple[str, ...] = ("x",)
) -> ModelProto:
    """Of `x` and perhaps others to `y`, float32 pictures."""
    graph = helper.make_graph(
        nodes,
        "some",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in inputs[:1]]
        + [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, 1, 2, 2]) for name in inputs[1:]],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b", "c", "d"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def conv(kernel: str = "kernel", to: str = "y") -> NodeProto:
    return helper.make_node("Conv", ["x", kernel], [to])


def answer(data: bytes) -> Floats:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found: Floats = session.run(["y"], {"x": PICTURE})[0]
    return found


@given(
    kernel=arrays.arrays(np.float16, (2, 1, 2, 2), elements=st.floats(-60000, 60000, width=16)),
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(
        lambda one: one not in ("x", "y", "other")
    ),
)
def test_what_was_stored_by_halves_comes_back_to_the_byte(kernel: np.ndarray, name: str) -> None:
    plain = model_of([conv(name)], {name: kernel.astype(np.float32), "other": KERNEL})
    stored = narrowed(plain)
    assert {one.data_type for one in stored.graph.initializer} == {TensorProto.FLOAT, TensorProto.FLOAT16}
    assert widened(stored.SerializeToString()) == plain.SerializeToString()


def test_a_graph_without_half_precision_is_the_same() -> None:
    for data in (small_model(), model_of([conv()], {"kernel": KERNEL}).SerializeToString()):
        assert widened(data) is data


def test_a_cast_of_what_is_no_constant_is_left_alone() -> None:
    computed = model_of(
        [
            helper.make_node("Abs", ["some"], ["kernel_f16"]),
            CAST,
            conv(),
        ],
        {"some": KERNEL.astype(np.float16)},
    ).SerializeToString()
    given_by_caller = model_of([CAST, conv()], {"kernel_f16": KERNEL.astype(np.float16)}, ("x", "kernel_f16"))
    for data in (computed, given_by_caller.SerializeToString()):
        assert widened(data) is data
    assert np.array_equal(
        answer(computed), answer(model_of([conv()], {"kernel": abs(KERNEL)}).SerializeToString())
    )


@pytest.mark.parametrize("to", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_a_cast_to_another_type_is_left_alone(to: int) -> None:
    cast = helper.make_node("Cast", ["kernel_f16"], ["kernel"], to=to)
    data = model_of([cast, conv()], {"kernel_f16": KERNEL.astype(np.float16)}).SerializeToString()
    assert widened(data) is data


def test_a_constant_that_somebody_else_reads_stays_beside_the_float32_one() -> None:
    again = helper.make_node("Cast", ["kernel_f16"], ["again"], to=TensorProto.FLOAT)
    other = helper.make_node("Cast", ["kernel_f16"], ["other"], to=TensorProto.DOUBLE)
    for more, kept in (([again], []), ([other], ["kernel_f16"])):
        model = model_of([CAST, *more, conv()], {"kernel_f16": KERNEL.astype(np.float16)})
        found = onnx.load_from_string(widened(model.SerializeToString()))
        constants = {one.name: numpy_helper.to_array(one) for one in found.graph.initializer}
        assert sorted(constants) == sorted(["kernel", *kept, *(["again"] if not kept else [])])
        assert np.array_equal(constants["kernel"], KERNEL)
        assert np.array_equal(answer(found.SerializeToString()), answer(model.SerializeToString()))


def test_two_files_one_after_the_other_are_widened_as_one() -> None:
    stored = narrowed(model_of([conv()], {"kernel": KERNEL})).SerializeToString()
    more = ModelProto()
    more.graph.node.append(helper.make_node("Mul", ["y", "kernel"], ["z"]))
    more.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["a", "b", "c", "d"]))
    both = stored + more.SerializeToString()
    assert widened(both) == widened(stored) + more.SerializeToString()


@given(data=st.binary(max_size=200))
def test_what_is_no_graph_comes_back_as_it_is(data: bytes) -> None:
    assert widened(data) == data


def test_a_graph_that_was_cut_anywhere_is_for_its_reader_to_refuse() -> None:
    stored = narrowed(model_of([conv()], {"kernel": KERNEL})).SerializeToString()
    whole = widened(stored)
    for at in range(len(stored)):
        cut = stored[:at]  # what follows the graph may be missing
        assert widened(cut) in (cut, whole[: len(whole) - len(stored) + at])


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_whatever_byte_is_another_there_is_something_for_the_reader(place: int, value: int) -> None:
    stored = bytearray(narrowed(model_of([conv()], {"kernel": KERNEL})).SerializeToString())
    stored[place % len(stored)] = value
    assert isinstance(widened(bytes(stored)), bytes)


def test_what_a_graph_of_its_own_may_read_is_left_alone() -> None:
    branch = helper.make_graph(
        [helper.make_node("Cast", ["kernel_f16"], ["inner"], to=TensorProto.DOUBLE)],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.DOUBLE, None)],
    )
    choice = helper.make_node("If", ["is_so"], ["chosen"], then_branch=branch, else_branch=branch)
    constants = {"kernel_f16": KERNEL.astype(np.float16), "is_so": np.array(True)}
    data = model_of([CAST, conv(), choice], constants).SerializeToString()
    assert widened(data) is data


def test_what_engines_refuse_stays_as_it_is() -> None:
    """Two makers of one value, weights in another file, a constant with two names."""
    half = {"kernel_f16": KERNEL.astype(np.float16)}
    twice = model_of([CAST, helper.make_node("Abs", ["x"], ["kernel"]), conv()], half)
    beside = model_of([helper.make_node("Abs", ["x"], ["kernel_f16"]), CAST, conv()], half)
    elsewhere = model_of([CAST, conv()], half)
    elsewhere.graph.initializer[0].data_location = TensorProto.EXTERNAL
    named = model_of([CAST, conv()], half)
    constant = named.graph.initializer[0].SerializeToString() + bytes_field(8, b"n")  # its name once more
    for model in (twice, beside, elsewhere):
        data = model.SerializeToString()
        assert widened(data) is data
    renamed = onnx.TensorProto.FromString(constant)
    assert renamed.name == "n"
    del named.graph.initializer[:]
    graph = named.graph.SerializeToString() + bytes_field(5, constant)
    named.ClearField("graph")
    data = named.SerializeToString() + bytes_field(7, graph)
    assert widened(data) is data
