"""On a real GPU: every engine that is there gives the golden scores, the ring what single tiles give.

Not run so far: no GPU was at hand. `python -m pytest tests/gpu` on a machine that has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.bundle import Bundle, open_bundle
from agent.engines.cache import EngineCache
from agent.engines.choice import lacks, look_around
from agent.engines.engine import Engine, golden_difference, tolerance
from agent.engines.open import open_engine, open_runtime
from agent.engines.table import RUNTIMES, Runtime
from agent.settings import settings


def torch_has_cuda() -> bool:
    """A torch that is built for the CPU alone may lie beside a GPU."""
    import torch

    return torch.cuda.is_available()


SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"
MACHINE = look_around()
HERE = [
    kind
    for kind in RUNTIMES
    if kind.device == "cuda"
    and lacks(MACHINE, settings.Engine(), kind) is None
    and ("torch" not in kind.modules or torch_has_cuda())
]

pytestmark = pytest.mark.skipif(not HERE, reason="no GPU, or no engine for it")


@pytest.fixture(scope="module")
def sample() -> Bundle:
    return open_bundle(SAMPLE)


@pytest.fixture(scope="module", params=HERE, ids=lambda kind: kind.name)
def engine(
    request: pytest.FixtureRequest, sample: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    kind: Runtime = request.param
    cache = EngineCache(tmp_path_factory.mktemp("engines"), 1_000_000_000)
    opened = open_runtime(kind, sample, settings.Engine(), cache, MACHINE.gpu)
    yield opened
    opened.close()


def random_tiles(sample: Bundle, count: int) -> np.ndarray:
    side, channels = sample.manifest.input.tile_px, sample.manifest.input.channels
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8)


def test_the_golden_scores_are_reproduced(engine: Engine, sample: Bundle) -> None:
    assert golden_difference(engine, sample) <= tolerance(engine, sample)


@pytest.mark.parametrize("count", [1, 4, 5, 23])
def test_overlapped_batches_give_what_single_tiles_give(engine: Engine, sample: Bundle, count: int) -> None:
    tiles = random_tiles(sample, count)
    together = engine.run(tiles)
    alone = [engine.run(tile[None]) for tile in tiles]
    allowed = 1e-3 if engine.describe().precision == "f32" else 0.1
    scores = np.concatenate([one.scores for one in alone])
    assert np.allclose(together.scores, scores, rtol=allowed, atol=allowed)
    assert together.restored is not None and together.restored.shape == tiles.shape


def test_the_same_tiles_give_the_same_answer_a_thousand_times(engine: Engine, sample: Bundle) -> None:
    """A slot that was used before its event would mix answers sooner or later."""
    tiles = random_tiles(sample, 13)
    first = engine.run(tiles)
    for _ in range(1000):
        again = engine.run(tiles)
        assert np.array_equal(again.scores, first.scores)
        assert np.array_equal(again.maps, first.maps)


def test_eager_in_f32_agrees_with_openvino(sample: Bundle) -> None:
    if not any(kind.kind == "eager" for kind in HERE):
        pytest.skip("no torch for this GPU")
    tiles, _ = sample.golden()
    eager = open_engine(sample, settings.Engine(kind="eager", device="cuda", precision="f32"))
    openvino = open_engine(sample, settings.Engine(kind="openvino", precision="f32"))
    assert np.abs(eager.run(tiles).scores - openvino.run(tiles).scores).max() <= 1e-3


def test_a_second_open_of_a_cached_kind_comes_from_the_cache(sample: Bundle, tmp_path: Path) -> None:
    kinds = [kind for kind in HERE if kind.cached]
    if not kinds:
        pytest.skip("no TensorRT here")
    cache = EngineCache(tmp_path, 1_000_000_000)
    for from_cache in (False, True):
        opened = open_runtime(kinds[0], sample, settings.Engine(), cache, MACHINE.gpu)
        assert opened.describe().from_cache == from_cache
        opened.close()
