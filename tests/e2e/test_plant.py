"""An office tells three stations, through a real broker, what to be: in waves, never for the worse."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.bundle.bundle import open_bundle
from agent.contract.desired import SETTINGS_TYPE
from agent.trust.private_keys import load_private_key
from models.signing import sign, write_new_key
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.e2e.agent_process import PROOF_S
from tests.e2e.plant import NAMES, Plant, Running, is_gap_free, lab, topic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DOWNLOADED = 1_000_000  # so often a word of ten letters: as large as a model


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """The same three stations for all stories: each begins with what the one before left."""
    folder = tmp_path_factory.mktemp("plant")
    broker = Mosquitto(folder / "broker")
    broker.start()
    subscriber = Subscriber(broker.port, "plumbline/v1/#")
    subscriber.start()
    plant = Plant(folder, broker, subscriber)
    try:
        plant.start()
        yield plant
    finally:
        plant.stop()
        subscriber.stop()
        broker.stop()


class Locked(Mosquitto):
    """Lets nobody in without a password."""

    def configuration(self) -> list[str]:
        return ["allow_anonymous false" if "anonymous" in one else one for one in super().configuration()]


def is_in_the_midst(attempted: dict[str, Any], moment: str) -> bool:
    is_there = attempted.get("state") == moment
    return is_there and (moment != "downloading" or 0 < (attempted["progress"] or 0) < 1)


def first_applied(plant: Plant, name: str, sha256: str) -> bytes:
    """The first report by which this bundle stays."""
    wanted = topic(name, "config", "reported")
    for one in plant.seen[name].subscriber.received:
        if one.topic == wanted:
            attempted = one.json()["bundle"]["attempted"] or {}
            if (attempted.get("sha256"), attempted.get("state")) == (sha256, "applied"):
                return one.payload
    raise AssertionError(f"{name} never applied it")


def document(plant: Plant, counter: int, *, key: Path | None = None, issuer: str = "office") -> bytes:
    """Settings that would show at once, to the first station."""
    content = {
        "schema": "plumbline.desired-settings/1",
        "issuer": issuer,
        "epoch": 1,
        "counter": counter,
        "address": "station:test/cells/line1/cell1",
        "expires": "2099-01-01T00:00:00Z",
        "settings": {"revision": 666},
    }
    return sign(json.dumps(content).encode(), SETTINGS_TYPE, load_private_key(key or plant.key))


def test_a_good_bundle_comes_to_all_in_waves_and_each_changes_between_two_frames(plant: Plant) -> None:
    before = open_bundle(plant.first).sha256
    good = plant.bundle("good", counter=4, words="good")
    sha256 = open_bundle(good).sha256
    done = plant.roll_out(good, "--json")
    assert done.code == 0, done.err
    rollout = json.loads(done.out)
    assert (rollout["state"], rollout["wave"], rollout["waves"]) == ("finished", 2, 2)
    assert [one["result"] for one in rollout["stations"]] == ["applied"] * 3
    for seen in plant.seen.values():
        bundle = seen.report()["bundle"]
        assert (bundle["active"]["sha256"], bundle["previous"]["sha256"]) == (sha256, before)
        attempted = bundle["attempted"]
        assert (attempted["state"], attempted["code"], attempted["changed"]) == ("applied", 200, True)
        assert attempted["proof"]["flips"] == 0
        assert seen.bundles() == [before, sha256] and is_gap_free(seen)
    heard = [(one.topic, one.payload) for one in plant.seen["cell1"].subscriber.received]
    applied = heard.index((topic("cell1", "config", "reported"), first_applied(plant, "cell1", sha256)))
    told = [index for index, (where, _) in enumerate(heard) if where.endswith("/bundle/desired")]
    assert told[0] < applied < told[1]


def test_poisoned_settings_that_are_retained_are_answered_and_change_no_byte(
    plant: Plant, tmp_path: Path
) -> None:
    seen, desired = plant.seen["cell1"], topic("cell1", "config", "desired")
    assert plant.settle({"judge": {"min_area_px": 17}}, to=["cell1"]).code == 0
    older_document = seen.heard("config", "desired")
    assert plant.settle({"judge": {"min_area_px": 18}}, to=["cell1"]).code == 0
    older = seen.report()["settings"]["active"]["counter"]
    before, digest = plant.disk("cell1"), seen.verdicts()[-1]["settings"]["sha256"]
    stranger = tmp_path / "stranger.pem"
    write_new_key(stranger, tmp_path / "stranger.pub.pem")
    unsigned = json.loads(document(plant, older + 100)) | {"signatures": []}
    for payload, code in (
        (b'{"revision": 666}', 400),
        (json.dumps(unsigned).encode(), 401),
        (document(plant, older + 100, key=stranger), 401),
        (document(plant, older + 100, issuer="somebody"), 403),
        (document(plant, older), 409),
        (older_document, 409),
    ):
        asked = seen.report()["sequence"]
        plant.say(desired, payload)
        eventually(lambda asked=asked: seen.report()["sequence"] > asked, "an answer")  # type: ignore[misc]
        attempted = seen.attempted("settings")
        assert (attempted["state"], attempted["code"], attempted["changed"]) == ("rejected", code, False), (
            payload
        )
        assert seen.report()["settings"]["active"]["counter"] == older
    judged = len(seen.verdicts())
    eventually(lambda: len(seen.verdicts()) > judged + 2, "it goes on")
    assert plant.disk("cell1") == before
    assert {one["settings"]["sha256"] for one in seen.verdicts()[judged:]} == {digest}
    plant.say(desired, b"")


def test_a_hot_change_is_in_force_soon_and_loses_no_frame(plant: Plant) -> None:
    seen, station = plant.seen["cell2"], plant.stations["cell2"]
    before = seen.heard("config", "desired")
    office = Running(
        "fleet", *plant.settings_words({"revision": 1001, "judge": {"min_area_px": 19}}, to=["cell2"])
    )
    eventually(lambda: seen.heard("config", "desired") != before, "it is told")
    told_s = time.monotonic()
    eventually(lambda: '"revision": 1001' in station.log(), "it is in force")
    print(f"hot change in force {(time.monotonic() - told_s) * 1000:.0f} ms after its message")
    code, out = office.end()
    assert code == 0, out
    active = seen.report()["settings"]["active"]
    versions = [one["settings"]["version"] for one in seen.verdicts()]
    assert active["version"] == versions[-1] == 1001 and is_gap_free(seen)
    assert versions == sorted(versions) and active["sha256"] == seen.verdicts()[-1]["settings"]["sha256"]


def test_a_bundle_that_cannot_keep_its_word_stops_in_the_first_wave_and_a_station_that_returns_never_takes_it(
    plant: Plant,
) -> None:
    before = {name: plant.disk(name) for name in NAMES}
    serving = {name: plant.seen[name].serving() for name in NAMES}
    asked = {name: plant.seen[name].attempted("bundle").get("counter") for name in NAMES[1:]}
    assert plant.stations["cell3"].stop() == 0
    bad = plant.bundle("bad", counter=9, golden=1.5)
    done = plant.roll_out(bad, "--json")
    assert done.code == 1, done.err
    rollout = json.loads(done.out)
    assert (rollout["state"], rollout["wave"]) == ("stopped", 1)
    results = {one["address"][-5:]: (one["result"], one["told"]) for one in rollout["stations"]}
    assert results["cell1"][0] == "failed" and [results[name][0] for name in NAMES[1:]] == [None, None]
    failed = plant.seen["cell1"].answer("bundle", rollout["counter"])
    assert (failed["state"], failed["code"], failed["changed"]) == ("failed", 422, False)
    assert "golden" in failed["errors"][0]["message"]
    posted = plant.seen["cell1"].heard("bundle", "desired")
    assert not posted or plant.seen["cell1"].told()[-1] == serving["cell1"]
    assert not any(open_bundle(bad).sha256 in plant.seen[name].told() for name in NAMES[1:])

    plant.stations["cell3"].start()
    judged = {name: len(plant.seen[name].verdicts()) for name in NAMES}
    for name in NAMES:
        eventually(lambda name=name: len(plant.seen[name].verdicts()) > judged[name] + 3, f"{name} goes on")  # type: ignore[misc]
    for name in NAMES:
        assert plant.disk(name) == before[name] and plant.seen[name].serving() == serving[name]
        assert {one["model"]["sha256"] for one in plant.seen[name].verdicts()[judged[name] :]} == {
            serving[name]
        }
        assert is_gap_free(plant.seen[name])
    assert {name: plant.seen[name].attempted("bundle").get("counter") for name in NAMES[1:]} == asked


def test_a_bundle_that_scores_as_it_says_and_judges_otherwise_is_refused_with_what_flipped(
    plant: Plant,
) -> None:
    seen = plant.seen["cell1"]
    before, serving = plant.disk("cell1"), seen.serving()
    eventually(lambda: len(seen.verdicts()) >= 9, "frames to judge by")
    flipping = plant.bundle("flipping", counter=10, threshold=0.5)
    done = plant.roll_out(flipping, "--json")
    assert done.code == 1, done.err
    rollout = json.loads(done.out)
    assert rollout["state"] == "stopped"
    failed = seen.answer("bundle", rollout["counter"])
    assert (failed["sha256"], failed["state"], failed["code"]) == (
        open_bundle(flipping).sha256,
        "failed",
        422,
    )
    assert failed["proof"]["frames"] == 8 and failed["proof"]["flips"] >= 1
    assert failed["proof"]["worst_tile_delta"] < 0.3
    assert plant.disk("cell1") == before and seen.serving() == serving and is_gap_free(seen)


def test_settings_that_would_cut_a_station_off_are_refused_there_and_told_to_nobody_else(
    plant: Plant,
) -> None:
    before = {name: plant.disk(name) for name in NAMES}
    locked = Locked(plant.folder / "locked")
    locked.start()
    try:
        for patch in ({"port": 1}, {"host": "no-such-host.invalid"}, {"port": locked.port}):
            done = plant.settle({"mqtt": patch})
            assert done.code == 1, done.err
            rollout = json.loads(done.out)
            assert (rollout["state"], rollout["wave"]) == ("stopped", 1)
            assert [one["result"] for one in rollout["stations"]] == ["failed", None, None]
            failed = plant.seen["cell1"].answer("settings", rollout["counter"])
            assert (failed["code"], failed["errors"][0]["path"]) == (422, "mqtt"), failed
    finally:
        locked.stop()
    assert {name: plant.disk(name) for name in NAMES[1:]} == {name: before[name] for name in NAMES[1:]}
    judged = len(plant.seen["cell1"].verdicts())
    eventually(lambda: len(plant.seen["cell1"].verdicts()) > judged + 3, "it is still heard")
    assert is_gap_free(plant.seen["cell1"])


def test_settings_whose_broker_dies_after_it_was_tried_are_left_again_by_the_station_itself(
    plant: Plant,
) -> None:
    seen = plant.seen["cell3"]
    active = seen.report()["settings"]["active"]
    other = Mosquitto(plant.folder / "other")
    other.start()
    words = plant.settings_words({"mqtt": {"port": other.port}}, to=["cell3"])
    office = Running("fleet", *words, "--json")
    try:
        eventually(
            lambda: b"cell3-" in (plant.folder / "other" / "mosquitto.log").read_bytes(),
            "it is tried beside the one that works",
        )
        other.kill()
        code, out = office.end()
    finally:
        office.kill()
        other.kill()
    assert code == 1, out
    answers = [one for one in seen.answers("settings") if one["state"] == "rolled_back"]
    assert answers and "broker" in answers[-1]["errors"][0]["message"], out
    now = seen.report()["settings"]["active"]
    assert (now["sha256"], now["version"]) == (active["sha256"], active["version"])
    judged = len(seen.verdicts())
    eventually(lambda: len(seen.verdicts()) > judged + 3, "it is heard again")
    assert is_gap_free(seen)


@pytest.mark.parametrize("moment", ["downloading", "probation"])
def test_a_station_that_is_killed_in_the_midst_of_an_update_comes_to_its_end(
    plant: Plant, moment: str
) -> None:
    seen, station = plant.seen["cell2"], plant.stations["cell2"]
    before = seen.serving()
    better = plant.bundle(f"better-{moment}", counter=20 + len(moment), words=moment * DOWNLOADED)
    sha256 = open_bundle(better).sha256
    words = plant.bundle_words(better, "--serve", to=["cell2"])
    office = Running("fleet", *words)
    try:
        eventually(lambda: is_in_the_midst(seen.attempted("bundle"), moment), moment, PROOF_S)
        station.kill()
        assert seen.attempted("bundle")["sha256"] == sha256
        station.start()
        code, out = office.end()
    finally:
        office.kill()
    assert code == 0, out
    assert seen.attempted("bundle")["state"] == "applied" and seen.serving() == sha256
    judged = len(seen.verdicts())
    eventually(lambda: len(seen.verdicts()) > judged, "it goes on")
    assert seen.bundles()[-2:] == [before, sha256] and is_gap_free(seen)


def test_a_stick_brings_settings_and_bundle_to_stations_and_their_reports_back(
    plant: Plant, tmp_path: Path
) -> None:
    names, stick = NAMES[:2], tmp_path / "stick"
    carried = plant.bundle("carried", counter=40, words="carried")
    sha256 = open_bundle(carried).sha256
    (tmp_path / "patch.yaml").write_text("{revision: 2002, judge: {min_area_px: 21}}")
    words = ("export", stick, "-i", plant.inventory, "--key", plant.key, "--to", names[0], "--to", names[1])
    done = lab("fleet", *words, "--settings", tmp_path / "patch.yaml", "--bundle", carried)
    assert done.code == 0, done.err
    before = {one: one.read_bytes() for one in stick.rglob("*") if one.is_file()}
    for name in names:  # as if it were plugged into both
        inbox = plant.folder_of(name) / "inbox"
        inbox.mkdir(exist_ok=True)
        (inbox / "stick").symlink_to(stick)

    def brought(name: str) -> dict[str, Any]:
        path = stick / topic(name, "config", "reported.json")
        return dict(json.loads(path.read_bytes())) if path.exists() else {}

    def is_done(name: str) -> bool:
        found = brought(name)
        states = [
            (found.get(kind, {}).get("attempted") or {}).get("state") for kind in ("settings", "bundle")
        ]
        return states == ["applied", "applied"] and found["bundle"]["active"]["sha256"] == sha256

    for name in names:
        eventually(lambda name=name: is_done(name), f"{name} has told the stick", 200)  # type: ignore[misc]
        assert plant.seen[name].verdicts()[-1]["settings"]["version"] == 2002
        (plant.folder_of(name) / "inbox" / "stick").unlink()
    assert {one: one.read_bytes() for one in before} == before
    done = lab("fleet", "import", stick, "-i", plant.inventory, "--json")
    assert done.code == 0, done.err
    shown = {one["station"]: one for one in json.loads(done.out)["stations"]}
    for name in names:
        row = shown[f"test/cells/line1/{name}"]
        assert row["bundle"]["sha256"] == sha256 and row["settings_attempted"]["state"] == "applied"
    assert all(is_gap_free(plant.seen[name]) for name in names)
