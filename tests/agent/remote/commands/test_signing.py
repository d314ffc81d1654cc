"""Commands that change the station are signed where somebody may sign: for one station, name and id each."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.contract.arguments import Pause
from agent.contract.commands import COMMAND_TYPE, Accepted, Rejected
from agent.contract.inbound import Inbound
from agent.remote.commands import signing
from agent.remote.commands.admission import admit
from agent.remote.commands.signing import KEPT, Signers, Spent, SpentError, signers_of
from agent.trust.trust_set import TRUST_TYPE, TrustError, TrustSet
from models import signing as workshop
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.asking import NOW, allowed, command

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SIGNERS = Signers(keys=(KEY.public_key(),))
ADDRESS = f"station:{TOPICS.site}/{TOPICS.area}/{TOPICS.line}/{TOPICS.station}"


def content(**changes: Any) -> bytes:
    good = {
        "schema": "plumbline.signed-command/1",
        "issuer": "plant-office",
        "address": ADDRESS,
        "name": "pause",
        "id": "s-1",
        "expires": "2026-01-01T00:01:00.000Z",
        "args": {"reason": "gripper"},
    }
    return json.dumps({**good, **changes}).encode()


def signed(*keys: Ed25519PrivateKey, type_: str = COMMAND_TYPE, **changes: Any) -> bytes:
    return workshop.sign(content(**changes), type_, *(keys or (KEY,)))


def asked(inbound: Inbound, signers: Callable[[], Signers] = lambda: SIGNERS) -> Accepted | Rejected:
    return admit(
        inbound,
        TOPICS,
        now=NOW,
        clock_synced=True,
        seen={"old"}.__contains__,
        allowed=allowed,
        signers=signers,
    )


def test_a_signed_command_is_taken_with_the_name_of_its_issuer() -> None:
    taken = asked(command("pause", signed()))
    assert isinstance(taken, Accepted)
    assert (taken.command.id, taken.command.name, taken.command.issuer) == ("s-1", "pause", "plant-office")


def test_what_changes_nothing_may_come_signed_and_unsigned() -> None:
    assert isinstance(asked(command("ping", signed(name="ping", args={}))), Accepted)
    plain = {"schema": "plumbline.command/1", "id": "p", "expires": "2100-01-01T00:00:00Z", "args": {}}
    assert isinstance(asked(command("ping", json.dumps(plain).encode())), Accepted)


OPEN = {
    "schema": "plumbline.command/1",
    "id": "o-1",
    "expires": "2100-01-01T00:00:00Z",
    "args": {"reason": "gripper"},
}
CHANGED = signed().replace(b'payload": "ey', b'payload": "eA')
REFUSED: dict[str, tuple[bytes, str, str | None]] = {
    "unsigned": (json.dumps(OPEN).encode(), "unsigned", "o-1"),
    "by another key": (signed(OTHER), "unsigned", "s-1"),
    "of another type": (signed(type_="application/vnd.plumbline.settings+json"), "wrong_type", "s-1"),
    "for another station": (signed(address="station:a/b/c/d"), "not_addressed", "s-1"),
    "for a group": (signed(address="group:press"), "not_addressed", "s-1"),
    "as another command": (signed(name="resume"), "not_addressed", "s-1"),
    "too late": (signed(expires="2025-12-31T23:59:00Z"), "expired", "s-1"),
    "once more": (signed(id="old"), "repeated", "old"),
    "with bad arguments": (signed(args={}), "bad_arguments", "s-1"),
    "without an issuer": (signed(issuer=""), "bad_arguments", "s-1"),
    "no JSON inside": (workshop.sign(b"no", COMMAND_TYPE, KEY), "not_json", None),
    "no envelope": (b'{"payloadType": 7}', "unsigned", None),
    "with a key that stands twice": (
        workshop.sign(b'{"id": "a", "id": "b"}', COMMAND_TYPE, KEY),
        "not_json",
        None,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_command_that_is_not_signed_for_here_is_refused_with_a_code_of_its_own(name: str) -> None:
    payload, kind, id_ = REFUSED[name]
    refused = asked(command("pause", payload))
    assert isinstance(refused, Rejected) and (refused.kind, refused.id) == (kind, id_)


def test_as_many_keys_sign_as_the_trust_file_says() -> None:
    two = Signers(keys=(KEY.public_key(), OTHER.public_key()), threshold=2)
    once, both = asked(command("pause", signed()), lambda: two), signed(KEY, OTHER)
    assert isinstance(once, Rejected) and once.kind == "unsigned"
    assert isinstance(asked(command("pause", both), lambda: two), Accepted)


def test_without_a_key_for_commands_they_come_unsigned_and_a_signature_proves_nothing() -> None:
    assert isinstance(asked(command("pause", json.dumps(OPEN).encode()), Signers), Accepted)
    refused = asked(command("pause", signed()), Signers)
    assert isinstance(refused, Rejected) and refused.kind == "unsigned"


def test_who_may_sign_stands_in_the_trust_file_and_is_read_anew(tmp_path: Path) -> None:
    public = KEY.public_key().public_bytes_raw().hex()
    keys = [{"public": public, "roles": ["trust", "command"]}]
    trust = TrustSet.model_validate_json(
        json.dumps({"schema": "plumbline.trust/1", "number": 1, "epoch": 1, "threshold": 1, "keys": keys})
    )
    file = tmp_path / "trust.json"
    file.write_bytes(workshop.sign(trust.payload(), TRUST_TYPE, KEY))
    read = signers_of(file)
    assert [one.public_bytes_raw().hex() for one in read().keys] == [public]
    file.write_bytes(b"{}")
    with pytest.raises(TrustError):
        read()
    assert signers_of(None)() == Signers()


def test_with_a_trust_file_that_cannot_be_read_nothing_is_changed() -> None:
    def fails() -> Signers:
        raise TrustError("trust.json: not read")

    for payload in (json.dumps(OPEN).encode(), signed()):
        refused = asked(command("pause", payload), fails)
        assert isinstance(refused, Rejected) and refused.kind == "failed"
        assert "trust.json" in refused.message
    ping = json.dumps({**OPEN, "args": {}}).encode()
    assert isinstance(asked(command("ping", ping), fails), Accepted)


def test_ids_of_signed_commands_outlive_the_agent_and_a_line_that_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "signed"
    Spent(file).add("a\nb")
    with file.open("ab") as appended:
        appended.write(b"6")
    again = Spent(file)
    assert again.has("a\nb") and not again.has("c")
    again.add("c")
    assert Spent(file).has("a\nb") and Spent(file).has("c")


def test_a_bounded_number_of_ids_is_kept_the_newest_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEPT >= 1000
    monkeypatch.setattr(signing, "KEPT", 3)
    file = tmp_path / "signed"
    spent = Spent(file)
    for number in range(8):
        spent.add(str(number))
    assert len(file.read_bytes().splitlines()) <= 6
    for known in (spent, Spent(file)):
        assert known.has("7") and known.has("5") and not known.has("0")


@pytest.mark.parametrize("content", [b"zz\n", b"\xff\n"])
def test_a_damaged_file_of_ids_lets_no_signed_command_run(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signed"
    file.write_bytes(content)
    with pytest.raises(SpentError, match="damaged"):
        Spent(file).has("a")


def test_an_id_that_cannot_be_written_is_told_and_not_taken_for_spent(tmp_path: Path) -> None:
    spent = Spent(tmp_path / "gone" / "signed")
    with pytest.raises(SpentError, match="signed commands are not run"):
        spent.add("a")
    assert not spent.has("a")


GOOD = signed()


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_no_changed_byte_makes_another_command_of_a_signed_one(place: int, byte: int) -> None:
    changed = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
    taken = asked(command("pause", changed))
    if isinstance(taken, Accepted):  # a key id or blank is signed by nobody
        assert (taken.command.id, taken.command.issuer) == ("s-1", "plant-office")
        assert taken.command.arguments == Pause(reason="gripper")


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"payloadType": anything | st.just(COMMAND_TYPE)},
        optional={
            "payload": anything | st.binary(max_size=30).map(lambda data: base64.b64encode(data).decode()),
            "signatures": anything | st.lists(st.dictionaries(st.sampled_from(["keyid", "sig"]), anything)),
            "id": anything,
        },
    )
)
def test_whatever_calls_itself_signed_is_refused_with_an_answer(content: dict[str, Any]) -> None:
    for name in ("pause", "ping"):
        refused = asked(command(name, json.dumps(content).encode()))
        assert isinstance(refused, Rejected) and refused.kind in ("unsigned", "not_json", "bad_arguments")
        assert refused.message and refused.reply_to is not None
