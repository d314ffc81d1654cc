"""Whole rollouts with simulated stations: good ones, bad ones, and stations that come and go and lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.contract.desired import read_settings
from agent.remote.settings.merge import merged
from models.fleet.begin import NotBegun
from models.fleet.ledger import LedgerError
from models.fleet.plan import Attempt, Heard
from tests.fleet.office import Desk, ahead, terms
from tests.fleet.sources import Lie as SourceLie
from tests.fleet.station import AS_INSTALLED, Cues, Lie, settings_digest
from tests.fleet.world import NEW, NEWER, OLD, Death, World, cut, decoded, interrupt_when, world

LIVE, SMALL_RING = {"line": {"mode": "live"}}, {"line": {"ring_frames": 8}}


def with_(*patches: dict[str, Any]) -> dict[str, Any]:
    """What a station runs that was told these."""
    found: dict[str, Any] = dict(AS_INSTALLED)
    for patch in patches:
        found = merged(found, patch)
    return found


def bundles(plant: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in plant.stations:
        found[one.bundle.id] = found.get(one.bundle.id, 0) + 1
    return found


def test_a_good_bundle_reaches_every_station_in_waves(tmp_path: Path) -> None:
    plant = world(40)
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "finished"
    assert bundles(plant) == {"new": 40}
    sizes = [int(line.split(": ")[1].split()[0]) for line in desk.said if line.startswith("told what is new")]
    assert sizes == [1, 2, 10, 27]
    first = next(index for index, line in enumerate(desk.said) if line.endswith(": applied"))
    assert first < desk.said.index("wave 1 of 4 is complete")  # the reason before what comes of it


def test_what_keeps_a_station_from_getting_on_is_said_once(tmp_path: Path) -> None:
    plant = world(3)
    desk = Desk(plant, tmp_path)
    record = desk.bundle(NEW)
    conductor, (member, *_) = desk._conductor(desk._hall(), record), record.members
    assert member.word is not None

    def heard(message: str, *, counter: int = member.word.counter) -> dict[str, Heard]:
        attempt = Attempt(
            issuer=record.issuer,
            epoch=record.epoch,
            counter=counter,
            envelope_sha256=None,
            state="downloading",
            code=202,
            message=message,
        )
        return {member.address: Heard(is_online=True, attempt=attempt)}

    desk.said.clear()
    for one in (heard("away", counter=99), heard("away"), heard("away"), heard(""), heard("away\n")):
        conductor._tell_trouble(one)
    assert desk.said[0] == f"{member.address}: downloading: away"
    assert len(desk.said) == 2 and "\n" not in desk.said[1]


def test_a_bad_bundle_is_stopped_in_the_first_wave_and_stays_on_no_topic(tmp_path: Path) -> None:
    plant = world(20, cues={n: Cues(fails={NEW.sha256: "prove"}) for n in range(20)})
    desk = Desk(plant, tmp_path)
    record = desk.bundle(NEW)
    assert (record.state, record.wave) == ("stopped", 0)
    assert "first wave" in record.why
    assert bundles(plant) == {"old": 20}
    assert sum(bool(one.installs) for one in plant.stations) == 0
    assert not [one for one in plant.retained.values() if NEW.sha256.encode() in decoded(one)]


def test_a_bundle_that_breaks_on_live_frames_is_rolled_back_there_and_stopped(tmp_path: Path) -> None:
    plant = world(20, cues={0: Cues(fails={NEW.sha256: "probation"})})
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "stopped"
    assert plant.stations[0].installs == [NEW.sha256, OLD.sha256]
    assert desk.record().members[0].result == "rolled_back"


def test_six_percent_of_failures_stop_the_third_wave(tmp_path: Path) -> None:
    bad = {n: Cues(fails={NEW.sha256: "probation"}) for n in (10, 20)}
    plant = world(100, cues=bad)
    desk = Desk(plant, tmp_path)
    record = desk.bundle(NEW)
    assert record.state == "stopped" and record.wave == 2, desk.said
    assert "above 0.05" in record.why
    running = bundles(plant)
    assert running["new"] < 31 and running["old"] > 69
    assert desk.results()["rolled_back"] == 2


def test_failures_at_their_share_do_not_stop_it(tmp_path: Path) -> None:
    bad = {n: Cues(fails={NEW.sha256: "probation"}) for n in (90,)}
    desk = Desk(world(100, cues=bad), tmp_path)
    assert desk.bundle(NEW).state == "finished"
    assert desk.results() == {"applied": 99, "rolled_back": 1}


@pytest.mark.parametrize("has_session", [True, False], ids=["with its session", "without a session"])
@pytest.mark.parametrize("was_told", [True, False], ids=["told before it left", "never told"])
def test_a_station_that_returns_after_a_stopped_rollout_does_not_take_it(
    tmp_path: Path, has_session: bool, was_told: bool
) -> None:
    bad = {n: Cues(fails={NEWER.sha256: "probation"}) for n in (3, 4, 5)}
    plant = world(20, cues=bad)
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "finished"
    away = plant.stations[1]
    if was_told:
        away.cues.ticks = 10_000  # it has the document, and gets no further
        interrupt_when(plant, lambda: len(plant.published) > 20, lambda: plant.leave(away))
    else:
        plant.leave(away)
    assert desk.bundle(NEWER, terms=terms("3", "rest", max_failed_share=0.1)).state == "stopped"
    away.cues.ticks = 1
    plant.come_back(away, has_session=has_session)
    for _ in range(30):
        plant.turn(0.1)
    assert away.bundle == NEW
    assert NEWER.sha256 not in away.installs


def test_what_runs_the_new_bundle_keeps_it_after_a_stop_and_the_way_back_is_a_command(tmp_path: Path) -> None:
    bad = {n: Cues(fails={NEWER.sha256: "probation"}) for n in (2, 3)}
    plant = world(10, cues=bad)
    desk = Desk(plant, tmp_path)
    desk.bundle(NEW)
    record = desk.bundle(NEWER, terms=terms("2", "rest"))
    assert record.state == "stopped"
    running = bundles(plant)
    assert running["newer"] >= 2
    kept = next(one for one in plant.stations if one.bundle == NEWER)
    assert kept.topics.desired("bundle") not in plant.retained
    assert desk.back().state == "taken_back"
    assert bundles(plant) == {"new": 10}
    assert {one.returned for one in desk.record().members if one.words} == {"applied"}


def test_a_stopped_rollout_goes_on_and_excuses_what_failed(tmp_path: Path) -> None:
    plant = world(10, cues={0: Cues(fails={NEW.sha256: "prove"})})
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "stopped"
    assert desk.resume().state == "finished"
    assert bundles(plant) == {"old": 1, "new": 9}


def test_a_rollout_is_stopped_by_hand(tmp_path: Path) -> None:
    plant = world(10, cues={n: Cues(ticks=10_000) for n in range(10)})
    desk = Desk(plant, tmp_path)
    cut(plant, after=1)
    with pytest.raises(Death):
        desk.bundle(NEW)
    plant.before_publish = lambda: None
    assert desk.stop().state == "stopped"


def test_settings_go_out_and_come_back_the_same_way(tmp_path: Path) -> None:
    plant = world(12)
    desk = Desk(plant, tmp_path)
    assert desk.settings(LIVE).state == "finished"
    assert all(one.settings == with_(LIVE) for one in plant.stations)
    first_counter = plant.stations[0].settings_in_force[-1].counter
    plant.stations[0].cues.fails[settings_digest(with_(SMALL_RING))] = "verify"
    record = desk.settings(SMALL_RING)
    assert record.state == "stopped" and record.members[0].code == 422
    del plant.stations[0].cues.fails[settings_digest(with_(SMALL_RING))]
    assert desk.settings(SMALL_RING).state == "finished"
    assert all(one.settings == with_(SMALL_RING) for one in plant.stations), "LIVE is not said any more"
    assert desk.back().state == "taken_back"
    assert all(one.settings == with_(LIVE) for one in plant.stations)
    assert (plant.stations[0].settings_in_force[-1].counter or 0) > (first_counter or 0)


def test_the_first_settings_are_taken_back_to_the_stations_own_file(tmp_path: Path) -> None:
    plant = world(4)
    desk = Desk(plant, tmp_path)
    desk.settings(LIVE)
    assert desk.back().state == "taken_back"
    assert all(one.settings == AS_INSTALLED for one in plant.stations)


def test_whoever_was_away_for_two_documents_needs_the_last_one_only(tmp_path: Path) -> None:
    plant = world(4)
    desk = Desk(plant, tmp_path)
    away = plant.stations[2]
    plant.leave(away)
    desk.settings(LIVE)
    desk.settings({**LIVE, "revision": 7})
    plant.come_back(away, has_session=False)
    for _ in range(10):
        plant.turn(0.1)
    assert away.settings == with_(LIVE, {"revision": 7})


def test_a_group_is_told_at_once_by_one_document(tmp_path: Path) -> None:
    plant = world(6, groups=("press",))
    desk = Desk(plant, tmp_path)
    assert desk.settings(LIVE, "group:press", at_once=True).state == "finished"
    assert [topic for topic, _ in plant.published] == ["plumbline/v1/groups/press/config/desired"]
    assert all(one.settings == with_(LIVE) for one in plant.stations)
    assert desk.results() == {"applied": 1}


def test_one_issuer_tells_a_group_or_its_stations_and_not_both(tmp_path: Path) -> None:
    plant = world(3, groups=("press",))
    desk = Desk(plant, tmp_path)
    desk.settings(LIVE, "group:press", at_once=True)
    with pytest.raises(NotBegun, match="its group press has a document of this issuer"):
        desk.settings(SMALL_RING, "cell-0")
    plant.put("plumbline/v1/groups/press/config/desired", b"")
    desk.settings(SMALL_RING, "cell-0")
    with pytest.raises(NotBegun, match="cell-0 has a document of its own"):
        desk.settings(LIVE, "group:press", at_once=True)


def test_one_bad_station_of_a_group_stops_it(tmp_path: Path) -> None:
    plant = world(6, groups=("press",), cues={3: Cues(fails={settings_digest(with_(LIVE)): "probation"})})
    desk = Desk(plant, tmp_path)
    assert desk.settings(LIVE, "group:press", at_once=True).state == "stopped"
    posted = decoded(plant.retained["plumbline/v1/groups/press/config/desired"])
    assert read_settings(posted).settings == {}, "what was before: nothing"
    assert all(one.settings == AS_INSTALLED for one in plant.stations)


def test_a_station_that_was_away_takes_it_when_it_returns(tmp_path: Path) -> None:
    plant = world(10)
    plant.leave(plant.stations[4])
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "finished"
    assert bundles(plant) == {"old": 1, "new": 9}
    assert desk.results() == {"applied": 9, "none": 1}
    plant.come_back(plant.stations[4], has_session=False)
    for _ in range(30):
        plant.turn(0.1)
    assert bundles(plant) == {"new": 10}


@pytest.mark.parametrize("lie", ["wrong_version", "stale_report", "silent", "never_ends"])
def test_a_lying_station_neither_passes_nor_blocks(tmp_path: Path, lie: Lie) -> None:
    plant = world(20, cues={0: Cues(lie=lie)})
    plant.seconds_a_turn = 1.0
    desk = Desk(plant, tmp_path)
    record = desk.bundle(NEW)
    if lie == "wrong_version":
        assert record.state == "stopped"
        assert record.members[0].message == "it says applied, and runs another one"
    else:
        assert record.state == "finished"
        assert record.members[0].result == ("applied" if lie == "stale_report" else None)
        assert desk.results()["applied"] >= 19


@pytest.mark.parametrize(("lie", "code"), [("truncated", 422), ("other_bytes", 422), ("endless", 413)])
def test_sources_that_lie_cost_the_first_station_an_attempt_and_nothing_else(
    tmp_path: Path, lie: SourceLie, code: int
) -> None:
    plant = world(10)
    plant.stations[0]._sources.lie = lie
    desk = Desk(plant, tmp_path)
    record = desk.bundle(NEW)
    assert record.state == "stopped" and record.members[0].code == code
    assert bundles(plant) == {"old": 10}


def test_a_slow_link_only_takes_its_time(tmp_path: Path) -> None:
    plant = world(10, cues={0: Cues(ticks=20)})
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "finished"


def test_replayed_documents_change_nothing(tmp_path: Path) -> None:
    plant = world(5)
    desk = Desk(plant, tmp_path)
    desk.bundle(NEW)
    old = list(plant.published)
    desk.bundle(NEWER)
    for topic, payload in old:
        plant.put(topic, payload)
    for _ in range(30):
        plant.turn(0.1)
    assert bundles(plant) == {"newer": 5}
    assert desk.bundle(NEW).state == "finished", "an old document on a topic is ours, and is replaced"


def test_a_station_whose_counter_was_driven_up_is_named_before_anything_is_said(tmp_path: Path) -> None:
    plant = world(5)
    plant.stations[3].fast_forward("office", 2**52)
    plant.leave(plant.stations[3])
    plant.come_back(plant.stations[3], has_session=False)
    desk = Desk(plant, tmp_path)
    with pytest.raises(NotBegun, match=f"cell-3: {2**52}; another machine signs"):
        desk.bundle(NEW)
    assert plant.published == [] and desk.ledger.latest() is None
    assert desk.bundle(NEW, above_reported=True).state == "finished"
    assert bundles(plant) == {"new": 5}


def test_counters_that_are_used_up_need_another_epoch(tmp_path: Path) -> None:
    plant = world(2)
    plant.stations[0].fast_forward("office", 2**53 - 1)
    plant.leave(plant.stations[0])
    plant.come_back(plant.stations[0], has_session=False)
    with pytest.raises(LedgerError, match="keys rotate --new-epoch"):
        Desk(plant, tmp_path).bundle(NEW, above_reported=True)


def test_a_clock_of_1970_does_not_keep_a_station_from_it(tmp_path: Path) -> None:
    plant = world(3)
    from agent.clock import ManualClock
    from tests.fleet.station import YEAR_1970

    plant.stations[0]._clock = ManualClock(YEAR_1970, synced=False)
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "finished"
    assert bundles(plant) == {"new": 3}


def test_two_operators_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    plant = world(3)
    desk = Desk(plant, tmp_path)
    with desk.ledger.held(), pytest.raises(LedgerError, match="is at it"):
        Desk(plant, tmp_path).bundle(NEW)
    assert plant.published == []


def test_an_operator_with_a_folder_of_his_own_is_stopped_by_what_stands_there(tmp_path: Path) -> None:
    plant = world(3)
    Desk(plant, tmp_path / "a").bundle(NEW)
    with pytest.raises(NotBegun, match="another machine signs as this issuer"):
        Desk(plant, tmp_path / "b").bundle(NEWER)
    for one in plant.stations:
        plant.leave(one)
        plant.retained.pop(one.topics.reported())
    with pytest.raises(NotBegun, match="a document of issuer office, counter 1, stands there"):
        Desk(plant, tmp_path / "b").bundle(NEWER)


def test_whoever_publishes_in_between_stops_the_rollout_and_is_not_overwritten(tmp_path: Path) -> None:
    plant = world(10, cues={0: Cues(ticks=100)})
    desk = Desk(plant, tmp_path / "a")
    theirs = world(10)
    Desk(theirs, tmp_path / "b", ledger=ahead(tmp_path / "b", 50)).bundle(NEWER)
    topic = plant.stations[0].topics.desired("bundle")
    document = theirs.retained[topic]
    interrupt_when(plant, lambda: bool(plant.published), lambda: plant.put(topic, document))
    record = desk.bundle(NEW)
    assert record.state == "stopped" and "another machine signs" in record.why
    assert plant.retained[topic] == document
