"""What ships stores its kernels by halves: half the bytes, the same answers to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from agent.bundle.bundle import MODEL, Bundle
from agent.bundle.widened import widened
from agent.engines.engine import Answer
from agent.engines.open import open_engine
from agent.explain.form import GRAPH, open_form
from agent.messages import Pixels
from agent.settings import settings
from models.shipping.explaining import following
from models.shipping.export import ExportError, folded, golden_tiles, shipped
from models.shipping.lint import lint
from models.shipping.narrowed import narrowed
from models.shipping.variants import by_openvino, by_session
from models.student.distill import load_student
from models.student.student import Student
from tests.models.workshop import Workshop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def before(bundle: Bundle) -> Bundle:
    """The same with a graph as bundles had it before: every weight in float32."""
    return replace(bundle, files={**bundle.files, MODEL: bundle.model})


@pytest.fixture(scope="module")
def tiles(bundle: Bundle) -> Pixels:
    return golden_tiles(bundle.manifest.input, seed=9)[:4]


@pytest.fixture
def student(made: Workshop) -> Student:
    return load_student(made.student)[1]


def same(one: Answer, other: Answer) -> bool:
    assert one.restored is not None and other.restored is not None
    pairs = (one.scores, other.scores), (one.maps, other.maps), (one.restored, other.restored)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_an_exported_graph_takes_half_the_bytes_and_keeps_the_rules_of_the_box(bundle: Bundle) -> None:
    assert len(bundle.files[MODEL]) < 0.6 * len(bundle.model)
    stored = onnx.load_from_string(bundle.files[MODEL])
    assert lint(stored) == lint(onnx.load_from_string(bundle.model)) == []
    halves = {one.name for one in stored.graph.initializer if one.data_type == TensorProto.FLOAT16}
    casts = {
        node.output[0] for node in stored.graph.node if node.op_type == "Cast" and node.input[0] in halves
    }
    kernels = {node.input[1] for node in stored.graph.node if node.op_type == "Conv"}
    assert len(kernels - casts) == 2, "only the map's blur, which half precision does not hold, is in float32"


def test_every_runtime_answers_from_both_forms_alike_to_the_bit(bundle: Bundle, tiles: Pixels) -> None:
    stored, wide = bundle.files[MODEL], bundle.model
    assert same(by_session(stored)(tiles), by_session(wide)(tiles))
    assert same(by_openvino(stored, "f32")[0](tiles), by_openvino(wide, "f32")[0](tiles))


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime", "eager"])
def test_a_bundle_of_before_opens_as_it_did_and_an_engine_answers_from_both_alike_to_the_bit(
    bundle: Bundle, before: Bundle, tiles: Pixels, kind: str
) -> None:
    assert before.model is before.files[MODEL]
    wanted = settings.Engine.model_validate(
        {"kind": kind, "precision": "f32" if kind == "openvino" else "auto"}
    )
    assert same(*(open_engine(one, wanted).run(tiles) for one in (bundle, before)))


def test_it_explains_as_the_float32_graph_does(bundle: Bundle, before: Bundle, tiles: Pixels) -> None:
    graph = bundle.files[GRAPH]
    for form in (bundle.files[MODEL], bundle.model):
        assert following(onnx.load_from_string(form)) == graph
    assert bundle.model + graph == widened(bundle.files[MODEL] + graph)
    found = [open_form(one).explain(tiles[:1]) for one in (bundle, before)]
    assert np.array_equal(found[0].evidence, found[1].evidence)
    assert np.array_equal(found[0].features, found[1].features)


def test_storing_a_graph_that_is_stored_by_halves_again_changes_nothing(bundle: Bundle) -> None:
    model = onnx.load_from_string(bundle.model)
    assert narrowed(model).SerializeToString() == bundle.files[MODEL]
    assert model.SerializeToString() == bundle.model, "what was given is as it was"


def test_a_kernel_that_was_not_rounded_is_stored_as_it_is(before: Bundle) -> None:
    model = onnx.load_from_string(before.model)
    one = next(one for one in model.graph.initializer if one.name.startswith("finder.logits.weight"))
    exact = numpy_helper.to_array(one) + np.float32(1e-6)
    one.CopyFrom(numpy_helper.from_array(exact, one.name))
    stored = {one.name: one for one in narrowed(model).graph.initializer}
    assert np.array_equal(numpy_helper.to_array(stored[one.name]), exact)


def test_what_ships_is_rounded_once_and_only_its_kernels(student: Student) -> None:
    before, plain = folded(student), shipped(student)
    before.features.for_grey()
    exact = before.state_dict()
    again = shipped(plain).state_dict()
    for name, value in plain.state_dict().items():
        kernel = value.ndim == 4 and not name.startswith("blur")
        assert torch.equal(value, exact[name].half().float() if kernel else exact[name]), name
        assert torch.equal(value, again[name])


@pytest.mark.parametrize("value", [70_000.0, -70_000.0, float("nan"), float("inf")])
def test_a_kernel_that_half_precision_cannot_hold_is_refused_by_its_name(
    student: Student, value: float
) -> None:
    with torch.no_grad():
        student.finder.logits.weight[0, 0] = value
    with pytest.raises(ExportError, match=r"finder\.logits\.weight: half precision cannot hold it, from "):
        shipped(student)


def test_a_kernel_that_half_precision_would_round_away_is_refused_by_its_name(student: Student) -> None:
    with torch.no_grad():
        student.finder.logits.weight.mul_(1e-7)
    with pytest.raises(ExportError, match=r"finder\.logits\.weight: half precision cannot hold it"):
        shipped(student)
