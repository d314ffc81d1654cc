"""`plumbline verify-log` and `station-key`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.chain.notary import key_file
from agent.trust.keys import key_id
from agent.trust.private_keys import public_pem, station_key
from tests.agent.chain.made import KEY, a_day
from tests.agent.cli.calling import Plumbline, config


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    file = tmp_path / "kept.jsonl"
    file.write_bytes(b"\n".join(a_day().messages))
    (tmp_path / "station.pem").write_bytes(public_pem(KEY.public_key()))
    return file


def test_records_that_hold_end_with_0_and_say_how_far_they_are_proven(
    plumbline: Plumbline, kept: Path
) -> None:
    ended = plumbline("verify-log", kept, "--key", kept.with_name("station.pem"))
    assert ended.code == 0 and "no link is broken" in ended.out and "proven to" in ended.out
    ended = plumbline("verify-log", kept)
    assert ended.code == 0 and "station-key" in ended.out, "whose key it is was not told"


def test_the_first_broken_link_ends_with_1_and_is_named(plumbline: Plumbline, kept: Path) -> None:
    kept.write_bytes(kept.read_bytes().replace(b'"verdict":"fail"', b'"verdict":"pass"', 1))
    ended = plumbline("verify-log", kept)
    assert ended.code == 1 and f"{kept}:2: broken at record 2, verdict 1" in ended.out
    ended = plumbline("verify-log", kept, "--json")
    document = json.loads(ended.out)
    assert ended.code == 1 and document["whole"] is False
    assert document["segments"][0]["broken"]["number"] == 2
    assert plumbline("verify-log", kept, "--from", "7").code == 0, "what is behind it holds"


def test_a_range_that_ends_before_it_begins_and_a_place_of_nothing_are_wrong(
    plumbline: Plumbline, kept: Path
) -> None:
    assert plumbline("verify-log", kept, "--from", "7", "--to", "6").code == 2
    ended = plumbline("verify-log", kept.with_name("absent"))
    assert ended.code == 2 and "give an outbox" in ended.complaint()


def test_the_station_s_key_is_shown(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("station-key", "-c", config(tmp_path))
    assert ended.code == 2 and "makes it at its first start" in ended.complaint()
    public = station_key(key_file(tmp_path / "outbox.sqlite3")).public_key()
    ended = plumbline("station-key", "-c", config(tmp_path))
    assert (ended.code, ended.out) == (0, public_pem(public).decode())
    document = json.loads(plumbline("station-key", "-c", config(tmp_path), "--json").out)
    assert (document["key_id"], document["public"]) == (key_id(public), public.public_bytes_raw().hex())
