"""What became of triggers is counted as records become durable, and nothing is lost among threads."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from agent.contract.metrics import UNJUDGED, VERDICTS, message
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
    assert counts["skipped"] == {"lost_lines": 1}
    assert counts["camera_faults"] == {lost.camera: {"lost_lines": 1}}
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
