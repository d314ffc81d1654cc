"""A trust file says who may sign what, and only the set before it and itself put the next one in force."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import settings as drawing
from hypothesis import strategies as st

from agent.trust.trust_set import (
    MAX_TRUST_BYTES,
    ROLES,
    TRUST_TYPE,
    Role,
    TrustError,
    TrustSet,
    follow,
    load_trust,
    parse_trust,
)
from models.signing import sign

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(5)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def entry(number: int, roles: Sequence[Role] = ROLES) -> dict[str, Any]:
    return {"public": KEYS[number].public_key().public_bytes_raw().hex(), "roles": list(roles)}


def content(*keys: int, **changes: Any) -> dict[str, Any]:
    plain = {"schema": "plumbline.trust/1", "number": 1, "epoch": 1, "threshold": 1}
    return {**plain, "keys": [entry(key) for key in keys], **changes}


def file(content: Any, *signers: int, kind: str = TRUST_TYPE) -> bytes:
    return sign(json.dumps(content).encode(), kind, *(KEYS[number] for number in signers))


def made(*keys: int, **changes: Any) -> TrustSet:
    return TrustSet.model_validate_json(json.dumps(content(*keys, **changes)))


def test_a_trust_file_is_read_as_it_was_signed(tmp_path: Path) -> None:
    wanted = content(0, 1, number=7, epoch=3, threshold=2)
    (tmp_path / "trust.json").write_bytes(file(wanted, 1, 0))
    found = load_trust(tmp_path / "trust.json")
    assert (found.number, found.epoch, found.threshold, json.loads(found.payload())) == (7, 3, 2, wanted)
    assert [key.public_bytes_raw() for key in found.keys_of("bundle")] == [
        KEYS[number].public_key().public_bytes_raw() for number in (0, 1)
    ]


def test_a_role_has_its_own_keys() -> None:
    found = made(keys=[entry(0, ["trust"]), entry(1, ["bundle", "command"])])
    assert {role: len(found.keys_of(role)) for role in ROLES} == {
        "trust": 1,
        "settings": 0,
        "bundle": 1,
        "command": 1,
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    (content(0, threshold=0), r"threshold: .* \(got 0\)"),
    (content(0, threshold=-1), "threshold"),
    (content(0, threshold=2), "threshold 2 is above the 1 keys with the role trust"),
    (content(0, threshold=10**9), r"threshold: .* \(got 1000000000\)"),
    (content(0, threshold=1.0), "threshold"),
    (content(0, threshold=True), "threshold"),
    (content(0, threshold="1"), r"threshold: .* \(got '1'\)"),
    (content(), "keys"),
    (content(*[0] * 17), "keys"),
    (content(0, 1, 0), "keys: key 3b6a27bc.* stands twice"),
    (content(0, number=0), "number"),
    (content(0, number=2**53), "9007199254740992"),
    (content(0, number=1, epoch=2), "epoch 2 is above number 1"),
    (content(0, epoch=0), "epoch"),
    (content(0, epoch=None), "epoch"),
    (content(0, schema="plumbline.trust/2"), r"schema: .*plumbline\.trust/2"),
    (content(0, expires="2030-01-01"), "expires: .*not permitted"),
    (content(keys=[entry(0, ["bundle"])]), "none has the role trust"),
    (content(keys=[entry(0, [])]), r"keys\.0\.roles"),
    (content(keys=[entry(0, ["trust", "trust"])]), r"keys\.0\.roles: .*twice"),
    (content(keys=[{**entry(0), "roles": ["root"]}]), r"keys\.0\.roles\.0: .*\(got 'root'\)"),
    (content(keys=[{**entry(0), "roles": "trust"}]), r"keys\.0\.roles"),
    (content(keys=[{**entry(0), "public": "00" * 31}]), r"keys\.0\.public: .*\(got '0000"),
    (content(keys=[{**entry(0), "public": "AB" * 32}]), r"keys\.0\.public"),
    (content(keys=[{**entry(0), "public": "00" * 32}]), r"keys\.0\.public: .*anybody can sign"),
    (content(keys=[{**entry(0), "public": f"{1:064x}"}, {**entry(1), "public": 5}]), r"keys\.1\.public"),
    (content(keys=[{**entry(0), "name": "x"}]), r"keys\.0\.name"),
    (content(keys=[entry(0), entry(1, ["bundle"])], threshold=2), "1 keys with the role trust"),
    (content(keys=[entry(0), entry(1), entry(2, ["bundle"])], threshold=3), "threshold 3"),
    (content(0, **{"\x1b[2Kx\n" * 100: 1}), r"\\x1b\[2Kx\\n"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_set_that_makes_no_sense_is_refused_with_the_place_the_value_and_the_remedy(
    wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(TrustError, match=rf"^trust\.json: .*{said}") as caught:
        parse_trust(file(wrong, 0, 1), name="trust.json")
    assert len(str(caught.value)) < 2000 and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "payload is not JSON"),
        (b'{"number": NaN}', "NaN"),
        (b'{"number": 1, "number": 2}', "stands twice"),
        (b"[" * 1000 + b"]" * 1000, "nested deeper"),
        (b"\xff", "not UTF-8"),
        (b"{} {}", "Extra data"),
        (b"[]", "valid dictionary|object"),
        (b"null", "valid dictionary|object"),
    ],
)
def test_a_payload_that_is_no_strict_json_is_refused(payload: bytes, said: str) -> None:
    with pytest.raises(TrustError, match=rf"^trust\.json: .*{said}"):
        parse_trust(sign(payload, TRUST_TYPE, KEYS[0]), name="trust.json")


@given(JSON)
@drawing(deadline=None)
def test_any_other_content_is_one_clear_error(content: Any) -> None:
    for data in (file(content, 0), json.dumps(content).encode()):
        with pytest.raises(TrustError, match=r"^trust\.json: "):
            parse_trust(data, name="trust.json")


def test_a_file_that_its_own_keys_did_not_sign_is_refused() -> None:
    wanted = content(0, 1, threshold=2)
    with pytest.raises(TrustError, match=r"1 of the 2 trusted keys .* plumbline-lab keys sign"):
        parse_trust(file(wanted, 0), name="trust.json")
    with pytest.raises(TrustError, match="not by one of the trusted keys"):
        parse_trust(file(wanted, 3), name="trust.json")
    with pytest.raises(TrustError, match="another kind of file"):
        parse_trust(file(wanted, 0, 1, kind="application/json"), name="trust.json")


def test_a_trust_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "huge.json").write_bytes(b" " * 10_000_000)
    (tmp_path / "edge.json").write_bytes(b" " * (MAX_TRUST_BYTES + 1))
    (tmp_path / "folder.json").mkdir()
    for name in ("huge.json", "edge.json", "folder.json", "absent.json"):
        with pytest.raises(TrustError, match=f"{name}: not read: .*plumbline-lab keys"):
            load_trust(tmp_path / name)


def test_the_next_set_is_signed_by_the_one_before_and_by_itself() -> None:
    before = made(0, 1, threshold=2)
    after = content(1, 2, 3, number=2, threshold=2)
    enough = {
        signers
        for count in range(5)
        for signers in itertools.combinations(range(5), count)
        if {0, 1} <= set(signers) and len({1, 2, 3} & set(signers)) >= 2
    }
    for count in range(5):
        for signers in itertools.combinations(range(5), count):
            if signers in enough:
                assert follow(before, file(after, *signers), name="2.json").number == 2
            else:
                with pytest.raises(TrustError, match=r"^2\.json: for (the set before it, number 1|itself): "):
                    follow(before, file(after, *signers), name="2.json")


def test_a_key_that_may_sign_bundles_only_changes_no_trust() -> None:
    before = made(keys=[entry(0, ["trust"]), entry(1, ["bundle", "settings", "command"])])
    own = content(1, number=2)
    with pytest.raises(TrustError, match="for the set before it"):
        follow(before, file(own, 1), name="2.json")


def test_a_set_never_removes_the_last_key_that_could_change_it() -> None:
    before = made(0)
    for after in (content(number=2), content(keys=[entry(0, ["bundle"])], number=2)):
        with pytest.raises(TrustError, match="keys"):
            follow(before, file(after, 0), name="2.json")


@pytest.mark.parametrize("number", [1, 2, 4, 7, 2**53 - 1])
def test_numbers_go_one_by_one(number: int) -> None:
    before = made(0, number=2)
    with pytest.raises(TrustError, match=f"number {number} does not follow 2; give the file with number 3"):
        follow(before, file(content(0, 1, number=number), 0), name="x.json")


def test_the_same_set_again_changes_nothing() -> None:
    before = made(0, number=2)
    assert follow(before, file(content(0, number=2), 0), name="2.json") is before


@pytest.mark.parametrize(("epoch", "is_taken"), [(1, False), (2, True), (3, True), (4, False), (9, False)])
def test_epochs_stay_or_grow_by_one(epoch: int, is_taken: bool) -> None:
    before = made(0, number=9, epoch=2)
    data = file(content(0, number=10, epoch=epoch), 0)
    if is_taken:
        assert follow(before, data, name="x.json").epoch == epoch
    else:
        with pytest.raises(TrustError, match=f"epoch {epoch} does not follow 2"):
            follow(before, data, name="x.json")


def test_what_the_set_before_did_not_sign_is_not_even_read() -> None:
    with pytest.raises(TrustError, match="for the set before it"):
        follow(made(0), file(content(threshold=0, number=5), 3), name="x.json")
