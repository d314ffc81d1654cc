"""Each change of the bundle that serves leaves a record: who wanted it, and what served before."""

from __future__ import annotations

from pathlib import Path

from agent.clock import ManualClock
from agent.remote.changes import NAME, ChangeFile
from agent.remote.rollout.orders import RollBack
from agent.remote.rollout.recorded import BundleRecord
from tests.agent.remote.rollouts import Rig, desired, digest, signed


def test_a_bundle_by_document_is_its_issuers_change_from_one_digest_to_the_next(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    (one,) = rig.recorded.last(9)
    assert (one.who, one.way, one.what, one.outcome) == (
        desired(there[3], 5)["issuer"],
        "document",
        "bundle",
        "done",
    )
    assert one.before == {"sha256": digest(there[2])} and one.after == {"sha256": digest(there[3])}
    assert one.wanted["counter"] == 5


def test_a_document_of_whoever_calls_itself_the_station_is_recorded_as_a_document(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.offer(signed(desired(there[3], 5, issuer="station")))
    rig.ended()
    (one,) = rig.recorded.last(9)
    assert (one.who, one.way, one.outcome) == ("station", "document", "done")


def test_one_that_is_refused_changes_nothing_and_says_why(tmp_path: Path, there: dict[int, Path]) -> None:
    rig = Rig(tmp_path / "bundles", refused=(3,))
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    rig.close()
    (one,) = rig.recorded.last(9)
    assert (one.outcome, one.way, one.before, one.after) == ("failed", "document", {}, {})
    assert one.wanted["sha256"] == digest(there[3]) and one.wanted["why"]


def test_what_is_taken_back_is_the_stations_doing_with_the_reason(rig: Rig, there: dict[int, Path]) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    rig.updater._orders.put(RollBack(who="anna", reason="too many rejects", reply=rig.answers.append))
    rig.until(lambda: rig.stage.serves == digest(there[2]))
    rig.verdicts(3)
    rig.until_state("idle")
    (one,) = rig.recorded.last(9)
    assert (one.who, one.way, one.outcome) == ("plumbline", "station", "done")
    assert (one.before, one.after) == ({"sha256": digest(there[3])}, {"sha256": digest(there[2])})
    assert "anna" in str(one.wanted["why"]) and "too many rejects" in str(one.wanted["why"])


def test_a_way_back_that_somebody_asked_for_is_the_stations_beside_the_record_of_its_command(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.updater._orders.put(RollBack(who="anna", reason="too many rejects", reply=rig.answers.append))
    rig.until_state("probation")
    rig.ended()
    (one,) = rig.recorded.last(9)
    assert (one.who, one.way, one.outcome) == ("plumbline", "station", "done")
    assert (one.before, one.after) == ({"sha256": digest(there[2])}, {"sha256": digest(there[1])})


def test_a_start_tells_of_a_bundle_that_was_installed_by_hand_and_of_no_other(tmp_path: Path) -> None:
    changes = ChangeFile(tmp_path / NAME, ManualClock())
    for sha256 in ("aa" * 32, "aa" * 32, "bb" * 32, "bb" * 32):
        BundleRecord(changes).serves(sha256)
    second, first = changes.last(9)
    assert first.wanted == {"first": True} and first.after == {"sha256": "aa" * 32}
    assert (second.way, second.before, second.after) == ("file", first.after, {"sha256": "bb" * 32})
