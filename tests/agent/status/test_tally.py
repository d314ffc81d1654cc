"""What became of triggers is counted as records become durable, and nothing is lost among threads."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from agent.contract.metrics import SKIPPED, STAGES, UNJUDGED, VERDICTS
from agent.contract.samples import message
from agent.contract.verdict import REASONS, TimingMessage
from agent.line.crops import Crop
from agent.line.publish import Recorded
from agent.messages import Item
from agent.status.tally import Tally
from tests.agent.line.recipes import recipe
from tests.agent.status.samples import verdict
from tests.fakes import fault, frame, good_picture


def told(number: int, name: Any, item: Item, **more: Any) -> Recorded:
    record = verdict(number, name, **more)
    return Recorded(
        verdict=record,
        item=item,
        recipe=recipe(),
        picture=None,
        inspection=None,
        capture_to_committed_s=0.3,
    )


def test_known_cameras_start_at_zero_so_that_the_first_reject_is_a_rate() -> None:
    counts = message([*Tally(["top"]).samples()])
    assert counts["frames"] == {"top": 0}
    assert counts["verdicts"]["top"] == dict.fromkeys(VERDICTS, 0)
    assert counts["unjudged"]["top"] == dict.fromkeys(UNJUDGED, 0)
    assert counts["skipped"] == counts["camera_faults"]["top"] == dict.fromkeys(SKIPPED, 0)
    assert counts["crops_left_out"] == {"top": 0}
    assert {stage: one["count"] for stage, one in counts["stage_seconds"]["top"].items()} == dict.fromkeys(
        STAGES, 0
    )


def test_the_reasons_that_begin_at_zero_are_those_of_the_contract() -> None:
    assert set(SKIPPED) == {reason for reason, words in REASONS.items() if "skipped" in words}
    assert set(UNJUDGED) == set(REASONS)


def test_each_record_moves_its_own_numbers() -> None:
    tally = Tally(["top"])
    seen = frame(0, good_picture())
    tally.recorded(told(1, "fail", seen, recorded_ms=20.0))
    tally.recorded(told(2, "undecided", seen, reason="not_finite"))
    lost = replace(fault(3), reason="lost_lines", lines_lost=17)
    one = told(3, "skipped", lost, reason="lost_lines")
    record = one.verdict.model_copy(update={"frame": one.verdict.frame.model_copy(update={"lines_lost": 17})})
    tally.recorded(replace(one, verdict=record))
    counts = message([*tally.samples()])
    assert counts["frames"] == {"top": 3}
    assert counts["verdicts"]["top"] == {"pass": 0, "fail": 1, "undecided": 1, "skipped": 1}
    assert counts["unjudged"]["top"]["not_finite"] == counts["unjudged"]["top"]["lost_lines"] == 1
    assert counts["skipped"] == counts["camera_faults"][lost.camera]
    assert counts["skipped"] == {**dict.fromkeys(SKIPPED, 0), "lost_lines": 1}
    assert counts["camera_lines_lost"] == {"top": 17}
    assert counts["capture_to_recorded_seconds"]["count"] == 3
    assert counts["inspect_seconds"]["count"] == 2


def test_records_told_by_many_threads_all_arrive() -> None:
    tally, one = Tally(["top"]), told(1, "pass", frame(0, good_picture()))

    def count() -> None:
        for _ in range(500):
            tally.recorded(one)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert message([*tally.samples()])["frames"] == {"top": 2000}


def test_the_stages_of_a_judged_frame_are_counted_and_add_up_to_its_way_to_the_disk() -> None:
    tally = Tally(["top"])
    timing = TimingMessage(
        capture_to_prepared=30.0, queued=20.0, infer=40.0, judge=0.3, capture_to_recorded=75.0
    )
    one = told(1, "pass", frame(0, good_picture()))
    record = one.verdict.model_copy(update={"timing_ms": timing})
    tally.recorded(replace(one, verdict=record, capture_to_committed_s=0.08))
    counts = message([*tally.samples()])
    sums = {stage: one["sum"] for stage, one in counts["stage_seconds"]["top"].items()}
    wanted = {
        "queue": 0.02,
        "prepare": 0.01,
        "infer": 0.04,
        "judge": 0.0003,
        "record": 0.0047,
        "commit": 0.005,
    }
    assert sums == pytest.approx(wanted)
    assert sum(sums.values()) == pytest.approx(counts["capture_to_recorded_seconds"]["sum"])


def test_a_frame_that_was_not_judged_has_no_stages() -> None:
    tally = Tally(["top"])
    tally.recorded(told(1, "skipped", fault(0), reason="overload"))
    stages = message([*tally.samples()])["stage_seconds"]["top"]
    assert all(one["count"] == 0 for one in stages.values())


def test_what_a_record_leaves_out_is_counted() -> None:
    tally = Tally(["top"])
    crop = Crop(
        crop_id="a", defect_index=0, bbox_px=(0, 0, 9, 9), image=b"", content_type="image/jpeg", sha256=""
    )
    one = told(1, "fail", frame(0, good_picture()), boxes=((0, 0, 9, 9), (20, 0, 9, 9)))
    tally.recorded(replace(one, crops=(replace(crop, encodings=4),), defects_left_out=3))
    counts = message([*tally.samples()])
    assert counts["crops_cut"] == {"top": 1} and counts["crops_reencoded"] == {"top": 3}
    assert counts["crops_left_out"] == {"top": 4} and counts["defects_left_out"] == {"top": 3}
