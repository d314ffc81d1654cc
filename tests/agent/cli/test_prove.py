"""`plumbline bundle prove` says whether a bundle may serve here, and changes nothing of what does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.remote.proof.shadowed import Station, write_grey


@pytest.fixture
def station(tmp_path: Path) -> Station:
    write_grey(tmp_path / "serves")
    station = Station(folder=tmp_path)
    station.keep()
    return station


def settings_of(station: Station, **sections: object) -> Path:
    return config(
        station.folder,
        bundle="serves",
        cameras=[{"name": "top"}],
        engine={"kind": "openvino", "precision": "f32"},
        archive={"folder": "archive"},
        **{"remote": {"proof": {"frames": 8}}, **sections},
    )


def test_a_good_one_may_serve(plumbline: Plumbline, station: Station) -> None:
    one = write_grey(station.folder / "candidate", counter=2)
    done = plumbline("bundle", "prove", one.path, "-c", settings_of(station))
    assert (done.code, done.err) == (0, "")
    assert "golden tiles: within" in done.out
    assert "frames: 8 of 8; by the incumbent 4 pass, 4 fail, 0 undecided" in done.out
    assert "flips: 0 to fail, 0 to pass, 0 to undecided" in done.out


def test_one_that_flips_verdicts_ends_with_1_and_names_the_frames_and_the_pictures(
    plumbline: Plumbline, station: Station
) -> None:
    one = write_grey(station.folder / "candidate", threshold=0.4)
    done = plumbline("bundle", "prove", one.path, "-c", settings_of(station))
    assert done.code == 1
    assert "1 of 8 verdicts flip (1 to fail" in done.complaint()
    assert "000000000004: pass 91.0 -> fail 113.7" in done.out
    assert f"pictures: {station.proofs / one.sha256}" in done.out


def test_as_json_it_is_one_document_that_the_help_names(plumbline: Plumbline, station: Station) -> None:
    one = write_grey(station.folder / "candidate", threshold=0.4)
    done = plumbline("bundle", "prove", one.path, "-c", settings_of(station), "--json")
    content = json.loads(done.out)
    assert (done.code, done.err) == (1, "")
    assert content["schema"] == "plumbline.proof/1"
    assert content["flips"] == {"to_fail": 1, "to_pass": 0, "to_undecided": 0}
    assert content["problem"]["code"] == 422
    assert (Path(content["folder"]) / content["worst"][0]["pictures"]["candidate"]).is_file()
    assert named_in_help(plumbline, "bundle", "prove", fields=content)


def test_what_could_not_be_proven_is_one_line(plumbline: Plumbline, station: Station) -> None:
    one = write_grey(station.folder / "candidate", counter=2)
    (one.path / "model.onnx").write_bytes(b"damaged")
    done = plumbline("bundle", "prove", one.path, "-c", settings_of(station))
    assert done.code == 1
    assert "model.onnx: digest" in done.complaint()


def test_one_that_nobody_trusted_signed_is_not_tried(plumbline: Plumbline, station: Station) -> None:
    one = write_grey(station.folder / "candidate", counter=2)
    settings = settings_of(station, trust={"lowest_counter": 9})
    done = plumbline("bundle", "prove", one.path, "-c", settings)
    assert (done.code, "lowest_counter is 9" in done.complaint()) == (1, True)
    assert not station.settings.engine_cache().exists()


def test_what_is_no_bundle_ends_with_2(plumbline: Plumbline, station: Station, tmp_path: Path) -> None:
    settings = settings_of(station)
    assert plumbline("bundle", "prove", tmp_path / "none", "-c", settings).code == 2
    assert plumbline("bundle", "prove", station.archive, "-c", settings).code == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_it_has_to_be_who_the_station_is(plumbline: Plumbline, station: Station) -> None:
    one = write_grey(station.folder / "candidate", counter=2)
    cache = station.settings.engine_cache()
    cache.mkdir()
    os.chown(cache, 12345, 12345)
    done = plumbline("bundle", "prove", one.path, "-c", settings_of(station))
    assert done.code == 2
    assert "belongs to user 12345 and this is root; run it as user 12345" in done.complaint()
    assert list(cache.iterdir()) == []


def test_an_install_by_hand_asks_for_the_same_where_there_are_frames_to_judge(
    plumbline: Plumbline, station: Station
) -> None:
    told = {
        "bundle": "bundles/current",
        "cameras": [{"name": "top"}],
        "engine": {"kind": "openvino", "precision": "f32"},
        "remote": {"proof": {"frames": 8}},
    }
    bare = config(station.folder, **told)
    first = plumbline("bundle", "install", station.folder / "serves", "-c", bare)
    assert (first.code, "golden scores alone; archive.folder is not set" in first.out) == (0, True)
    whole = config(station.folder, **told, archive={"folder": "archive"})
    other = write_grey(station.folder / "flips", threshold=0.4)
    refused = plumbline("bundle", "install", other.path, "-c", whole)
    assert refused.code == 1 and "1 of 8 verdicts flip" in refused.complaint()
    assert f"pictures: {station.proofs / other.sha256}" in refused.out
    good = write_grey(station.folder / "good", counter=2)
    done = plumbline("bundle", "install", good.path, "-c", whole)
    assert done.code == 0 and "frames: 8 of 8; by the incumbent 4 pass" in done.out
    back = plumbline("bundle", "rollback", "-c", whole)
    assert back.code == 0 and "frames:" not in back.out
