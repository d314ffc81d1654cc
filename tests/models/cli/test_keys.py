"""`plumbline-lab keys`: who is trusted changes step by step, and what it signs runs on a station."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.bundle.bundle import MANIFEST, SIGNATURE, open_bundle
from agent.bundle.trust import NotTrusted, require_trusted
from agent.cli.exit_codes import NotGood
from agent.contract.commands import COMMAND_TYPE
from agent.contract.desired import INSTALL_TYPE, SETTINGS_TYPE
from agent.errors import PlumblineError
from agent.settings import settings
from agent.trust.keys import key_id, load_public_key, short
from agent.trust.private_keys import load_private_key
from agent.trust.trust_set import load_trust
from models.cli.main import app
from models.signing import sign
from tests.agent.engines.small_bundle import write_small


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keys a, b and c, a first trust file by a, and bundles with and without a signature."""
    monkeypatch.chdir(tmp_path)
    assert keys("new a.pem --trust 1.json").exit_code == 0
    for name in "bc":
        assert keys(f"new {name}.pem").exit_code == 0
    write_small(tmp_path / "plain")
    yield tmp_path


def keys(words: str) -> Result:
    return CliRunner().invoke(app, ["keys", *words.split()])


def refused(words: str) -> str:
    """What is said of a wrong argument or file, in one line."""
    error = keys(words).exception
    assert isinstance(error, PlumblineError) and not isinstance(error, NotGood), repr(error)
    assert len(str(error).splitlines()) == 1
    return str(error)


def id_of(name: str) -> str:
    return short(key_id(load_public_key(Path(f"{name}.pub.pem"))))


def runs(bundle: str, trust: str) -> bool:
    try:
        require_trusted(open_bundle(Path(bundle)), settings.Trust(file=Path(trust)))
    except NotTrusted:
        return False
    return True


def test_one_key_and_one_trust_file_make_a_bundle_run(room: Path) -> None:
    assert not runs("plain", "1.json")
    assert keys("sign plain --key a.pem --out signed").exit_code == 0
    assert runs("signed", "1.json")
    assert (room / "signed" / MANIFEST).read_bytes() == (room / "plain" / MANIFEST).read_bytes()
    assert not (room / "plain" / SIGNATURE).exists()
    done = keys("verify signed --trust 1.json")
    assert done.exit_code == 0 and "signed: signed as 1.json wants" in done.output
    assert isinstance(keys("verify plain --trust 1.json").exception, NotGood)
    assert keys("sign plain --key b.pem --out of-b").exit_code == 0
    assert isinstance(keys("verify of-b --trust 1.json").exception, NotGood)


def test_a_second_key_and_a_threshold_come_by_rotation(room: Path) -> None:
    words = "rotate 1.json --add b.pub.pem --threshold 2 --key a.pem --key b.pem --out 2.json"
    done = keys(words)
    assert done.exit_code == 0, done.output
    assert "number 2, epoch 1, 2 of each role's keys must sign" in done.output
    assert f"key {id_of('b')}: trust, settings, bundle, command" in done.output
    done = keys("verify 2.json --trust 1.json")
    assert done.exit_code == 0 and "2.json: follows 1.json" in done.output
    assert keys("sign plain --key a.pem --out half").exit_code == 0
    assert not runs("half", "2.json")
    assert keys("sign half --key b.pem --out whole").exit_code == 0
    assert runs("whole", "2.json") and runs("whole", "1.json")


def test_a_rotation_whose_keys_lie_elsewhere_is_finished_there(room: Path) -> None:
    done = keys("rotate 1.json --add b.pub.pem --threshold 2 --key a.pem --out draft.json")
    assert done.exit_code == 1
    assert f"still to sign for set 2: 1 of {id_of('b')}" in done.output
    assert isinstance(keys("verify draft.json --trust 1.json").exception, NotGood)
    assert not runs("plain", "draft.json")
    assert keys("sign draft.json --key b.pem --out 2.json").exit_code == 0
    assert keys("verify 2.json --trust 1.json").exit_code == 0


def test_a_stolen_key_goes_and_a_new_epoch_begins(room: Path) -> None:
    assert keys("rotate 1.json --add b.pub.pem --key a.pem --out 2.json").exit_code == 0
    words = f"rotate 2.json --remove {id_of('a')} --new-epoch --key b.pem --out 3.json"
    assert keys(words).exit_code == 0
    found = load_trust(Path("3.json"))
    assert (found.number, found.epoch, len(found.keys)) == (3, 2, 1)
    assert keys("verify 3.json --trust 2.json").exit_code == 0
    error = keys("verify 3.json --trust 1.json").exception
    assert isinstance(error, NotGood) and "for the set before it, number 1" in str(error)
    keys("sign plain --key a.pem --out signed")
    assert runs("signed", "2.json") and not runs("signed", "3.json")


def test_a_key_of_a_role_signs_nothing_else(room: Path) -> None:
    assert keys("rotate 1.json --add c.pub.pem --role bundle --key a.pem --out 2.json").exit_code == 0
    keys("sign plain --key c.pem --out signed")
    assert runs("signed", "2.json") and not runs("signed", "1.json")
    assert "has the role trust neither in 2.json nor" in refused(
        "rotate 2.json --threshold 1 --new-epoch --key c.pem --out 3.json"
    )
    assert not (room / "3.json").exists()


