"""A bundle is in force on a running station after probation, or the station is as it was and says why."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.clock import ManualClock
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.orders import Cancel, RollBack
from agent.remote.rollout.rollout_file import RECORD, NotWritable, RolloutFile
from agent.remote.rollout.transaction import Record
from agent.remote.rollout.updater import WAITING
from tests.agent.remote.depots import content, make_hand, record_of, served
from tests.agent.remote.rollouts import LIMITS, Rig, Told, asked, desired, digest, installed, signed


def restarted(rig: Rig, *, in_order: bool = False, clock: ManualClock | None = None) -> Rig:
    """The station after the end of its process."""
    rig.close(in_order=in_order)
    return Rig(rig.depot.folder, clock=clock or rig.clock)


def test_a_bundle_that_stands_its_probation_stays_and_the_one_before_is_previous(
    rig: Rig, there: dict[int, Path]
) -> None:
    assert rig.offer(signed(desired(there[3], 5))).code == 202
    rig.until_state("probation")
    report = rig.updater.report()
    assert report.active is not None and report.active.counter == 2  # until it is committed
    assert report.attempted is not None and (report.attempted.state, report.attempted.code) == (
        "probation",
        202,
    )
    assert rig.stage.serves == digest(there[3])
    rig.ended()
    assert served(rig.depot.folder) == (3, 2)
    report = rig.updater.report()
    assert report.active is not None and report.active.counter == 3
    assert report.attempted is not None and report.attempted.proof is not None
    assert (report.attempted.state, report.attempted.changed, report.attempted.proof.flips) == (
        "applied",
        True,
        1,
    )
    assert rig.events == [
        (
            "rollout_committed",
            "info",
            f"bundle small {digest(there[3])[:12]} has stood its probation and stays",
        )
    ]
    assert rig.updater.ended()["applied"] == 1 and rig.updater.words() == ()


def test_the_line_judges_by_the_bundle_before_until_the_boundary(rig: Rig, there: dict[int, Path]) -> None:
    rig.fetch.waits = True
    rig.offer(signed(desired(there[3], 5)))
    assert rig.fetch.started.wait(5)
    assert rig.stage.serves == digest(there[2]) and rig.stage.history == []
    assert served(rig.depot.folder) == (2, 1)


def test_a_source_that_is_away_is_told_of_as_long_as_it_is(rig: Rig, there: dict[int, Path]) -> None:
    rig.fetch.waits, rig.fetch.trouble = True, "https://files.example/x: cannot be reached"
    said = rig.offer(signed(desired(there[3], 5)))

    def told() -> list[str]:
        rig.clock.sleep(3.0)
        attempted = rig.updater.report().attempted
        assert attempted is not None and (attempted.state, attempted.code) == ("downloading", 202)
        return [one.message for one in attempted.errors]

    rig.until(lambda: told() == ["https://files.example/x: cannot be reached"])
    standing = rig.updater.standing(said.transaction or "")
    assert standing is not None and standing.message.endswith("cannot be reached")
    rig.fetch.trouble = None
    rig.until(lambda: told() == [])


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({"address": "station:site/area/line/another"}, 403, "it is for station:site/area/line/another"),
        ({"address": "group:nobody"}, 403, "and this is group:press, station:site/area/line/station"),
        ({"epoch": 2}, 409, "the trust file here is of epoch 1"),
        ({"expires": "2026-01-01T00:00:00Z"}, 410, "it has expired"),
        ({"more": 1}, 422, "more: Extra inputs"),
        ({"counter": 0}, 422, "counter"),
        ({"schema": "plumbline.desired-settings/1"}, 422, "schema"),
        ({"target": {"id": "x", "sha256": "ab" * 32, "size_bytes": 1 << 40}}, 413, "too many for a bundle"),
        ({"sources": [{"kind": "ftp"}]}, 422, "sources.0"),
    ],
)
def test_a_document_that_is_none_for_this_station_changes_nothing_and_says_why(
    changes: dict[str, Any], code: int, told: str, rig: Rig, there: dict[int, Path]
) -> None:
    before = content(rig.depot.folder)
    said = rig.offer(signed({**desired(there[3], 5), **changes}))
    assert (said.state, said.code) == ("rejected", code) and told in said.message
    attempted = rig.updater.report().attempted
    assert attempted is not None and (attempted.state, attempted.code) == ("rejected", code)
    assert told in attempted.errors[0].message
    assert content(rig.depot.folder) == before and rig.stage.history == []


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"{", 400),
        (b"[" * 1000, 400),
        (b'{"payload": NaN}', 400),
        (b'{"payload": "", "payload": "", "payloadType": "", "signatures": []}', 400),
        (bytes(300_000), 413),
        (signed({}, 3), 401),
        (signed({}, 2), 403),
        (signed({}, 0, kind="application/vnd.plumbline.settings+json"), 415),
        (signed(b"not json"), 400),
        (signed(b'{"counter": 1, "counter": 2}'), 400),
        (signed(b"[" * 100 + b"]" * 100), 400),
    ],
)
def test_bytes_that_nobody_who_is_trusted_signed_change_nothing(document: bytes, code: int, rig: Rig) -> None:
    before = content(rig.depot.folder)
    said = rig.offer(document)
    assert (said.state, said.code) == ("rejected", code)
    assert content(rig.depot.folder) == before and record_of(rig.depot.folder).state == "idle"


def test_a_threshold_wants_that_many_different_keys(folder: Path, there: dict[int, Path]) -> None:
    rig = Rig(folder, threshold=2)
    assert rig.offer(signed(desired(there[3], 5), 0, 0)).code == 401
    assert rig.offer(signed(desired(there[3], 5), 0, 1)).code == 202
    rig.close()


def test_without_a_trust_file_no_document_is_taken(rig: Rig, there: dict[int, Path]) -> None:
    rig.trust = None  # type: ignore[assignment]
    assert rig.offer(signed(desired(there[3], 5))).code == 401


def test_an_empty_message_is_no_instruction(rig: Rig) -> None:
    before = rig.updater.report()
    assert rig.offer(b"").state == "unchanged"
    assert rig.updater.report() == before


def test_a_document_that_comes_again_is_answered_and_hides_nothing(rig: Rig, there: dict[int, Path]) -> None:
    rig.prove.refused = {3}
    document = signed(desired(there[3], 5))
    rig.offer(document)
    rig.ended()
    changes = rig.changes
    again = rig.offer(document)
    assert rig.changes > changes
    assert (again.state, again.code) == ("rejected", 424) and "9 flips" in again.message
    attempted = rig.updater.report().attempted
    assert attempted is not None and attempted.proof is not None
    assert (attempted.state, attempted.code, attempted.changed) == ("failed", 422, False)
    assert attempted.proof.flips == 9
    good = signed(desired(there[4], 6))
    rig.offer(good)
    rig.ended()
    assert rig.offer(good).state == "unchanged"
    attempted = rig.updater.report().attempted
    assert attempted is not None and attempted.state == "applied"


def test_a_flood_of_documents_leaves_the_newest_to_be_taken(rig: Rig, there: dict[int, Path]) -> None:
    for counter in range(5, 105):
        rig.updater.take(signed(desired(there[3], counter)), rig.answers.append)
    assert len(rig.answers) == 84 and {one.code for one in rig.answers} == {429}
    rig.until(lambda: len(rig.answers) == 100)
    rig.ended()
    assert rig.record.highest[-1].counter == 104


def test_a_document_that_makes_something_fail_is_answered_and_ends_nothing(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.trust = "no trust file"  # type: ignore[assignment]
    assert rig.offer(signed(desired(there[3], 5))).code == 500


def test_counters_are_held_to(rig: Rig, there: dict[int, Path]) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    assert rig.offer(signed(desired(there[4], 4))).code == 409
    assert rig.offer(signed(desired(there[4], 5))).code == 409
    assert rig.offer(signed(desired(there[3], 6))).state == "unchanged"  # it serves already
    assert served(rig.depot.folder) == (3, 2)


def test_a_bundle_that_fails_its_proof_leaves_everything_as_it_was(rig: Rig, there: dict[int, Path]) -> None:
    before = content(rig.depot.folder)
    rig.prove.refused = {3}
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    assert content(rig.depot.folder) == before and rig.stage.history == []
    assert [name for name, *_ in rig.events] == ["rollout_refused"]
    assert rig.offer(signed(desired(there[3], 6))).code == 202  # signed again by a higher counter


def test_an_engine_that_cannot_be_opened_beside_fails_before_anything_is_switched(
    rig: Rig, there: dict[int, Path]
) -> None:
    before = content(rig.depot.folder)
    rig.stage.cannot = {digest(there[3])}
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    assert content(rig.depot.folder) == before and rig.record.errors[-1].code == 500


@pytest.mark.parametrize("code", [404, 408, 413, 507])
def test_bytes_that_do_not_come_are_not_held_against_the_bundle(
    code: int, rig: Rig, there: dict[int, Path]
) -> None:
    before = content(rig.depot.folder)
    rig.fetch.fails = [Told("no bytes", code)]
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    assert content(rig.depot.folder) == before
    assert (rig.record.outcome, rig.record.errors[-1].code, rig.record.failed) == ("failed", code, ())


def test_a_bundle_that_is_another_than_was_signed_for_is_refused(rig: Rig, there: dict[int, Path]) -> None:
    before = content(rig.depot.folder)
    wrong = desired(there[3], 5)
    wrong["sources"] = [{"kind": "folder", "path": str(there[4])}]
    rig.offer(signed(wrong))
    rig.ended()
    assert content(rig.depot.folder) == before
    assert (rig.record.errors[-1].code, rig.record.failed[-1].counter) == (422, 5)


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ({"is_error": True}, "errors in"),
        ({"is_reject": True, "score": 110.0}, "rejected, 0.0% before"),
        ({"latency_ms": 300.0}, "slower than 40.0 ms"),
        ({"score": 95.0}, "mean score is 95.0, 40.0 before"),
    ],
)
def test_a_bundle_that_does_worse_than_the_one_before_is_taken_back_and_remembered(
    verdicts: dict[str, Any], told: str, rig: Rig, there: dict[int, Path]
) -> None:
    before = content(rig.depot.folder)
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    rig.verdicts(30, **verdicts)
    rig.until_state("rolling_back")
    rig.until(lambda: rig.stage.serves == digest(there[2]))
    rig.verdicts(3)
    rig.until_state("idle")
    rig.updater.turn()
    assert content(rig.depot.folder) == before
    assert rig.record.outcome == "rolled_back" and told in rig.record.errors[-1].message
    attempted = rig.updater.report().attempted
    assert attempted is not None and (attempted.state, attempted.changed) == ("rolled_back", True)
    assert [name for name, *_ in rig.events] == ["rollout_rolled_back"]
    assert rig.offer(signed(desired(there[3], 5))).code == 424


def test_verdicts_of_the_bundle_before_count_neither_for_nor_against_the_new_one(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    rig.verdicts(100, bundle=digest(there[2]), is_error=True)
    rig.updater.turn()
    assert rig.record.state == "probation" and rig.updater._duties.share(rig.record) == 0


def test_a_line_that_stands_neither_commits_nor_takes_back_and_is_told_after_a_day(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    rig.verdicts(5)
    for _ in range(3):
        assert isinstance(rig.clock, ManualClock)
        rig.clock.advance(40_000)
        rig.updater.turn()
    assert rig.record.state == "probation"
    assert "on probation and the line stands: 5 of 20 verdicts" in rig.updater.words()[0]
    rig.verdicts(40)
    rig.until_state("idle")
    assert rig.record.outcome == "applied"


def test_an_explicit_rule_ends_the_probation_of_a_line_that_stands(
    folder: Path, there: dict[int, Path]
) -> None:
    rig = Rig(folder, limits=LIMITS.model_copy(update={"max_standing_days": 2.0}))
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(3 * 86_400)
    rig.until_state("idle")
    assert rig.record.outcome == "applied"
    rig.close()


def test_somebody_ends_a_probation_at_once(rig: Rig, there: dict[int, Path]) -> None:
    before = content(rig.depot.folder)
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    said = asked(rig, lambda: rig.updater.roll_back("quality", "scratches are missed"))
    assert said.code == 202
    rig.until(lambda: rig.stage.serves == digest(there[2]))
    rig.verdicts(3)
    rig.until_state("idle")
    assert content(rig.depot.folder) == before
    assert "taken back by quality: scratches are missed" in rig.record.errors[-1].message


def test_the_way_back_of_a_line_that_stands_ends_by_time(rig: Rig, there: dict[int, Path]) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    asked(rig, lambda: rig.updater.roll_back("quality", "no"))
    rig.until(lambda: rig.stage.serves == digest(there[2]))
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(61)
    rig.until_state("idle")
    assert rig.record.outcome == "rolled_back"


def test_somebody_goes_back_to_the_bundle_before_proven_and_on_probation(
    rig: Rig, there: dict[int, Path]
) -> None:
    said = asked(rig, lambda: rig.updater.roll_back("quality", "too many rejects"))
    assert said.code == 202 and said.transaction is not None
    rig.ended()
    assert served(rig.depot.folder) == (1, 2) and rig.prove.proven == [1]
    standing = rig.updater.standing(said.transaction)
    assert standing is not None and standing.is_over and standing.code == 200
    assert rig.fetch.orders == []  # it is here


def test_there_is_no_way_back_from_the_first(tmp_path: Path, there: dict[int, Path]) -> None:
    installed(tmp_path / "others" / "bundles", there[1])
    rig = Rig(tmp_path / "others" / "bundles")
    assert asked(rig, lambda: rig.updater.roll_back("quality", "no")).code == 404
    rig.close()


def test_a_fetch_that_stands_is_cancelled(rig: Rig, there: dict[int, Path]) -> None:
    before = content(rig.depot.folder)
    rig.fetch.waits = True
    begun = rig.offer(signed(desired(there[3], 5)))
    assert begun.transaction is not None and rig.fetch.started.wait(5)
    assert asked(rig, lambda: rig.updater.cancel("another")).code == 404
    assert asked(rig, lambda: rig.updater.cancel(begun.transaction)).code == 200
    rig.until_state("idle")
    assert content(rig.depot.folder) == before and rig.record.outcome == "cancelled"
    assert asked(rig, lambda: rig.updater.cancel()).code == 404


def test_on_probation_nobody_cancels(rig: Rig, there: dict[int, Path]) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    said = asked(rig, lambda: rig.updater.cancel())
    assert said.code == 409 and "it is probation" in said.message


def test_a_newer_document_supersedes_a_fetch_that_stands(rig: Rig, there: dict[int, Path]) -> None:
    rig.fetch.waits = True
    old = rig.offer(signed(desired(there[3], 5)))
    assert rig.fetch.started.wait(5)
    rig.fetch.waits = False
    assert rig.offer(signed(desired(there[4], 6))).code == 202
    rig.ended()
    assert served(rig.depot.folder) == (4, 2)
    standing = rig.updater.standing(old.transaction or "")
    assert standing is not None and (standing.state, standing.is_over) == ("superseded", True)
    assert digest(there[3]) not in rig.depot.bundles()


def test_a_document_that_comes_on_probation_waits_and_the_newest_is_taken_up(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    assert asked(rig, lambda: rig.updater.install(signed(desired(there[4], 7)))).code == 429
    assert rig.offer(signed(desired(there[4], 4))).code == 409  # is never taken, and need not wait
    assert rig.offer(signed(desired(there[4], 6))).state == "pending"
    said = rig.offer(signed(desired(there[1], 8)))
    assert (said.state, said.code) == ("pending", 202)
    assert "waits here for the end of the transaction before, which is probation" in said.message
    assert [(one.state, one.counter) for one in rig.attempts[-2:]] == [("superseded", 6), ("pending", 8)]
    assert rig.offer(signed(desired(there[4], 7))).code == 409  # no newer one that waits gives way to it
    assert rig.attempts[-1].errors[0].message == "counter 7 is not above 8, which waits here"
    assert rig.offer(signed(desired(there[1], 8))).state == "pending"
    rig.verdicts(40)
    rig.until(lambda: rig.record.state == "probation" and rig.record.highest[-1].counter == 8)
    rig.ended()
    assert served(rig.depot.folder) == (1, 3)


def test_of_many_that_come_at_once_each_has_its_answer(rig: Rig, there: dict[int, Path]) -> None:
    rig.updater.turn()
    for counter in range(5, 5 + WAITING + 3):
        rig.updater.take(signed(desired(there[3], counter)))
    rig.until(lambda: len(rig.attempts) >= WAITING + 3)
    refused = [one for one in rig.attempts if one.code == 429]
    assert [one.errors[0].message for one in refused] == ["too many newer ones came"] * 3
    rig.ended()
    assert rig.record.highest[-1].counter == 5 + WAITING + 2


def test_a_window_is_waited_for_and_a_window_that_is_over_ends_it(rig: Rig, there: dict[int, Path]) -> None:
    window = {"from": "2026-06-01T02:00:00Z", "until": "2026-06-01T03:00:00Z"}
    rig.offer(signed(desired(there[3], 5, window=window)))
    rig.until_state("staged")
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(3600)
    for _ in range(20):
        rig.updater.turn(0.001)
    assert rig.record.state == "staged"
    rig.clock.advance(3700)
    rig.until_state("probation")
    rig.ended()
    rig.offer(signed(desired(there[4], 6, window=window)))
    rig.until_state("staged")
    rig.clock.advance(3600)
    rig.until_state("idle")
    assert (rig.record.outcome, rig.record.errors[-1].code, rig.record.failed) == ("failed", 408, ())


def test_a_bundle_waits_for_settings_on_probation_says_so_and_goes_on_by_itself(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.settings = "probation"
    begun = rig.offer(signed(desired(there[3], 5)))
    rig.until(lambda: rig.turns.bundle == "waits")
    words = "settings are under way (probation); it comes into force when they have ended"
    assert begun.transaction is not None
    standing = rig.updater.standing(begun.transaction)
    assert standing is not None and standing.message == f"staged; {words}"
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(3)
    rig.updater.turn()
    attempted = rig.updater.report().attempted
    assert attempted is not None and (attempted.state, attempted.code) == ("staged", 202)
    assert [one.message for one in attempted.errors] == [words]
    assert rig.record.state == "staged" and served(rig.depot.folder) == (2, 1)
    rig.settings = None
    rig.until_state("probation")
    assert rig.turns.begin_settings(lambda: None) == "a bundle is on probation"
    rig.ended()
    assert served(rig.depot.folder) == (3, 2) and rig.turns.bundle == "away"


def test_a_bundle_that_waited_and_is_cancelled_keeps_no_settings_from_their_turn(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.settings = "probation"
    rig.offer(signed(desired(there[3], 5)))
    rig.until(lambda: rig.turns.bundle == "waits")
    rig.updater._orders.put(Cancel(transaction=None, reply=rig.answers.append))
    rig.until_state("idle")
    assert rig.turns.bundle == "away" and served(rig.depot.folder) == (2, 1)


def test_a_bundle_on_probation_has_the_line_again_after_a_restart_until_it_has_ended(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    again = restarted(rig)
    assert again.turns.begin_settings(lambda: None) == "a bundle is on probation"
    again.updater._orders.put(RollBack(who="somebody", reason="why not", reply=rig.answers.append))
    again.until_state("rolling_back")
    assert again.turns.begin_settings(lambda: None) == "a bundle is on probation"
    again.until(lambda: again.updater._duties._watching is not None)
    again.verdicts(5)
    again.until_state("idle")
    assert again.turns.begin_settings(lambda: None) is None
    again.close()


def test_expiry_is_left_out_where_the_clock_cannot_be_believed(folder: Path, there: dict[int, Path]) -> None:
    old = signed(desired(there[3], 5, expires="2026-01-01T00:00:00Z"))
    rig = Rig(folder)
    assert rig.offer(signed(desired(there[2], 4))).state == "unchanged"  # keeps the time
    rig = restarted(
        rig, in_order=True, clock=ManualClock(datetime(1970, 1, 1, tzinfo=timezone.utc), synced=True)
    )
    assert record_of(folder).latest_trusted_time == "2026-06-01T00:00:00.000Z"
    assert rig.offer(old).code == 202
    rig.ended()
    rig.close()


def test_by_hand_and_from_afar_exclude_each_other(rig: Rig, there: dict[int, Path]) -> None:
    with (rig.depot.folder / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert asked(rig, lambda: rig.updater.install(signed(desired(there[3], 5)))).code == 429
        assert rig.offer(signed(desired(there[3], 5))).state == "pending"
    rig.fetch.waits = True
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(6)
    rig.until_state("downloading")
    with pytest.raises(Exception, match="is at it; wait until it has ended, or cancel its rollout"):
        make_hand(rig.depot.folder).install(there[4])
    rig.fetch.waits = False
    rig.ended()
    make_hand(rig.depot.folder).install(there[4])
    assert served(rig.depot.folder) == (4, 3)


def test_a_station_two_installs_behind_keeps_its_own_bundle(rig: Rig, there: dict[int, Path]) -> None:
    rig.updater.turn()
    for counter in (3, 4):
        make_hand(rig.depot.folder).install(there[counter])
    assert served(rig.depot.folder) == (4, 3)
    assert rig.depot.fault_of(digest(there[2])) is None
    rig = restarted(rig)
    rig.updater.turn()
    make_hand(rig.depot.folder).install(there[1])
    assert digest(there[2]) not in rig.depot.bundles()


@pytest.mark.parametrize("spoils_both", [False, True])
def test_a_bundle_that_was_lost_on_the_disk_is_not_called_applied_any_more_nor_unchanged(
    rig: Rig, there: dict[int, Path], spoils_both: bool
) -> None:
    document = signed(desired(there[3], 5))
    rig.offer(document)
    rig.ended()
    assert rig.offer(signed(desired(there[3], 6))).state == "unchanged"
    for source in (there[3], there[2]) if spoils_both else (there[3],):
        (rig.depot.path_of(digest(source)) / "model.onnx").write_bytes(b"bit rot")
    again = restarted(rig, in_order=True)
    attempted = again.updater.report().attempted
    assert attempted is not None and (attempted.counter, attempted.changed, attempted.code) == (5, True, 500)
    assert attempted.state == ("failed" if spoils_both else "rolled_back")
    serves = "nothing serves in its place" if spoils_both else "what was before serves"
    words = f"it was damaged or lost on the disk, and {serves}; send it again with a higher counter"
    assert words in attempted.errors[-1].message
    assert again.offer(document).code == 409
    said = again.offer(signed(desired(there[3], 6)))
    assert (said.state, said.code) == ("rejected", 424) and words in said.message
    assert again.offer(signed(desired(there[3], 7))).code == 202
    again.ended()
    attempted = again.updater.report().attempted
    assert attempted is not None and (attempted.counter, attempted.state) == (7, "applied")
    assert again.stage.serves == digest(there[3])
    again.close(in_order=True)
    later = Rig(again.depot.folder).updater.report().attempted
    assert later is not None and (later.counter, later.state) == (7, "applied")


def test_a_lost_bundle_is_told_where_nothing_can_be_written(
    rig: Rig, there: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    (rig.depot.path_of(digest(there[3])) / "model.onnx").write_bytes(b"bit rot")
    rig.close(in_order=True)

    def full(*_: object) -> None:
        raise NotWritable("the disk is full")

    monkeypatch.setattr(RolloutFile, "write", full)
    attempted = Rig(rig.depot.folder).updater.report().attempted
    assert attempted is not None and (attempted.state, attempted.code) == ("rolled_back", 500)


def test_what_was_installed_by_hand_meanwhile_counts(rig: Rig, there: dict[int, Path]) -> None:
    make_hand(rig.depot.folder).install(there[4])
    rig.offer(signed(desired(there[3], 5)))
    rig.ended()
    assert served(rig.depot.folder) == (3, 4)


def test_a_record_that_cannot_be_written_refuses_and_begins_nothing(
    rig: Rig, there: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(rig.depot.folder)
    with monkeypatch.context() as patched:
        patched.setattr("agent.remote.rollout.rollout_file.replace_file", full)
        said = rig.offer(signed(desired(there[3], 5)))
        assert (said.state, said.code) == (
            "rejected",
            507,
        ) and "rollout.json: cannot be written" in said.message
        assert rig.fetch.orders == [] and content(rig.depot.folder) == before
    assert rig.offer(signed(desired(there[3], 5))).code == 202  # its counter was not used up


@pytest.mark.parametrize("state", ["verifying", "proving", "staged"])
def test_a_disk_that_is_full_in_between_is_waited_for(
    state: str, rig: Rig, there: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fetch.waits = True
    rig.offer(signed(desired(there[3], 5)))
    write = RolloutFile.write

    def until(self: RolloutFile, record: Record) -> None:
        if record.state == state:
            raise NotWritable("rollout.json: cannot be written (No space left on device)")
        write(self, record)

    with monkeypatch.context() as patched:
        patched.setattr(RolloutFile, "write", until)
        rig.fetch.waits = False
        rig.until(lambda: rig.updater.words() != ())
        assert rig.record.state != state and served(rig.depot.folder) == (2, 1)
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(6)
    rig.ended()
    assert served(rig.depot.folder) == (3, 2) and rig.updater.words() == ()


def test_a_breach_takes_the_line_back_even_where_the_disk_is_full(
    rig: Rig, there: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(rig.depot.folder)
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    with monkeypatch.context() as patched:
        patched.setattr("agent.remote.rollout.rollout_file.replace_file", full)
        rig.verdicts(30, is_error=True)
        rig.until(lambda: rig.stage.serves == digest(there[2]))
        assert rig.record.state == "probation"
    assert isinstance(rig.clock, ManualClock)
    rig.clock.advance(6)
    rig.until_state("rolling_back")
    rig.verdicts(3)
    rig.until_state("idle")
    assert content(rig.depot.folder) == before and rig.record.outcome == "rolled_back"


def test_a_disk_without_room_refuses_before_anything_is_begun(rig: Rig, there: dict[int, Path]) -> None:
    huge = desired(there[3], 5)
    object.__setattr__(rig.updater._means, "kept_free", 1 << 60)
    assert rig.offer(signed(huge)).code == 507
    object.__setattr__(rig.updater._means, "kept_free", 0)
    assert rig.offer(signed(huge)).code == 202


def test_a_first_bundle_comes_from_afar_and_one_that_fails_leaves_none(
    tmp_path: Path, there: dict[int, Path]
) -> None:
    rig = Rig(tmp_path / "new" / "bundles")
    rig.offer(signed(desired(there[1], 5)))
    rig.until_state("probation")
    rig.verdicts(30, is_error=True)
    rig.until_state("idle")
    assert rig.record.outcome == "unable_to_roll_back" and rig.stage.history[-1] is None
    assert [name for name, *_ in rig.events] == ["no_bundle", "rollout_rolled_back"]
    assert rig.updater.words() == ("No model bundle serves: nothing is judged until one is installed",)
    rig.offer(signed(desired(there[2], 6)))
    rig.ended()
    assert served(tmp_path / "new" / "bundles") == (2, None) and rig.updater.words() == ()
    rig.close()


def test_the_bundle_before_that_was_damaged_meanwhile_is_never_served(
    rig: Rig, there: dict[int, Path]
) -> None:
    rig.offer(signed(desired(there[3], 5)))
    rig.until_state("probation")
    (rig.depot.path_of(digest(there[2])) / "model.onnx").write_bytes(b"bit rot")
    rig.verdicts(30, is_error=True)
    rig.until_state("idle")
    assert rig.record.outcome == "unable_to_roll_back" and rig.stage.serves is None
    assert not (rig.depot.folder / "current").exists()


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("issuer", ["plant", "hand"])
def test_a_hand_that_finds_a_trial_without_its_station_goes_back_from_it(
    rig: Rig, there: dict[int, Path], issuer: str
) -> None:
    rig.offer(signed(desired(there[3], 5, issuer=issuer)))
    rig.until_state("probation")
    rig.close(in_order=False)
    make_hand(rig.depot.folder).install(there[4])
    assert served(rig.depot.folder) == (4, 2)
    assert [one.target_sha256 for one in record_of(rig.depot.folder).failed] == [digest(there[3])]


def test_what_was_seen_stays_known_where_the_record_is_read_again(
    folder: Path, there: dict[int, Path]
) -> None:
    rig = Rig(folder)
    rig.offer(signed(desired(there[3], 5)))
    rig.ended().close()
    before = record_of(folder)
    assert RolloutFile(path=folder / RECORD).read() == (before, None)
    assert replace(before, latest_trusted_time=None) != before
    assert Depot(folder=folder).named("current") == digest(there[3])
