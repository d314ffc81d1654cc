"""The committed sample model gives, on this machine and with every engine, the scores of its release."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.bundle import Bundle, open_bundle
from agent.engines.engine import Answer, Engine, largest_difference
from agent.engines.open import open_engine
from agent.settings import settings

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"

OPENVINO = settings.Engine(kind="openvino", precision="f32")
ONNXRUNTIME = settings.Engine(kind="onnxruntime")
EAGER = settings.Engine(kind="eager")
ENGINES = (
    pytest.param(OPENVINO, marks=pytest.mark.slow),
    settings.Engine(kind="openvino", precision="auto"),
    pytest.param(ONNXRUNTIME, marks=pytest.mark.slow),
    pytest.param(EAGER, marks=pytest.mark.slow),
)


@pytest.fixture(scope="module")
def sample() -> Bundle:
    return open_bundle(SAMPLE)


@cache
def opened(wanted: settings.Engine) -> Engine:
    """Compiled once for all tests, and proven: one tile at a time and in whole batches."""
    return open_engine(open_bundle(SAMPLE), wanted)


@cache
def answered(wanted: settings.Engine) -> Answer:
    """To all golden tiles."""
    tiles, _ = open_bundle(SAMPLE).golden()
    return opened(wanted).run(tiles)


@pytest.mark.parametrize("wanted", ENGINES, ids=lambda wanted: f"{wanted.kind}-{wanted.precision}")
def test_the_golden_scores_are_reproduced_within_the_manifest_s_tolerance(
    sample: Bundle, wanted: settings.Engine
) -> None:
    golden, (_, expected) = sample.manifest.golden, sample.golden()
    precision = opened(wanted).describe().precision
    allowed = {"f32": golden.tolerance_f32, "bf16": golden.tolerance_bf16}[precision]
    assert largest_difference(answered(wanted).scores, expected, sample.manifest.threshold.raw) <= allowed


@pytest.mark.slow
def test_openvino_f32_gives_the_eager_twin_s_maps_and_restorations() -> None:
    plain, fast = answered(EAGER), answered(OPENVINO)
    assert plain.restored is not None and fast.restored is not None
    assert np.allclose(plain.maps, fast.maps, rtol=1e-3, atol=1e-3 * float(plain.maps.max()))
    assert np.abs(plain.restored.astype(int) - fast.restored.astype(int)).max() <= 1


@pytest.mark.slow
def test_f32_engines_agree_to_a_ten_thousandth_in_every_score() -> None:
    found = [answered(wanted).scores for wanted in (OPENVINO, ONNXRUNTIME, EAGER)]
    assert max(np.abs(one - found[0]).max() for one in found) <= 1e-4


def test_the_sample_says_its_terms_and_how_it_was_made(sample: Bundle) -> None:
    assert sample.manifest.licence != "unspecified"
    assert sample.manifest.provenance.commands
    assert sample.manifest.provenance.data == "elpv"


def test_the_sample_carries_no_source_lines_of_the_machine_that_made_it(sample: Bundle) -> None:
    assert b'File "/' not in sample.model


def test_golden_tiles_are_of_both_kinds(sample: Bundle) -> None:
    """Their scores lie far apart, so that an engine which answers a constant fails."""
    tiles, scores = sample.golden()
    assert tiles.shape[1:] == (sample.manifest.input.tile_px,) * 2 + (sample.manifest.input.channels,)
    assert len(tiles) == len(scores) >= 4
    assert np.isfinite(scores).all()
    assert scores.max() > 1.1 * scores.min()
