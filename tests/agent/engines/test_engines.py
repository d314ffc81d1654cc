"""Every engine gives what the graph says, or refuses to be opened."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from agent.bundle.bundle import BundleError, open_bundle
from agent.engines.batches import in_batches
from agent.engines.engine import (
    BATCHES,
    Answer,
    Description,
    Engine,
    EngineError,
    check_golden,
    golden_difference,
)
from agent.engines.open import open_engine
from agent.messages import Pixels
from agent.settings import settings
from tests.agent.engines.small_bundle import (
    THRESHOLD,
    TILE_PX,
    scores_of,
    small_model,
    small_tiles,
    write_small,
)

CHOICES = (
    settings.Engine(kind="openvino", precision="f32", threads=1),
    settings.Engine(kind="openvino", precision="auto", threads=1),
    settings.Engine(kind="onnxruntime", threads=1),
    settings.Engine(kind="eager", device="cpu"),
)


@pytest.fixture(scope="module", params=CHOICES, ids=lambda wanted: f"{wanted.kind}-{wanted.precision}")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    bundle = open_bundle(write_small(tmp_path_factory.mktemp("engines") / "small"))
    opened = open_engine(bundle, request.param)
    yield opened
    opened.close()


def close_to(engine: Engine) -> float:
    return 0.01 if engine.describe().precision == "bf16" else 1e-6


@pytest.mark.parametrize("batch", BATCHES)
def test_an_engine_gives_score_map_and_restoration_of_every_tile(engine: Engine, batch: int) -> None:
    tiles = small_tiles(batch)
    answer = engine.run(tiles)
    assert answer.scores.shape == (batch,)
    assert answer.maps.shape == (batch, 8, 8)
    assert answer.scores.dtype == answer.maps.dtype == np.float32
    assert np.allclose(answer.scores, scores_of(tiles), atol=close_to(engine))
    cells = tiles.reshape(batch, 8, 4, 8, 4).mean((2, 4)) / 255
    assert np.allclose(answer.maps, cells, atol=close_to(engine))
    assert answer.restored.dtype == np.uint8
    assert answer.restored.shape == tiles.shape
    if engine.describe().precision == "f32":
        assert np.array_equal(answer.restored, tiles)


def test_an_engine_takes_any_number_of_tiles_and_names_itself_in_the_answer(engine: Engine) -> None:
    tiles = small_tiles(7)
    answer = engine.run(tiles)
    assert np.allclose(answer.scores, scores_of(tiles), atol=close_to(engine))
    assert answer.engine == engine.describe().name


def test_restorations_that_nobody_asks_for_are_not_given(engine: Engine) -> None:
    with_, without = engine.run(small_tiles(5)), engine.run(small_tiles(5), restored=False)
    assert without.restored is None
    assert np.array_equal(with_.scores, without.scores)
    assert np.array_equal(with_.maps, without.maps)


def test_an_answer_stays_as_it_is_when_the_engine_runs_again(engine: Engine) -> None:
    first = engine.run(small_tiles(1))
    kept = first.scores.copy(), first.maps.copy(), first.restored.copy()
    engine.run(np.full((1, TILE_PX, TILE_PX, 1), 250, np.uint8))
    assert all(
        np.array_equal(now, then)
        for now, then in zip((first.scores, first.maps, first.restored), kept, strict=True)
    )


def test_tiles_may_be_a_view_with_gaps(engine: Engine) -> None:
    wide = np.repeat(small_tiles(4), 2, axis=2)
    view = wide[:, :, ::2]
    assert not view.flags.c_contiguous
    assert np.array_equal(engine.run(view).scores, engine.run(view.copy()).scores)


def test_threads_that_share_an_engine_get_their_own_answers(engine: Engine) -> None:
    tiles = small_tiles(6)
    found: dict[int, list[float]] = {index: [] for index in range(len(tiles))}

    def work(index: int) -> None:
        found[index] += [float(engine.run(tiles[index : index + 1]).scores[0]) for _ in range(10)]

    workers = [threading.Thread(target=work, args=(index,)) for index in found]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for index, scores in found.items():
        assert np.allclose(scores, scores_of(tiles)[index], atol=close_to(engine))
        assert len(scores) == 10


def test_an_engine_says_what_it_is(engine: Engine) -> None:
    description = engine.describe()
    assert description.name.endswith(description.precision)
    assert description.precision in ("f32", "bf16")
    assert description.runtime.split()[0] in ("openvino", "onnxruntime", "torch")


@pytest.mark.parametrize("wanted", CHOICES, ids=lambda wanted: f"{wanted.kind}-{wanted.precision}")
def test_a_bundle_with_a_wrong_golden_score_is_refused(tmp_path: Path, wanted: settings.Engine) -> None:
    scores = scores_of(small_tiles())
    scores[0] += np.float32(0.2)
    bundle = open_bundle(write_small(tmp_path / "small", scores=scores))
    with pytest.raises(EngineError, match=r"golden scores of .* differ by a share of 0\.4"):
        open_engine(bundle, wanted)


def test_a_golden_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    scores = scores_of(small_tiles())
    scores[0] = np.nan
    with pytest.raises(BundleError, match="finite"):
        open_bundle(write_small(tmp_path / "small", scores=scores))


@pytest.mark.parametrize("size", BATCHES)
def test_an_engine_that_gives_no_numbers_in_one_batch_size_is_refused(tmp_path: Path, size: int) -> None:
    """As half precision may, or one compiled size of two."""
    bundle = open_bundle(write_small(tmp_path / "small"))
    good = open_engine(bundle, CHOICES[0])

    class Broken:
        def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
            answer = good.run(tiles, restored=restored)
            nan = np.full_like(answer.scores, np.nan)
            return replace(answer, scores=nan) if len(tiles) >= size == 4 or len(tiles) == size else answer

        def describe(self) -> Description:
            return good.describe()

        def close(self) -> None: ...

    with pytest.raises(EngineError, match=r"golden scores of .* differ by a share of nan"):
        check_golden(Broken(), bundle)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_golden_tiles_run_every_batch_size_before_a_line_does(tmp_path: Path, count: int) -> None:
    bundle = open_bundle(write_small(tmp_path / "small", tiles=small_tiles()[-count:]))
    good = open_engine(bundle, CHOICES[0])
    ran: set[tuple[int, bool]] = set()

    class Watched:
        def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
            ran.update((len(batch), restored) for batch in in_batches(tiles, BATCHES))
            return good.run(tiles, restored=restored)

        def describe(self) -> Description:
            return good.describe()

        def close(self) -> None: ...

    assert check_golden(Watched(), bundle) < 1e-6
    assert ran == {(size, True) for size in BATCHES}  # with restorations: a page shows them


@pytest.mark.parametrize("tile", range(5))
def test_a_golden_difference_is_a_share_of_the_threshold_or_of_a_score_above_it(
    tmp_path: Path, tile: int
) -> None:
    true = scores_of(small_tiles())
    scores = true.copy()
    scores[tile] *= np.float32(1.001)
    bundle = open_bundle(write_small(tmp_path / "small", scores=scores))
    engine = open_engine(bundle, CHOICES[0])
    expected = 0.001 * true[tile] / max(THRESHOLD, scores[tile])
    assert golden_difference(engine, bundle) == pytest.approx(expected, rel=0.01)


def test_eager_refuses_bf16_and_says_what_to_set(tmp_path: Path) -> None:
    bundle = open_bundle(write_small(tmp_path / "small"))
    with pytest.raises(EngineError, match=r"engine\.precision: eager does not run in bf16; set auto or f32"):
        open_engine(bundle, settings.Engine(kind="eager", precision="bf16"))


@pytest.mark.parametrize("wanted", CHOICES, ids=lambda wanted: f"{wanted.kind}-{wanted.precision}")
@pytest.mark.parametrize("model", [b"", b"not a graph", small_model()[:200]], ids=["empty", "text", "torn"])
def test_a_model_that_is_no_graph_is_refused_with_the_bundle_named(
    tmp_path: Path, wanted: settings.Engine, model: bytes
) -> None:
    bundle = open_bundle(write_small(tmp_path / "small", model=model))
    with pytest.raises(EngineError, match="small"):
        open_engine(bundle, wanted)


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("wanted", CHOICES[:2], ids=lambda wanted: f"{wanted.kind}-{wanted.precision}")
def test_a_graph_of_something_else_is_refused_in_one_line(
    tmp_path: Path, wanted: settings.Engine, outputs: int
) -> None:
    value = onnx.helper.make_tensor_value_info
    names = [f"y{number}" for number in range(outputs)]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], [name]) for name in names],
        "other",
        [value("x", onnx.TensorProto.FLOAT, [1, 3])],
        [value(name, onnx.TensorProto.FLOAT, [1, 3]) for name in names],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    bundle = open_bundle(write_small(tmp_path / "small", model=model.SerializeToString()))
    with pytest.raises(EngineError, match=r"small") as caught:
        open_engine(bundle, wanted)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: there is nothing to choose")
def test_an_engine_of_fewer_threads_than_cores_holds_to_none_of_them(tmp_path: Path) -> None:
    """Several processes of one machine would all hold to the first."""
    write_small(tmp_path / "small")
    engine = open_engine(open_bundle(tmp_path / "small"), settings.Engine(kind="openvino", threads=1))
    tiles, seen, done = np.zeros((4, 32, 32, 1), np.uint8), set[frozenset[int]](), threading.Event()
    me = threading.get_native_id()

    def look() -> None:
        while not done.is_set():
            seen.add(frozenset(os.sched_getaffinity(me)))

    looks = threading.Thread(target=look)
    looks.start()
    for _ in range(100):
        engine.run(tiles)
    done.set()
    looks.join()
    engine.close()
    assert seen == {frozenset(os.sched_getaffinity(0))}
