"""Candidate and incumbent judge the same frames: what differs is the candidate's doing and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.bundle.bundle import Bundle, open_bundle, write_bundle
from agent.clock import SystemClock
from agent.engines.cache import EngineCache
from agent.engines.engine import Answer, DeviceLost
from agent.engines.openvino import open_openvino
from agent.line.recipe import make_recipe
from agent.messages import Pixels
from agent.remote.proof.document import Found, NotProven, Shift
from agent.remote.proof.limits import refusal
from agent.remote.proof.shadow import Opinion, opinion
from agent.remote.proof.work import prove
from agent.settings.recipes import OfCamera, Recipe, Region
from tests.agent.archive.records import frame
from tests.agent.engines.small_bundle import scores_of, small_files, small_manifest, small_tiles
from tests.agent.remote.proof.shadowed import Station, write_grey

NONE = Shift(median=0, worst=0, bias=0)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    write_grey(tmp_path / "serves")
    return Station(folder=tmp_path)


def told(station: Station, found: Found) -> str:
    return refusal(found, station.settings.remote.proof) or ""


def candidate(station: Station, **changes: float) -> Bundle:
    return write_grey(station.folder / "candidate", counter=2, **changes)  # type: ignore[arg-type]


def test_a_good_one_flips_nothing_whatever_recipe_had_judged_the_frames(station: Station) -> None:
    station.keep()
    found = station.prove_here(candidate(station))
    assert (found.frames.judged, found.frames.passes, found.frames.fails) == (8, 4, 4)  # as judged now
    assert (found.flips.all, found.shift, found.worst, found.notes) == (0, NONE, (), ())
    assert found.golden.worst_tile_delta is not None and found.golden.worst_tile_delta < 0.002
    assert told(station, found) == ""


def test_frames_are_judged_by_the_recipe_of_their_product_and_not_by_a_bundle_of_another(
    station: Station,
) -> None:
    everywhere = Region(corners=((0.0, 0.0), (60.0, 0.0), (60.0, 40.0), (0.0, 40.0)))
    strict, blind = OfCamera(camera="top", threshold=0.3), OfCamera(camera="top", ignore=(everywhere,))
    station.recipes = (
        Recipe(name="strict", cameras=(strict,)),
        Recipe(name="blind", cameras=(blind,)),
        Recipe(name="other", bundle=station.folder / "other"),
    )
    station.keep((60, 100, 140, 160), recipe_id="strict")  # of 76.5: 60 passes
    station.keep((235,), first=11, recipe_id="blind")
    station.keep((20, 235), first=21, recipe_id="other")
    station.keep((20,), first=31, recipe_id="no more")
    found = station.prove_here(candidate(station, threshold=0.7))
    frames = found.frames
    assert (frames.judged, frames.passes, frames.fails, frames.undecided) == (5, 1, 3, 1)
    assert (frames.passed_over, found.flips.all) == (3, 0)  # by the recipe's threshold, not the bundle's


def test_the_engine_is_in_the_cache_that_the_serving_engine_opens(station: Station) -> None:
    one = candidate(station)
    station.prove_here(one)
    cache = EngineCache(station.settings.engine_cache(), 10**9)
    assert open_openvino(one, precision="f32", cache=cache).describe().from_cache


def test_a_lower_threshold_flips_to_fail_and_a_higher_one_to_pass(station: Station) -> None:
    station.keep()
    lower = write_grey(station.folder / "lower", threshold=0.4)  # of 102: 116 fails
    higher = write_grey(station.folder / "higher", threshold=0.6)  # of 153: 140 passes
    down, up = (station.prove_here(one) for one in (lower, higher))
    assert (down.flips.to_fail, down.flips.to_pass) == (1, 0)
    assert (up.flips.to_fail, up.flips.to_pass) == (0, 1)
    assert "1 of 8 verdicts flip (1 to fail" in told(station, down)
    assert "(0 to fail, 1 to pass" in told(station, up)


def test_a_threshold_that_moved_between_the_frames_is_a_shift_without_a_flip(station: Station) -> None:
    station.keep((20, 60, 200, 235))
    found = station.prove_here(candidate(station, threshold=0.7))
    assert found.flips.all == 0
    assert found.shift is not None and found.shift.bias < 0
    station.limits["max_score_shift"] = 10.0
    assert "scores shift by" in told(station, found) and "(down" in told(station, found)


def test_scores_that_move_are_a_shift_without_a_flip(station: Station) -> None:
    station.keep((60, 80, 200, 235))
    found = station.prove_here(candidate(station, gain=1.35))
    assert found.flips.all == 0
    assert found.shift is not None and found.shift.median > 15 and found.shift.bias > 0


def test_another_scale_of_scores_with_its_threshold_is_no_shift(station: Station) -> None:
    station.keep()
    found = station.prove_here(candidate(station, gain=4.0, threshold=2.0))
    assert found.flips.all == 0
    assert found.shift is not None and found.shift.worst < 0.1


def test_a_threshold_of_the_settings_judges_both(station: Station) -> None:
    station.keep()
    station.threshold = 0.3
    found = station.prove_here(candidate(station, threshold=0.9))
    assert (found.frames.fails, found.flips.all, found.shift) == (6, 0, NONE)


def test_damaged_entries_are_named_and_not_judged(station: Station) -> None:
    kept = station.keep()
    flipped = bytearray(kept[0].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    kept[0].write_bytes(flipped)
    kept[1].write_bytes(kept[1].read_bytes()[:200])
    kept[2].write_bytes(b"")
    found = station.prove_here(candidate(station))
    assert (found.frames.judged, found.frames.damaged) == (5, 3)
    assert sorted(one.id for one in found.unusable) == [path.stem for path in kept[:3]]
    assert all("nothing of it can be relied on" in one.why for one in found.unusable)


def test_frames_of_cameras_that_are_gone_are_passed_over(station: Station) -> None:
    station.keep((20, 200))
    station.keep((30, 40, 50), camera="side", first=10)
    found = station.prove_here(candidate(station))
    assert (found.frames.judged, found.frames.passed_over) == (2, 3)


def test_the_newest_frames_are_judged_and_no_more_than_are_wanted(station: Station) -> None:
    station.keep((20, 20, 20, 200, 200))
    station.limits["frames"] = 2
    found = station.prove_here(candidate(station))
    assert (found.frames.judged, found.frames.fails) == (2, 2)


def test_without_an_archive_no_frame_is_judged_and_it_says_so(station: Station) -> None:
    empty = station.prove_here(write_grey(station.folder / "one"))
    station.has_archive = False
    none = station.prove_here(write_grey(station.folder / "two", counter=3))
    assert (empty.frames.judged, none.frames.judged) == (0, 0)
    assert "archive" in empty.notes[0] and "archive.folder is not set" in none.notes[0]
    assert told(station, none) == ""
    station.limits["min_frames"] = 1
    assert "0 frames of the archive could be judged" in told(station, none)


def test_fewer_frames_than_wanted_are_said(station: Station) -> None:
    station.keep((20, 200))
    found = station.prove_here(candidate(station))
    assert found.notes == ("the archive has 2 frames that can be judged, 8 were wanted",)


def test_where_no_bundle_that_is_whole_serves_golden_tiles_are_all(station: Station) -> None:
    station.keep()
    (station.folder / "serves" / "model.onnx").write_bytes(b"damaged")
    found = station.prove_here(candidate(station))
    assert (found.incumbent, found.frames.judged) == (None, 0)
    assert "no bundle that is whole serves here" in found.notes[0]


def test_a_candidate_out_of_tolerance_is_refused_with_its_worst_tile(station: Station) -> None:
    scores = scores_of(small_tiles())
    scores[2] += np.float32(0.1)
    files = small_files(scores=scores)
    write_bundle(station.folder / "off", small_manifest(files), files, None)
    with pytest.raises(NotProven, match="golden scores of") as refused:
        station.prove_here(open_bundle(station.folder / "off"))
    assert refused.value.code == 422
    proof = refused.value.proof
    assert proof is not None and proof.worst_tile_delta == pytest.approx(0.1 / 0.5768, rel=0.2)


def test_a_candidate_that_was_exchanged_meanwhile_is_not_proven(station: Station) -> None:
    one = candidate(station)
    order = station.order(one).model_copy(update={"candidate_sha256": "00" * 32})
    with pytest.raises(NotProven, match="was exchanged meanwhile"):
        prove(order, SystemClock(), lambda step: None)


class Failing:
    """An engine that raises what it is told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, tiles: Pixels, *, restored: bool = True) -> Answer:
        raise self.error

    def describe(self) -> object: ...

    def close(self) -> None: ...


def said(station: Station, error: Exception) -> Opinion:
    """Of a frame on which the engine raises that."""
    recipe = make_recipe(station.settings, open_bundle(station.folder / "serves"), Failing(error))  # type: ignore[arg-type]
    return opinion(frame(np.full((40, 60, 1), 99, np.uint8), lines_lost=0), recipe, SystemClock())


def test_a_frame_on_which_the_engine_fails_is_undecided(station: Station) -> None:
    look = said(station, RuntimeError("no")).look
    assert (look.verdict, look.reason, look.normalized) == ("undecided", "engine_error", None)


def test_a_device_that_is_lost_ends_the_proof_and_says_nothing_of_the_bundle(station: Station) -> None:
    with pytest.raises(DeviceLost):
        said(station, DeviceLost("gone"))
