"""Settings come into force by a document or the file, and stay or go back; every document gets its answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.remote.settings.desired import Flaw
from agent.remote.settings.proof import PROOF_S
from tests.agent.remote.settled import BEFORE, HERE, Station, document, signed, started, trust_file


def test_a_document_is_in_force_at_once_and_applied_after_probation(tmp_path: Path) -> None:
    station = started(tmp_path)
    said = station.offer(signed(document({"judge": {"min_area_px": 30}, "revision": 2})))
    assert said is not None and (said.state, said.code, said.changed) == ("probation", 202, True)
    assert station.target.settings.judge.min_area_px == 30
    said = station.judge("stable")
    assert said is not None and (said.state, said.code, said.errors) == ("applied", 200, ())
    active = station.rollout.snapshot
    assert active is not None and active.source == "remote" and active.origin is not None
    assert (active.origin.issuer, active.origin.counter, active.origin.address) == ("plant", 1, HERE)


def test_a_worse_health_takes_the_settings_back_and_the_document_is_not_tried_again(tmp_path: Path) -> None:
    station = started(tmp_path)
    before = station.target
    bad = signed(document({"judge": {"min_area_px": 30}}))
    station.offer(bad)
    said = station.judge("breach", "errors in 9 of 20 verdicts")
    assert said is not None and (said.state, said.code, said.changed) == ("rolled_back", 422, True)
    assert said.errors[0].message == "errors in 9 of 20 verdicts"
    assert station.target == before and not station.rollout.is_busy
    said = station.offer(bad)
    assert said is not None and (said.state, said.code) == ("rejected", 424)
    assert "errors in 9 of 20" in said.errors[0].message
    station.offer(signed(document({"judge": {"min_area_px": 30}}, counter=2)))
    said = station.judge("stable")
    assert said is not None and said.state == "applied"


def test_what_was_tried_and_failed_stays_readable_whatever_comes_after_it(tmp_path: Path) -> None:
    station = started(tmp_path)
    assert station.rollout.answers.last_failed is None
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    failed = station.judge("breach", "errors in 9 of 20 verdicts")
    said = station.offer(signed(document({"revision": 1}, counter=2)))  # as a stopped rollout tells it
    assert said is not None and said.state == "applied"
    assert station.rollout.answers.last_failed == failed
    station.offer(signed(document({"revision": 3}, counter=1)))  # a replay fails otherwise, and is not tried
    station.begin()
    assert station.rollout.answers.last_failed == failed
    station.offer(signed(document({"nothing": 1}, counter=3)))
    again = station.rollout.answers.last_failed
    assert again is not None and (again.counter, again.state, again.code) == (3, "failed", 422)


def test_the_same_document_again_is_unchanged_and_told_again(tmp_path: Path) -> None:
    station = started(tmp_path)
    envelope = signed(document({"revision": 5}))
    station.offer(envelope)
    station.judge("stable")
    told = station.told
    said = station.offer(envelope)
    assert said is not None and (said.state, said.code) == ("unchanged", 200)
    assert station.told > told


def test_a_document_that_changes_nothing_needs_no_probation(tmp_path: Path) -> None:
    station = started(tmp_path)
    said = station.offer(signed(document({"judge": {"min_area_px": 16}})))
    assert said is not None and said.state == "applied" and not station.run.trials
    active = station.rollout.snapshot
    assert active is not None and active.origin is not None and active.origin.counter == 1


def test_null_removes_a_member_and_its_default_is_in_force(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.write({**station.local, "judge": {"min_area_px": 99}})
    station.rollout.reload()
    station.turn()
    station.offer(signed(document({"judge": {"min_area_px": None}})))
    station.judge("stable")
    assert station.target.settings.judge.min_area_px == 16


BAD: dict[str, tuple[Any, int, str]] = {
    "ten megabytes": (b"x" * 10_000_000, 413, "10000000 bytes"),
    "no JSON": (b"{", 400, "envelope"),
    "nested a thousand deep": (b"[" * 1000 + b"]" * 1000, 400, "deeper"),
    "a member twice in the envelope": (b'{"payload": "", "payload": ""}', 400, "twice"),
    "unsigned": (signed(document({}), 3), 401, "no key of the trust file"),
    "signed for bundles only": (signed(document({}), 2), 403, "role settings"),
    "of another type": (signed(document({}), kind="application/json"), 415, "application/json"),
    "a bundle's document": (
        signed(document({}), 2, kind="application/vnd.plumbline.bundle+json"),
        415,
        "vnd.plumbline.settings",
    ),
    "payload no JSON": (signed(b"{]"), 400, "payload"),
    "payload deep": (signed(b'{"settings": ' + b"[" * 1000 + b"]" * 1000 + b"}"), 400, "deeper"),
    "NaN": (signed(b'{"settings": {"judge": {"threshold": NaN}}}'), 400, "NaN"),
    "a member twice": (signed(b'{"counter": 1, "counter": 2}'), 400, "twice"),
    "bytes behind it": (signed(b"{} {}"), 400, "character"),
    "a list": (signed(b"[]"), 422, ""),
    "no settings": (signed({key: one for key, one in document({}).items() if key != "settings"}), 422, ""),
    "a member too many": (signed(document({}, more=1)), 422, ""),
    "a counter of 0": (signed(document({}, counter=0)), 422, ""),
    "a counter as text": (signed(document({}, counter="1")), 422, ""),
    "another schema": (signed(document({}, schema="plumbline.desired-settings/2")), 422, ""),
    "another station's": (signed(document({}, address="station:site/area/line/other")), 403, "it is for"),
    "a group that is not ours": (signed(document({}, address="group:paint")), 403, "group:press"),
    "no address": (signed(document({}, address="everybody")), 422, ""),
    "an epoch to come": (signed(document({}, epoch=2)), 409, "epoch"),
    "expired": (signed(document({}, expires=BEFORE)), 410, "expired"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_document_for_this_station_gets_one_answer_and_changes_nothing(
    what: str, tmp_path: Path
) -> None:
    envelope, code, words = BAD[what]
    station = started(tmp_path)
    before, disk = station.target, station.disk()
    said = station.offer(envelope)
    assert said is not None and (said.state, said.code, said.changed) == ("rejected", code, False)
    assert words in said.errors[0].message
    assert station.target == before and not station.rollout.is_busy and not station.run.proven
    if what == "expired":  # it was genuine: its counter counts
        disk.pop("settings/rollout.json", None)
        assert station.disk().pop("settings/rollout.json")
    assert disk.items() <= station.disk().items()
    assert {one for one in station.disk() if one not in disk} <= {"settings/rollout.json"}


SENSELESS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"judge": {"min_area": 3}}, "judge.min_area"),
    "a text in place of a number": ({"judge": {"min_area_px": "3"}}, "judge.min_area_px"),
    "out of bounds": ({"page": {"port": 70000}}, "page.port"),
    "no camera": ({"cameras": []}, "cameras"),
    "a camera twice": ({"cameras": [{"name": "a"}, {"name": "a"}]}, "cameras"),
    "a secret": ({"mqtt": {"password": "hunter2"}}, "mqtt.password"),
    "a login in an address": (
        {"cameras": [{"source": {"kind": "video", "url": "rtsp://me:hunter2@10.0.0.9/s"}}]},
        "cameras.0.source.url",
    ),
    "the station's name": ({"identity": {"station": "other"}}, "identity.station"),
    "who may sign": ({"trust": {"file": "mine.json"}}, "trust.file"),
    "trust away": ({"trust": None}, "trust"),
    "its own trial": ({"remote": {"probation": {"verdicts": 1}}}, "remote.probation.verdicts"),
    "its groups": ({"remote": {"groups": []}}, "remote.groups"),
    "the outbox": ({"outbox": {"path": "other.sqlite3"}}, "outbox.path"),
}


@pytest.mark.parametrize("what", SENSELESS)
def test_settings_that_make_no_sense_or_must_not_come_from_afar_are_told_by_their_place(
    what: str, tmp_path: Path
) -> None:
    patch, path = SENSELESS[what]
    station = started(tmp_path)
    before, links = station.target, station.store.links()
    said = station.offer(signed(document(patch)))
    assert said is not None and (said.state, said.code, said.changed) == ("failed", 422, False)
    assert said.errors[0].path == path
    assert "hunter2" not in said.model_dump_json()
    assert station.target == before and station.store.links() == links and not station.run.proven


def test_without_a_trust_file_every_document_is_refused_with_the_remedy(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.write({key: one for key, one in station.local.items() if key != "trust"})
    station.begin()
    said = station.offer(signed(document({})))
    assert said is not None and said.code == 401 and "trust.file" in said.errors[0].message


def test_an_empty_message_is_no_instruction_and_no_reset(tmp_path: Path) -> None:
    station = started(tmp_path)
    assert station.offer(b"") is None and station.told == 0


def test_a_threshold_is_of_keys_that_differ(tmp_path: Path) -> None:
    station = started(tmp_path)
    (tmp_path / "trust.json").write_bytes(trust_file(threshold=1))
    assert station.offer(signed(document({}, counter=1), 0)) is not None


def test_counters_only_go_up_and_each_has_one_content(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"revision": 5}, counter=5)))
    station.judge("stable")
    for content, words in [
        (document({"revision": 4}, counter=4), "not above 5"),
        (document({"revision": 6}, counter=5), "another content"),
    ]:
        said = station.offer(signed(content))
        assert said is not None and (said.state, said.code) == ("rejected", 409)
        assert words in said.errors[0].message
    assert station.target.settings.revision == 5


def test_a_counter_that_was_driven_up_is_forgotten_with_its_epoch(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"revision": 5}, counter=2**53 - 1)))
    station.judge("stable")
    (tmp_path / "trust.json").write_bytes(trust_file(epoch=2))
    station.offer(signed(document({"revision": 6}, counter=1, epoch=2)))
    said = station.judge("stable")
    assert said is not None and said.state == "applied" and station.target.settings.revision == 6


def test_what_was_refused_for_its_settings_counts_and_what_expired_counts_too(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"nothing": 1}, counter=3)))
    said = station.offer(signed(document({"revision": 2}, counter=2)))
    assert said is not None and said.code == 409
    station.offer(signed(document({}, counter=9, expires=BEFORE)))
    said = station.offer(signed(document({"revision": 2}, counter=8)))
    assert said is not None and said.code == 409


def test_a_clock_that_nobody_sets_makes_nothing_expire_and_that_is_said(tmp_path: Path) -> None:
    station = started(tmp_path, synced=None)
    said = station.offer(signed(document({"revision": 2}, expires=BEFORE)))
    assert said is not None and said.state == "probation" and not station.rollout.expiry_checked


def test_an_earlier_clock_than_one_that_was_right_is_not_believed(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"revision": 2})))
    station.judge("stable")
    station.clock.advance(-86_400 * 20000)  # 1972
    said = station.offer(signed(document({"revision": 3}, counter=2, expires="1971-01-01T00:00:00Z")))
    assert said is not None and said.state == "probation" and not station.rollout.expiry_checked


def test_an_address_has_one_issuer(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"revision": 2})))
    station.judge("stable")
    said = station.offer(signed(document({"revision": 3}, issuer="other")))
    assert said is not None and said.code == 403 and "plant" in said.errors[0].message
    station.offer(signed(document({"crops": {"margin_px": 8}}, issuer="other", address="group:press")))
    said = station.judge("stable")
    assert said is not None and said.state == "applied"


def test_the_station_keeps_what_was_said_to_it_alone(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    station.judge("stable")
    group = {"judge": {"min_area_px": 40, "threshold": 0.5}, "revision": 7}
    station.offer(signed(document(group, counter=2, address="group:press")))
    said = station.judge("stable")
    assert said is not None and said.state == "applied" and said.held == ("judge.min_area_px",)
    settings = station.target.settings
    assert (settings.judge.min_area_px, settings.judge.threshold, settings.revision) == (30, 0.5, 7)
    station.offer(signed(document({"judge": {"min_area_px": 50}}, counter=3)))
    station.judge("stable")
    assert station.target.settings.judge.min_area_px == 50


def test_what_speaks_against_settings_on_this_machine_is_told_before_the_line_has_them(
    tmp_path: Path,
) -> None:
    station = started(tmp_path)
    before = station.target
    for flaw, code in [(Flaw(path="bundle", message="no such file"), 404), (Flaw(message="no engine"), 422)]:
        station.run.flaws = [flaw]
        said = station.offer(signed(document({"revision": code}, counter=code)))
        assert said is not None and (said.state, said.code, said.changed) == ("failed", code, False)
        assert (said.errors[0].path, said.errors[0].message) == (flaw.path, flaw.message)
        assert station.target == before


def test_a_proof_that_hangs_is_answered_408_and_nothing_has_changed(tmp_path: Path) -> None:
    station = started(tmp_path)
    before, links, kept = station.target, station.store.links(), station.store.current()
    station.run.hangs = "looking at them took longer than 120 s at mqtt.ca_file, and was ended"
    said = station.offer(signed(document({"revision": 2})))
    assert said is not None and (said.state, said.code, said.changed) == ("failed", 408, False)
    assert "at mqtt.ca_file, and was ended" in said.errors[0].message
    assert (station.target, station.store.links(), station.store.current()) == (before, links, kept)
    station.run.hangs = None
    said = station.offer(signed(document({"revision": 2}, counter=2)))
    assert said is not None and said.state == "probation"


def test_a_proof_that_never_comes_back_is_waited_for_no_longer_than_that(tmp_path: Path) -> None:
    station = started(tmp_path)
    before = station.target
    station.run.lets_go.clear()
    station.rollout.offer(signed(document({"revision": 2})))
    station.rollout.turn()
    station.clock.sleep(PROOF_S + 1)
    station.rollout.turn()
    said = station.rollout.answers.last
    station.run.lets_go.set()
    assert said is not None and (said.state, said.code) == ("failed", 408) and station.target == before


def test_settings_with_which_nothing_runs_give_way_to_those_before(tmp_path: Path) -> None:
    station = started(tmp_path)
    before = station.target
    station.refuses = lambda settings: "no such camera" if settings.line.mode == "live" else None
    said = station.offer(signed(document({"line": {"mode": "live"}})))
    assert said is not None and (said.state, said.code) == ("rolled_back", 422)
    assert "no such camera" in said.errors[0].message
    assert station.target == before and not station.rollout.is_busy


def test_a_document_waits_while_another_is_on_probation(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"revision": 2})))
    said = station.offer(signed(document({"revision": 3}, counter=2)))
    assert said is not None and (said.state, said.counter) == ("probation", 1)
    waits = station.rollout.answers.waiting
    assert waits is not None and (waits.state, waits.code, waits.counter) == ("pending", 202, 2)
    assert "another document is probation; this document is taken up after that" in waits.errors[0].message
    station.judge("stable")
    assert station.rollout.answers.waiting is None
    said = station.judge("stable")
    assert said is not None and (said.state, said.counter) == ("applied", 2)
    assert station.target.settings.revision == 3


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"no envelope", 400),
        (signed(document({}, counter=9), 3), 401),
        (signed(document({}, counter=0)), 422),
    ],
)
def test_what_is_no_good_is_answered_at_once_while_another_is_on_probation_and_ends_nothing(
    tmp_path: Path, bad: bytes, code: int
) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"revision": 2})))
    station.run.trials[-1].stood_s = 1000.0
    said = station.offer(bad)
    assert said is not None and (said.state, said.counter) == ("probation", 1)
    waits = station.rollout.answers.waiting
    assert waits is not None and (waits.state, waits.code) == ("rejected", code)
    said = station.judge("stable")
    assert said is not None and (said.state, said.code) == ("rejected", code)
    assert station.target.settings.revision == 2


def test_a_probation_in_which_nothing_counts_gives_way_to_a_newer_document(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"revision": 2})))
    station.offer(signed(document({"revision": 3}, counter=2)))
    station.run.trials[-1].stood_s = 61.0
    station.turn()
    failed, said = station.rollout.answers.last_failed, station.rollout.answers.last
    assert failed is not None and (failed.counter, failed.state, failed.code) == (1, "rolled_back", 409)
    assert failed.errors[0].message == "nothing counted for it in 61 s, and a newer document waits"
    assert said is not None and (said.counter, said.state) == (2, "probation")
    said = station.judge("stable")
    assert said is not None and said.state == "applied" and station.target.settings.revision == 3


def test_a_document_waits_while_a_bundle_is_on_probation_and_an_edit_does_not(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.run.has_a_bundle = True
    before = station.target
    station.offer(signed(document({"revision": 2})))
    waits = station.rollout.answers.waiting
    assert waits is not None and (waits.state, waits.code) == ("pending", 202)
    assert waits.errors[0].message == "a bundle is on probation; this document is taken up after that"
    assert station.rollout.answers.last is None and station.target == before and not station.run.proven
    station.edit(judge={"min_area_px": 20})
    assert station.target.settings.judge.min_area_px == 20
    station.run.has_a_bundle = False
    station.turn()
    said = station.judge("stable")
    assert said is not None and said.state == "applied" and station.rollout.answers.waiting is None


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"\0" * 40), lambda path: path.unlink()])
def test_settings_that_were_damaged_on_the_disk_are_told_and_never_called_unchanged(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    station = started(tmp_path)
    before = station.target.settings
    envelope = signed(document({"revision": 2}))
    station.offer(envelope)
    station.judge("stable")
    assert not station.rollout.words()
    spoil(tmp_path / "settings" / f"{station.store.named('current')}.json")
    station.begin()
    assert station.target.settings == before
    words = "damaged or lost, and those before are in force; send them again with a higher counter"
    assert words in " ".join(station.rollout.words())
    said = station.rollout.answers.last
    assert said is not None and (said.state, said.code) == ("failed", 500) and words in said.errors[0].message
    station.begin()
    said = station.offer(envelope)
    assert said is not None and (said.state, said.code) == ("rejected", 424)
    assert "damaged or lost" in said.errors[0].message
    station.offer(signed(document({"revision": 2}, counter=2)))
    said = station.judge("stable")
    assert said is not None and said.state == "applied" and station.target.settings.revision == 2


def test_an_edit_is_put_onto_what_documents_made_and_the_next_one_says_what_it_takes(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"judge": {"min_area_px": 30}, "revision": 9})))
    station.judge("stable")
    station.edit(judge={"min_area_px": 50}, crops={"margin_px": 3})
    settings, active = station.target.settings, station.rollout.snapshot
    assert (settings.judge.min_area_px, settings.crops.margin_px, settings.revision) == (50, 3, 9)
    assert active is not None and active.source == "local"
    station.offer(signed(document({"judge": {"min_area_px": 31}}, counter=2)))
    said = station.judge("stable")
    assert said is not None and said.overwritten == ("judge.min_area_px",)
    settings = station.target.settings
    assert (settings.judge.min_area_px, settings.crops.margin_px) == (31, 3)
    station.offer(signed(document({"judge": {"min_area_px": 32}}, counter=3)))
    said = station.judge("stable")
    assert said is not None and said.overwritten == ()


def test_an_edit_while_a_document_is_on_probation_ends_that(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"judge": {"min_area_px": 30}})))
    station.edit(crops={"margin_px": 3})
    said = station.rollout.answers.last
    assert said is not None and (said.state, said.code) == ("rolled_back", 409)
    settings = station.target.settings
    assert (settings.judge.min_area_px, settings.crops.margin_px) == (16, 3)
    assert not station.rollout.is_busy and not station.rollout.words()


def test_a_bad_edit_leaves_in_force_what_was_and_is_told_until_it_is_mended(tmp_path: Path) -> None:
    station = started(tmp_path)
    before = station.target
    station.edit(judge={"threshold": "high"})
    assert station.target == before and "judge.threshold" in station.rollout.words()[0]
    station.edit(judge={"threshold": 0.25})
    assert station.target.settings.judge.threshold == 0.25 and station.rollout.words() == ()


def test_an_edit_that_documents_have_made_senseless_is_refused_as_a_whole(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(signed(document({"mqtt": {"tls": True}})))
    station.judge("stable")
    station.edit(mqtt={"username": "me"})
    assert station.target.settings.mqtt.username == "me"
    station.offer(signed(document({"mqtt": {"username": None, "tls": False}}, counter=2)))
    station.judge("stable")
    before = station.target
    station.edit(mqtt={"username": "me", "tls": True, "ca_file": "ca.pem"})
    station.offer(signed(document({"mqtt": {"tls": False}}, counter=3)))
    said = station.rollout.answers.last
    assert said is not None and said.code == 422 and station.target.settings.mqtt.tls
    assert before != station.target


def test_a_document_onto_the_file_is_the_whole_of_its_address_and_an_empty_one_ends_it(
    tmp_path: Path,
) -> None:
    station = started(tmp_path)

    def told(settings: dict[str, Any], counter: int, address: str = HERE) -> Any:
        station.offer(signed(document(settings, counter, address=address, onto="file")))
        if station.rollout.is_busy:
            station.judge("stable")
        assert station.rollout.answers.last is not None and station.rollout.answers.last.state == "applied"
        return station.target.settings

    told({"judge": {"min_area_px": 30}, "crops": {"margin_px": 3}}, 1)
    settings = told({"crops": {"margin_px": 4, "max_per_verdict": 2}}, 2, "group:press")
    crops = settings.crops
    assert (settings.judge.min_area_px, crops.margin_px, crops.max_per_verdict) == (30, 3, 2)
    settings = told({"judge": {"min_area_px": 31}}, 3)
    crops = settings.crops  # the station is told nothing of the margin any more: the group's counts
    assert (settings.judge.min_area_px, crops.margin_px, crops.max_per_verdict) == (31, 4, 2)
    settings = told({}, 4)
    crops = settings.crops
    assert (settings.judge.min_area_px, crops.margin_px, crops.max_per_verdict) == (16, 4, 2)
    assert told({}, 5, "group:press").crops.margin_px == 16


def test_a_document_onto_the_file_finds_the_file_as_it_was_edited(tmp_path: Path) -> None:
    station = started(tmp_path)
    press, here = {"judge": {"min_area_px": 40}}, {"crops": {"margin_px": 3}}
    station.offer(signed(document(press, 1, address="group:press", onto="file")))
    station.judge("stable")
    station.edit(judge={"min_area_px": 50})
    station.offer(signed(document(here, 2, onto="file")))
    said = station.judge("stable")
    settings = station.target.settings
    assert (settings.judge.min_area_px, settings.crops.margin_px) == (50, 3)
    assert said is not None and said.overwritten == ()
    station.offer(signed(document({"judge": {"min_area_px": 41}}, 3, address="group:press", onto="file")))
    said = station.judge("stable")
    assert said is not None and said.overwritten == ("judge.min_area_px",)
    assert station.target.settings.judge.min_area_px == 41


def test_who_may_command_the_station_may_wish_for_members_and_that_is_an_edit(tmp_path: Path) -> None:
    station = started(tmp_path)
    assert station.rollout.wish({"judge": {"threshold": 0.5}}, "me", None) is None
    station.turn()
    active = station.rollout.snapshot
    assert station.target.settings.judge.threshold == 0.5
    assert active is not None and (active.source, active.by_hand) == ("local", (("judge", "threshold"),))
    for patch, kind in [
        ({"trust": {"file": None}}, "bad_arguments"),
        ({"judge": {"threshold": -1}}, "bad_arguments"),
    ]:
        refusal = station.rollout.wish(patch, "me", None)
        assert refusal is not None and refusal.kind == kind
    station.offer(signed(document({"judge": {"threshold": 0.25}})))
    refusal = station.rollout.wish({"judge": {"threshold": 0.5}}, "me", None)
    assert refusal is not None and refusal.kind == "occupied"
    said = station.judge("stable")
    assert said is not None and said.overwritten == ("judge.threshold",)


def test_of_two_who_wish_at_once_for_the_same_settings_the_second_is_told(tmp_path: Path) -> None:
    station = started(tmp_path)
    seen = station.target.settings.digest()
    assert station.rollout.wish({"judge": {"threshold": 0.5}}, "one", seen) is None
    station.turn()
    refusal = station.rollout.wish({"judge": {"threshold": 0.25}}, "two", seen)
    assert refusal is not None and refusal.kind == "impossible" and "meanwhile" in str(refusal)
    assert station.target.settings.judge.threshold == 0.5
    assert (
        station.rollout.wish({"judge": {"threshold": 0.25}}, "two", station.target.settings.digest()) is None
    )