@pytest.mark.parametrize(
    ("payload_type", "role"),
    [(COMMAND_TYPE, "command"), (SETTINGS_TYPE, "settings"), (INSTALL_TYPE, "bundle")],
)
def test_a_command_and_a_document_are_looked_at_by_the_keys_of_their_role(
    room: Path, payload_type: str, role: str
) -> None:
    assert keys(f"rotate 1.json --add c.pub.pem --role {role} --key a.pem --out 2.json").exit_code == 0
    (room / "wish").write_bytes(sign(b"{}", payload_type, load_private_key(room / "c.pem")))
    assert f"for the role {role}" in keys("verify wish --trust 2.json").output
    error = keys("verify wish --trust 1.json").exception
    assert isinstance(error, NotGood) and f"keys of the role {role}" in str(error)
    assert "give the trust file with --trust" in refused("verify wish")


def test_a_trust_file_is_looked_at_alone_or_beside_itself(room: Path) -> None:
    done = keys("verify 1.json")
    assert done.exit_code == 0 and f"key {id_of('a')}: trust" in done.output
    assert "is the same as 1.json" in keys("verify 1.json --trust 1.json").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("new a.pem", "a.pem: is there already"),
        ("new absent/x.pem", "absent: no such folder"),
        ("new x.pem --trust 1.json", "1.json: is there already"),
        ("sign absent --key a.pem --out x", "absent: no such file or folder"),
        ("sign a.pem --key a.pem --out x", "not a signature envelope"),
        ("sign 1.json --key a.pub.pem --out x", "a.pub.pem: not a readable Ed25519 private key"),
        ("sign 1.json --key a.pem --out 1.json", "1.json: is there already"),
        ("sign plain --key a.pem --out plain", "plain: is there already"),
        ("sign empty --key a.pem --out x", "empty: no manifest.yaml"),
        ("sign pipe --key a.pem --out x", "pipe: not read: is no regular file"),
        ("sign huge --key a.pem --out x", "huge: not read: is larger than"),
        ("sign moved --key a.pem --out x", "moved/signature: belongs to another file"),
        ("sign damaged --key a.pem --out x", "damaged: not a signature envelope: .*; sign a copy without it"),
        ("verify plain", "plain: is a bundle; give the trust file with --trust"),
        ("verify plain --trust plain", "plain: not read: is a folder"),
        ("verify plain --trust a.pem", "a.pem: not a signature envelope"),
        ("verify absent --trust 1.json", "absent: no such file or folder"),
        ("rotate absent --key a.pem --out x", "absent: not read"),
        ("rotate 1.json --key a.pem --out x", "nothing would change"),
        ("rotate 1.json --key a.pem --threshold 1 --out x", "nothing would change"),
        ("rotate 1.json --key a.pem --threshold 2 --out x", "threshold 2 is above the 1 keys"),
        ("rotate 1.json --key a.pem --threshold 99 --out x", "threshold: .*16 .got 99"),
        ("rotate 1.json --key a.pem --add a.pub.pem --out x", "stands twice"),
        ("rotate 1.json --key a.pem --add a.pem --out x", "a.pem: not a readable Ed25519 public key"),
        ("rotate 1.json --key a.pem --add b.pub.pem --remove 0 --out x", "--remove 0: names no key"),
        ("rotate 1.json --key a.pem --remove ID --out x", "keys: "),
        ("rotate 1.json --key a.pem --remove ID --add b.pub.pem --role bundle --out x", "none has the role"),
        ("rotate 1.json --key b.pem --new-epoch --out x", "--key b.pem: key .* has the role trust neither"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(room: Path, words: str, said: str) -> None:
    (room / "empty").mkdir()
    os.mkfifo(room / "pipe")
    (room / "huge").write_bytes(b"{" * 10_000_000)
    moved = write_small(room / "moved")
    keys("sign plain --key a.pem --out signed")
    (write_small(room / "damaged") / SIGNATURE).write_text("{")
    envelope = json.loads((room / "signed" / SIGNATURE).read_text())
    (moved / SIGNATURE).write_text(json.dumps({**envelope, "payload": "AAAA"}))
    before = {path: path.read_bytes() for path in room.rglob("*") if path.is_file()}
    assert re.search(said, refused(words.replace("ID", id_of("a"))))
    assert before == {path: path.read_bytes() for path in room.rglob("*") if path.is_file()}


def test_an_unknown_role_is_refused_by_name(room: Path) -> None:
    done = keys("rotate 1.json --key a.pem --add b.pub.pem --role root --out x")
    assert done.exit_code == 2 and "'root' is not a role" in done.output


def test_the_private_key_is_written_for_its_owner_alone_and_shown_nowhere(room: Path) -> None:
    done = keys("new x.pem --trust x.json")
    secret = (room / "x.pem").read_text().splitlines()[1]
    assert (room / "x.pem").stat().st_mode & 0o777 == 0o600
    assert secret not in done.output + (room / "x.json").read_text() + (room / "x.pub.pem").read_text()
