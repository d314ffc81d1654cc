"""Only what a trusted key signed, as the kind it signed it for, passes; anything else is one clear error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.trust.envelope import (
    MAX_SIGNATURES,
    SignatureError,
    encoding,
    opened,
    parse,
    signed_by,
    signers,
    verify,
)
from agent.trust.keys import key_id, short
from models.signing import add_signatures, sign

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
KIND = "application/vnd.plumbline.test"
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(payload=st.binary(max_size=200), kind=st.text(max_size=40))
def test_what_a_key_signed_verifies_with_its_public_key(payload: bytes, kind: str) -> None:
    envelope = sign(payload, kind, KEY)
    verify(envelope, payload, kind, KEY.public_key())
    assert signers(envelope) == [key_id(KEY.public_key())]


def test_another_key_is_refused_by_name() -> None:
    with pytest.raises(SignatureError, match=f"not by the trusted key {short(key_id(OTHER.public_key()))}"):
        verify(sign(b"payload", KIND, KEY), b"payload", KIND, OTHER.public_key())


@pytest.mark.parametrize(("payload", "kind"), [(b"payloae", KIND), (b"payload", KIND + "2"), (b"", KIND)])
def test_another_file_or_another_kind_is_refused(payload: bytes, kind: str) -> None:
    with pytest.raises(SignatureError, match="another file or another kind"):
        verify(sign(b"payload", KIND, KEY), payload, kind, KEY.public_key())


def test_a_signature_copied_onto_another_payload_is_refused() -> None:
    content = json.loads(sign(b"payload", KIND, KEY))
    content["payload"] = base64.b64encode(b"evil").decode()
    with pytest.raises(SignatureError, match="does not fit"):
        verify(json.dumps(content).encode(), b"evil", KIND, KEY.public_key())


def test_a_signature_for_one_kind_does_not_pass_as_another() -> None:
    content = json.loads(sign(b"payload", KIND, KEY))
    content["payloadType"] = "application/vnd.plumbline.settings"
    with pytest.raises(SignatureError, match="does not fit"):
        verify(
            json.dumps(content).encode(), b"payload", "application/vnd.plumbline.settings", KEY.public_key()
        )


def test_a_second_signature_does_not_hide_the_trusted_one() -> None:
    ours, theirs = (json.loads(sign(b"payload", KIND, key)) for key in (KEY, OTHER))
    ours["signatures"] += theirs["signatures"]
    for key in (KEY, OTHER):
        verify(json.dumps(ours).encode(), b"payload", KIND, key.public_key())


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_of_an_envelope_gets_another_payload_through(position: int, bit: int) -> None:
    damaged = bytearray(sign(b"payload", KIND, KEY))
    damaged[position % len(damaged)] ^= 1 << bit
    with pytest.raises(SignatureError):
        verify(bytes(damaged), b"qayload", KIND, KEY.public_key())


@given(content=JSON)
def test_any_other_json_is_refused_as_no_envelope(content: Any) -> None:
    with pytest.raises(SignatureError, match="not a signature envelope"):
        signers(json.dumps(content).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"signatures": None},
        {"signatures": [None]},
        {"signatures": [{}]},
        {"signatures": [{"keyid": [], "sig": ""}]},
        {"signatures": [{"keyid": 5, "sig": ""}]},
        {"signatures": [{"keyid": key_id(KEY.public_key()), "sig": 5}]},
        {"signatures": [{"keyid": key_id(KEY.public_key()), "sig": "not base64!"}]},
        {"payload": 5},
        {"payload": "not base64!"},
        {"payload": "ü"},
        {"payloadType": None},
    ],
    ids=str,
)
def test_an_envelope_with_a_part_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    envelope = json.dumps({**json.loads(sign(b"payload", KIND, KEY)), **change}).encode()
    with pytest.raises(SignatureError):
        verify(envelope, b"payload", KIND, KEY.public_key())


@pytest.mark.parametrize("envelope", [b"", b"\xff\xfe", b"[" * 100_000], ids=["empty", "no text", "deep"])
def test_bytes_that_are_no_json_are_refused(envelope: bytes) -> None:
    with pytest.raises(SignatureError, match="not a signature envelope"):
        verify(envelope, b"payload", KIND, KEY.public_key())


# The vector of DSSE 1.0.2, and an Ed25519 signature over it by the key of the bytes 00 01 .. 1f.
VECTOR_TYPE, VECTOR = "http://example.com/HelloWorld", b"hello world"
VECTOR_ID = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c"
VECTOR_SIG = "FDBuhhGZHrQaLnHA+xYDozNBKtORTT3EFhGJXczChh8PCqB471sDESzy2zguMGQOk8D+Ij2hb/eoUkqxc/qgCg=="


def envelope_of(*signatures: dict[str, str], payload: str | None = None, kind: str = VECTOR_TYPE) -> bytes:
    body = base64.b64encode(VECTOR).decode() if payload is None else payload
    return json.dumps({"payload": body, "payloadType": kind, "signatures": signatures}).encode()


def test_the_vector_of_the_specification_is_encoded_signed_and_verified() -> None:
    assert encoding(VECTOR, VECTOR_TYPE) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert KEY.public_key().public_bytes_raw().hex() == (
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    )
    assert key_id(KEY.public_key()) == VECTOR_ID
    assert json.loads(sign(VECTOR, VECTOR_TYPE, KEY))["signatures"] == [
        {"keyid": VECTOR_ID, "sig": VECTOR_SIG}
    ]
    assert opened(envelope_of({"sig": VECTOR_SIG}), VECTOR_TYPE, KEY.public_key()) == VECTOR


def by_another_encoding(encode: Callable[[bytes, str], bytes], kind: str) -> bytes:
    signature = base64.b64encode(KEY.sign(encode(VECTOR, kind))).decode()
    return envelope_of({"keyid": VECTOR_ID, "sig": signature}, kind=kind)


def test_lengths_count_bytes_and_not_characters() -> None:
    kind = "application/größe"
    wrong = by_another_encoding(
        lambda body, kind: b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(body), body), kind
    )
    with pytest.raises(SignatureError, match="does not fit"):
        opened(wrong, kind, KEY.public_key())
    assert encoding(b"", kind).startswith(b"DSSEv1 19 ")
    assert opened(by_another_encoding(encoding, kind), kind, KEY.public_key()) == VECTOR


def test_lengths_have_no_leading_zero() -> None:
    wrong = by_another_encoding(
        lambda body, kind: b"DSSEv1 029 %b 011 %b" % (kind.encode(), body), VECTOR_TYPE
    )
    with pytest.raises(SignatureError, match="does not fit"):
        opened(wrong, VECTOR_TYPE, KEY.public_key())


def test_one_key_counts_once_however_often_and_under_whatever_id_it_signs() -> None:
    trusted = [KEY.public_key(), OTHER.public_key()]
    twice = envelope_of({"keyid": VECTOR_ID, "sig": VECTOR_SIG}, {"keyid": VECTOR_ID, "sig": VECTOR_SIG})
    under_two_ids = envelope_of(
        {"keyid": "a", "sig": VECTOR_SIG}, {"keyid": key_id(OTHER.public_key()), "sig": VECTOR_SIG}
    )
    for envelope in (twice, under_two_ids):
        assert opened(envelope, VECTOR_TYPE, *trusted) == VECTOR
        for given_keys in (trusted, [KEY.public_key()] * 2, [*trusted, *trusted]):
            with pytest.raises(SignatureError, match="1 of the 2 trusted keys that must sign"):
                opened(envelope, VECTOR_TYPE, *given_keys, threshold=2)
    both = add_signatures(twice, OTHER)
    assert opened(both, VECTOR_TYPE, *trusted, threshold=2) == VECTOR
    assert len(signed_by(parse(both), *trusted, *trusted)) == 2


@pytest.mark.parametrize("keyid", [{}, {"keyid": ""}, {"keyid": "of somebody else"}], ids=str)
def test_a_key_id_that_is_absent_or_wrong_decides_nothing(keyid: dict[str, str]) -> None:
    assert opened(envelope_of({**keyid, "sig": VECTOR_SIG}), VECTOR_TYPE, KEY.public_key()) == VECTOR
    with pytest.raises(SignatureError, match=r"signed by .*, not by"):
        opened(envelope_of({**keyid, "sig": VECTOR_SIG}), VECTOR_TYPE, OTHER.public_key())


@given(payload=st.binary(max_size=40))
def test_base64_may_be_standard_or_url_safe_padded_or_not(payload: bytes) -> None:
    content = json.loads(sign(payload, KIND, KEY))
    for decode in (
        lambda text: text,
        lambda text: text.rstrip("="),
        lambda text: text.translate(str.maketrans("+/", "-_")),
        lambda text: text.translate(str.maketrans("+/", "-_")).rstrip("="),
    ):
        signatures = [{"sig": decode(one["sig"])} for one in content["signatures"]]
        changed = {**content, "payload": decode(content["payload"]), "signatures": signatures}
        assert opened(json.dumps(changed).encode(), KIND, KEY.public_key()) == payload


@pytest.mark.parametrize(
    "payload", ["+-==", "-/8=", "aGk==", "aGk=aGk=", "aG k=", "aGk=\n", "a", "=", "aGk"[:1] + "="]
)
def test_base64_of_two_alphabets_or_with_half_of_its_padding_is_refused(payload: str) -> None:
    with pytest.raises(SignatureError, match=r"envelope: payload: '.* is no base64"):
        parse(envelope_of(payload=payload))


def test_a_document_of_one_type_is_not_taken_for_another() -> None:
    with pytest.raises(SignatureError, match=f"'{VECTOR_TYPE}' in place of '{KIND}'"):
        opened(envelope_of({"sig": VECTOR_SIG}), KIND, KEY.public_key())
    with pytest.raises(SignatureError, match="not by the trusted key"):  # what is not ours has no type
        opened(envelope_of({"sig": VECTOR_SIG}), KIND, OTHER.public_key())


GOOD = envelope_of({"keyid": VECTOR_ID, "sig": VECTOR_SIG})


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        (GOOD + b" {}", "Extra data"),
        (GOOD + b"x", "Extra data"),
        (b"\xef\xbb\xbf" + GOOD, "BOM"),
        (GOOD.replace(b'"payload":', b'"payload": "", "payload":'), "'payload' stands twice"),
        (GOOD.replace(b'"sig":', b'"sig": "", "sig":'), "'sig' stands twice"),
        (GOOD[:-1] + b', "more": NaN}', "NaN is not JSON"),
        (GOOD[:-1] + b', "more": ' + b"[" * 1000 + b"]" * 1000 + b"}", "nested deeper"),
        (GOOD.decode().encode("utf-16"), "not UTF-8"),
        (GOOD[:-1], "delimiter"),
        (b"null", "it: None is no JSON object"),
        (envelope_of(*[{"sig": VECTOR_SIG}] * (MAX_SIGNATURES + 1)), "33 of them; at most 32"),
        (envelope_of({"sig": VECTOR_SIG, "keyid": "a" * 200}), "keyid: 'a+\\.\\.\\. is longer than 128"),
        (envelope_of({"sig": VECTOR_SIG}, kind="t" * 300), "payloadType: 't+\\.\\.\\. is longer than 255"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_json_that_two_parsers_could_read_differently_is_no_envelope(envelope: bytes, said: str) -> None:
    with pytest.raises(SignatureError, match=f"not a signature envelope: .*{said}"):
        parse(envelope)


def test_members_that_we_do_not_know_are_ignored() -> None:
    more = json.loads(GOOD) | {"mediaType": "x", "hints": {"a": [1, None]}}
    more["signatures"][0]["cert"] = "x"
    assert opened(json.dumps(more).encode(), VECTOR_TYPE, KEY.public_key()) == VECTOR


@pytest.mark.parametrize("threshold", [-1, 0, 1])
def test_without_a_signature_or_without_keys_nothing_is_trusted_whatever_the_threshold(
    threshold: int,
) -> None:
    with pytest.raises(SignatureError, match="signed by nobody, not by the trusted key"):
        opened(envelope_of(), VECTOR_TYPE, KEY.public_key(), threshold=threshold)
    with pytest.raises(SignatureError, match="there is none"):
        opened(GOOD, VECTOR_TYPE, threshold=threshold)


@given(content=JSON, place=st.sampled_from(["payload", "payloadType", "signatures", "keyid", "sig"]))
def test_any_part_of_another_shape_is_one_error_or_changes_nothing(content: Any, place: str) -> None:
    envelope = json.loads(GOOD)
    (envelope["signatures"][0] if place in ("keyid", "sig") else envelope)[place] = content
    try:
        assert opened(json.dumps(envelope).encode(), VECTOR_TYPE, KEY.public_key()) == VECTOR
    except SignatureError as error:
        assert len(str(error)) < 400 and len(str(error).splitlines()) == 1


def test_ten_megabytes_are_refused_in_a_moment() -> None:
    for junk in (b"9" * 10_000_000, b'"' + b"a" * 10_000_000 + b'"', b"[" * 10_000_000):
        with pytest.raises(SignatureError, match="not a signature envelope") as caught:
            parse(junk)
        assert len(str(caught.value)) < 200
