"""One durable record for each trigger, in a gap-free sequence; nobody hears of it before it is committed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.contract.arguments import Bind
from agent.contract.metrics import SKIPPED
from agent.contract.payloads import encode
from agent.line.judge import judge
from agent.line.recipe import Recipe
from agent.line.record import MAX_DEFECTS, Judged
from agent.messages import Frame, Inspection, Judgement, Prepared
from agent.outbox.file import OutboxError
from agent.settings.settings import Crops
from tests.agent.line.recipes import recipe
from tests.agent.line.records import TOPICS, Desk, desk, stored, verdicts
from tests.agent.outbox.test_outbox_errors import files_up_to
from tests.brokers import DEADLINE_S
from tests.fakes import bad_picture, evidence_of, fault, frame, good_picture

RECIPE = recipe()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
def at(path: Path) -> Iterator[Desk]:
    with desk(path) as made:
        yield made


def judged(one: Frame, judgement: Judgement | None = None, by: Recipe = RECIPE) -> Judged:
    """What a step finds out about a frame: 1 ms in the ring, 2 to prepare, 4 to infer, 1 to judge."""
    evidence = evidence_of(one.image)
    inspection = Inspection(
        scores=np.array([evidence.max()], np.float32),
        evidence=evidence,
        restored=np.zeros_like(one.image),
        started_ns=3_000_000,
        finished_ns=7_000_000,
    )
    return Judged(
        frame=one,
        recipe=by,
        taken_ns=1_000_000,
        prepared=Prepared(
            tiles=one.image[None],
            origins=((0, 0),),
            shape=one.image.shape[:2],
            scale=1.0,
            prepared_ns=3_000_000,
        ),
        inspection=inspection,
        judgement=judgement or judge(one, inspection, by.rules_of(one.camera)),
        judged_ns=8_000_000,
    )


def test_a_pass_is_one_row_that_says_what_happened(at: Desk, path: Path) -> None:
    at.clock.advance(0.009)
    one = replace(frame(7, good_picture()), first_line=512, encoder=99)
    returned = at.publisher.record(judged(one))
    at.settle()
    (row,) = stored(path)
    assert row.payload == encode(returned)
    assert (row.kind, row.topic, row.sequence) == ("verdict", TOPICS.verdict("top"), 1)
    (found,) = verdicts(path)
    assert (found["verdict"], found["result_evaluation"], found["reason"]) == ("pass", "OK", None)
    assert found["created"] == "2026-01-01T00:00:00.009Z"
    assert found["defects"] == [] and found["part_id"] == "part7"
    assert found["frame"] == {
        "id": 7,
        "epoch": 0,
        "first_line": 512,
        "lines": 32,
        "lines_lost": 0,
        "encoder": 99,
        "sha256": hashlib.sha256(one.image.tobytes()).hexdigest(),
    }
    assert found["timing_ms"] == {
        "capture_to_prepared": 3.0,
        "queued": 1.0,
        "infer": 4.0,
        "judge": 1.0,
        "label": None,
        "capture_to_recorded": 9.0,
    }


def test_a_fail_carries_its_defects_and_their_crops(at: Desk, path: Path) -> None:
    at.publisher.record(judged(frame(0, bad_picture(64, 64, spots=((8, 12, 8, 4), (40, 40, 4, 4))))))
    at.settle()
    verdict, *crops = stored(path)
    (found,) = verdicts(path)
    assert found["verdict"] == "fail" and found["score"]["normalized"] == pytest.approx(200)
    assert [defect["bbox_px"] for defect in found["defects"]] == [[8, 12, 8, 4], [40, 40, 4, 4]]
    assert len(crops) == 2
    for crop, defect in zip(crops, found["defects"], strict=True):
        assert crop.kind == "crop" and crop.topic == TOPICS.crop("top")
        assert crop.properties["result_id"] == found["result_id"] == verdict.properties["id"]
        assert crop.properties["defect_index"] == str(defect["index"])
        assert defect["crop"] == {
            "crop_id": crop.properties["crop_id"],
            "sha256": hashlib.sha256(crop.payload).hexdigest(),
            "bytes": len(crop.payload),
        }


def test_every_nth_pass_sends_its_strongest_spot_as_a_crop_that_may_go_first(path: Path) -> None:
    by = recipe(crops=Crops(every_nth_pass=3))
    with desk(path) as at:
        for number in range(7):
            at.publisher.record(judged(frame(number, good_picture(64, 64)), by=by))
        at.settle()
        crops = [row for row in stored(path) if row.kind == "crop"]
        ids = {found["frame"]["id"]: found["result_id"] for found in verdicts(path)}
        assert [crop.properties["result_id"] for crop in crops] == [ids[0], ids[3], ids[6]]
        assert {crop.properties["verdict"] for crop in crops} == {"pass"}
        assert all(one.row.of_pass for one in at.outbox.lease(100) if one.row.kind == "crop")
        assert all(found["defects"] == [] for found in verdicts(path))


def test_of_many_defects_the_strongest_are_named(at: Desk, path: Path) -> None:
    spots = [(8 * x, 8 * y, 4, 4) for x in range(8) for y in range(8)]
    at.publisher.record(judged(frame(0, bad_picture(64, 64, spots=spots))))
    at.settle()
    (found,) = verdicts(path)
    assert len(found["defects"]) == MAX_DEFECTS
    assert sum(defect["crop"] is not None for defect in found["defects"]) == Crops().max_per_verdict


def test_a_frame_that_was_not_judged_is_undecided_and_says_why(at: Desk, path: Path) -> None:
    at.publisher.record_undecided(
        frame(3, good_picture()), RECIPE, "engine_error", "fake: out of memory; restart"
    )
    at.settle()
    (found,) = verdicts(path)
    assert (found["verdict"], found["result_evaluation_code"]) == ("undecided", 3)
    assert (found["reason"], found["detail"]) == ("engine_error", "fake: out of memory; restart")
    assert found["score"] is None and found["defects"] == []
    assert found["frame"]["sha256"] is not None


def test_a_trigger_without_a_picture_is_skipped_and_says_why(at: Desk, path: Path) -> None:
    at.publisher.record_skipped(replace(fault(4, "lost_lines"), lines_lost=512, first_line=1024), RECIPE)
    at.settle()
    (found,) = verdicts(path)
    assert (found["verdict"], found["result_evaluation"]) == ("skipped", "Undefined")
    assert (found["reason"], found["detail"]) == ("lost_lines", "scripted: torn; mend it")
    assert found["frame"] == {
        "id": 4,
        "epoch": 0,
        "first_line": 1024,
        "lines": 0,
        "lines_lost": 512,
        "encoder": None,
        "sha256": None,
    }
    counts = at.metrics.snapshot()
    assert counts["skipped"] == {**dict.fromkeys(SKIPPED, 0), "lost_lines": 1}
    assert counts["camera_lines_lost"] == {"top": 512}


def test_evidence_that_is_no_number_gives_a_record_without_a_score(at: Desk, path: Path) -> None:
    undecided = Judgement(
        verdict="undecided", reason="not_finite", score=float("nan"), threshold=0.5, defects=()
    )
    at.publisher.record(judged(frame(0, good_picture()), undecided))
    at.settle()
    (found,) = verdicts(path)
    assert found["score"] is None and found["reason"] == "not_finite"


def test_filled_in_lines_and_simulated_cameras_are_told(at: Desk, path: Path) -> None:
    partial = replace(frame(0, good_picture()), valid=np.arange(32) > 0, lines_lost=1)
    at.publisher.record(judged(partial))
    at.publisher.record(judged(frame(1, good_picture(), camera="simulated")))
    at.settle()
    assert [(one["is_partial"], one["is_simulated"]) for one in verdicts(path)] == [
        (True, False),
        (False, True),
    ]


def test_a_very_long_detail_is_cut(at: Desk, path: Path) -> None:
    at.publisher.record_undecided(frame(0, good_picture()), RECIPE, "engine_error", "x" * 10_000)
    at.settle()
    assert verdicts(path)[0]["detail"] == "x" * 500


def test_the_sequence_has_no_gap_over_kinds_cameras_and_restarts(path: Path) -> None:
    for _ in range(3):
        with desk(path) as at:
            at.publisher.record(judged(frame(0, bad_picture())))
            at.publisher.record_skipped(fault(1), RECIPE)
            at.publisher.record_undecided(
                frame(2, good_picture(), camera="bottom"), RECIPE, "engine_error", "x"
            )
            at.publisher.record(judged(frame(3, good_picture())))
    assert [one["sequence"] for one in verdicts(path)] == list(range(1, 13))
    assert len({one["result_id"] for one in verdicts(path)}) == 12


def test_lines_that_record_at_once_share_one_sequence(at: Desk, path: Path) -> None:
    def record(camera: str) -> None:
        for number in range(25):
            at.publisher.record(judged(frame(number, good_picture(), camera=camera)))

    threads = [threading.Thread(target=record, args=(name,)) for name in ("left", "right", "top")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    at.settle()
    found = verdicts(path)
    assert [one["sequence"] for one in found] == list(range(1, 76))
    for camera in ("left", "right", "top"):
        assert [one["frame"]["id"] for one in found if one["camera"] == camera] == list(range(25))


def test_nobody_hears_of_a_record_before_it_is_committed(at: Desk, path: Path) -> None:
    reached, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert let_go.wait(DEADLINE_S)

    at.outbox.append([], hold)
    assert reached.wait(DEADLINE_S)
    at.publisher.record(judged(frame(0, bad_picture())))
    assert stored(path) == [] and at.told() == {}
    assert at.metrics.snapshot()["frames"] == {"top": 0}
    let_go.set()
    at.settle()
    assert len(stored(path)) == 2 and at.told() == {"fail": 1}
    assert at.metrics.snapshot()["frames"] == {"top": 1}


def test_the_page_gets_the_pictures_of_what_did_not_pass(at: Desk) -> None:
    at.publisher.record(judged(frame(0, good_picture())))
    at.publisher.record(judged(frame(1, bad_picture())))
    at.settle()
    snapshot = at.board.snapshot()
    assert [reject.verdict.frame.id for reject in snapshot.rejects] == [1]
    assert [shown.verdict.frame.id for shown in snapshot.cameras[0].strip] == [1, 0]
    assert snapshot.rejects[0].input.jpeg()[:2] == b"\xff\xd8"


def test_a_disk_that_takes_no_more_is_raised_and_nothing_is_announced(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 1), np.uint8)
    noise[:64, :64] = 255
    by = recipe(crops=Crops(format="png", max_bytes=10_000_000, margin_px=600))
    with desk(path) as at:
        at.publisher.record(judged(frame(0, good_picture())))
        at.settle()
        with files_up_to(200_000):
            # Its crop is larger than what the disk still takes.
            at.publisher.record(judged(frame(1, noise), by=by))
            with pytest.raises(OutboxError):
                at.settle()
        with pytest.raises(OutboxError, match=r"outbox\.sqlite3"):
            at.publisher.record(judged(frame(2, good_picture())))
        assert at.told() == {"pass": 1}
    # Neither the verdict without its crop nor anything after it is on disk.
    assert [one["frame"]["id"] for one in verdicts(path)] == [0]
    assert len(stored(path)) == 1


def test_a_closed_outbox_is_raised_and_leaves_no_gap(path: Path) -> None:
    with desk(path) as at:
        at.publisher.record(judged(frame(0, good_picture())))
    with pytest.raises(OutboxError, match="closed"):
        at.publisher.record(judged(frame(1, good_picture())))
    assert at.told() == {"pass": 1}
    assert [one["sequence"] for one in verdicts(path)] == [1]


def test_a_skipped_frame_is_shown_by_its_thumbnail(at: Desk) -> None:
    at.publisher.record_skipped(
        replace(fault(4, "overload"), thumbnail=np.zeros((30, 40, 1), np.uint8)), RECIPE
    )
    at.publisher.record_skipped(fault(5, "camera_error"), RECIPE)
    at.settle()
    without, shown = at.board.snapshot().cameras[0].strip
    assert (shown.width, shown.height) == (40, 30) and shown.picture is not None
    assert without.picture is None
    assert at.metrics.snapshot()["unjudged"]["top"]["overload"] == 1


def test_no_metric_moves_for_a_skipped_trigger_that_is_not_committed(path: Path) -> None:
    with desk(path) as at:
        pass
    with pytest.raises(OutboxError, match="closed"):
        at.publisher.record_skipped(fault(0), RECIPE)
    assert at.metrics.snapshot()["camera_faults"] == {"top": dict.fromkeys(SKIPPED, 0)}
    with desk(path) as at:
        at.publisher.record_skipped(fault(0), RECIPE)
        at.settle()
        moved = at.metrics.snapshot()["camera_faults"]["top"]
        assert moved == {**dict.fromkeys(SKIPPED, 0), "camera_error": 1}


def test_names_that_are_no_unicode_are_recorded_as_well_as_they_can_be(at: Desk, path: Path) -> None:
    """A file name may be any bytes; Python then has surrogates in it."""
    odd = "cell\udcff7"
    at.publisher.record(judged(replace(frame(0, good_picture()), part_id=odd)))
    at.publisher.record_skipped(replace(fault(1), part_id=odd, detail=f"{odd}: is damaged"), RECIPE)
    at.settle()
    assert [one["part_id"] for one in verdicts(path)] == ["cell?7", "cell?7"]
    assert verdicts(path)[1]["detail"] == "cell?7: is damaged"


def test_a_record_says_the_part_and_the_order_that_were_bound_when_its_frame_was_captured(
    at: Desk, path: Path
) -> None:
    at.bindings.bind(Bind(part_id="SN-1", job_id="WO-7"), 10)
    at.bindings.bind(Bind(part_id="SN-2"), 30)
    for number, captured_ns in enumerate((5, 20, 25, 30)):
        at.publisher.record(
            judged(replace(frame(number, good_picture()), captured_ns=captured_ns, part_id="file"))
        )
    at.bindings.bind(Bind(part_id="SN-3", job_id=None), 40)
    at.publisher.record_skipped(replace(fault(5), captured_ns=50), RECIPE)
    at.settle()
    told = [(one["part_id"], one["job_id"]) for one in verdicts(path)]
    assert told == [("file", None), ("SN-1", "WO-7"), ("file", "WO-7"), ("SN-2", "WO-7"), ("SN-3", None)]
