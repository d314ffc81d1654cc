"""The explaining form beside the judging one: the same scores, and refused where it is not what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agent.bundle.bundle import Bundle, open_bundle
from agent.engines.openvino import core_of_process
from agent.explain.form import (
    GOOD,
    GRAPH,
    MAX_GOOD_BYTES,
    MAX_GRAPH_BYTES,
    CannotExplain,
    Form,
    check_form,
    explains,
    open_form,
    read_good,
)

SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv"


@pytest.fixture(scope="module")
def sample() -> Bundle:
    return open_bundle(SAMPLE)


def with_files(bundle: Bundle, **changed: bytes | None) -> Bundle:
    files = {**bundle.files, **changed}
    return replace(bundle, files={name: data for name, data in files.items() if data is not None})


def with_good(bundle: Bundle, change: dict[str, Any]) -> Bundle:
    return with_files(bundle, **{GOOD: json.dumps({**json.loads(bundle.files[GOOD]), **change}).encode()})


@pytest.mark.slow
def test_both_forms_give_the_same_but_for_rounding(sample: Bundle) -> None:
    tiles = sample.golden()[0][:2]
    found = open_form(sample).explain(tiles)
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    judging = core_of_process().compile_model(core_of_process().read_model(sample.model), "CPU", options)
    for tile, score, map_ in zip(tiles, found.scores, found.maps, strict=True):
        judged = judging([tile[None]])
        assert np.allclose(judged["score"][0], score, rtol=1e-5)
        assert np.allclose(judged["map"][0], map_, rtol=1e-5)


@pytest.mark.slow
def test_the_sample_bundle_explains_and_gives_its_golden_scores(sample: Bundle) -> None:
    assert explains(sample) and check_form(sample) <= sample.manifest.golden.tolerance_f32
    found = open_form(sample).explain(sample.golden()[0][:1])
    groups = open_form(sample).good.groups
    assert found.evidence.shape == (1, 9, 64, 64)
    assert found.features.shape == (1, sum(group.channels for group in groups), 32, 32)


def test_a_bundle_of_before_has_none(sample: Bundle) -> None:
    before = with_files(sample, **{GRAPH: None, GOOD: None})
    assert not explains(before)
    with pytest.raises(CannotExplain, match="add it with `plumbline-lab explaining`"):
        read_good(before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "plumbline.explain/2"}, "schema"),
        ({"kinds": []}, "kinds"),
        ({"shares": [0.9, 0.5]}, "shares must rise"),
        ({"shares": [0.5]}, "needs a rising value for each of 1 shares"),
        ({"frames": -1}, "frames"),
        ({"groups": [{"name": "A B", "channels": 4}]}, "groups.0.name"),
    ],
)
def test_what_is_said_of_good_parts_is_checked(sample: Bundle, change: dict[str, Any], words: str) -> None:
    with pytest.raises(CannotExplain, match=words):
        read_good(with_good(sample, change))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe", b"{" * 100_000, b" " * (MAX_GOOD_BYTES + 1)])
def test_a_file_that_is_no_such_json_is_refused(sample: Bundle, data: bytes) -> None:
    with pytest.raises(CannotExplain, match=r"explain/good\.json"):
        read_good(with_files(sample, **{GOOD: data}))


def test_fields_of_a_later_version_are_passed_over(sample: Bundle) -> None:
    assert read_good(with_good(sample, {"later": 1})) == read_good(sample)


@pytest.mark.parametrize("data", [b"", b"\x00" * 64, b"\xff" * 64, b"x" * (MAX_GRAPH_BYTES + 1)])
def test_a_graph_that_is_none_is_refused(sample: Bundle, data: bytes) -> None:
    with pytest.raises(CannotExplain, match=r"explain/graph\.onnx"):
        open_form(with_files(sample, **{GRAPH: data}))


@pytest.mark.parametrize("name", ["evidence", "features"])
def test_values_that_are_no_numbers_are_refused_in_words(sample: Bundle, name: str) -> None:
    given = {each: np.zeros((1, 2, 2), np.float32) for each in ("score", "map", "evidence", "features")}
    given[name][0, 1, 1] = np.nan
    request = SimpleNamespace(
        infer=lambda tiles: None, get_tensor=lambda each: SimpleNamespace(data=given[each])
    )
    with pytest.raises(CannotExplain, match=f"gives {name} that are no numbers"):
        Form(request, read_good(sample)).explain(sample.golden()[0][:1])


@pytest.mark.slow
def test_a_graph_of_other_shapes_than_are_said_is_refused(sample: Bundle) -> None:
    groups = [{"name": "stride_8", "channels": 40}]
    with pytest.raises(CannotExplain, match="gives features as"):
        open_form(with_good(sample, {"groups": groups}))


@pytest.mark.slow
def test_a_form_with_other_golden_scores_is_refused(sample: Bundle) -> None:
    tiles, _ = sample.golden()
    moved = open_bundle(SAMPLE)
    scores = moved.golden()[1] + 1
    head = moved.files["golden/scores.npy"][: -scores.nbytes]
    with pytest.raises(CannotExplain, match="scores golden tiles otherwise"):
        check_form(with_files(moved, **{"golden/scores.npy": head + scores.tobytes()}))
    assert len(tiles) == len(scores)
