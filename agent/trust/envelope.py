"""DSSE 1.0.2: the payload's type is signed with it, so one kind of document never passes for another.

Envelope: {"payloadType", "payload" (base64), "signatures": [{"keyid", "sig"}]}, of which other members are
ignored; the signature (Ed25519) is over the pre-authentication encoding. Base64 is standard or URL-safe,
padded or not. A key id is a hint that nobody signed: it chooses words, and no decision rests on it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.contract import strict_json
from agent.contract.strict_json import StrictJsonError
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.trust.keys import key_id, short

MAX_SIGNATURES = 32  # of a trust file: by every key of the set before and of its own
MAX_TYPE_CHARACTERS = 255
MAX_KEY_ID_CHARACTERS = 128
_SAID_CHARACTERS = 64
_URL_SAFE = str.maketrans("-_", "+/")


class SignatureError(PlumblineError):
    """The envelope is not what trusted keys signed. The text has no place: the caller knows the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    claimed: str  # key id; empty where there is none
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Decoded once; what is verified is what is used."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def encoding(payload: bytes, payload_type: str) -> bytes:
    """The bytes that are signed (PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse(data: bytes) -> Envelope:
    """Raises SignatureError for what is no envelope, or one that two parsers could read differently."""
    try:
        content = strict_json.parse(data)
    except StrictJsonError as error:
        raise SignatureError(f"not a signature envelope: {shown(str(error))}") from error
    if not isinstance(content, dict):
        raise _unfit("it", content, "no JSON object")
    payload_type = _text(content, "payloadType", "")
    if len(payload_type) > MAX_TYPE_CHARACTERS:
        raise _unfit("payloadType", payload_type, f"longer than {MAX_TYPE_CHARACTERS} characters")
    found = content.get("signatures")
    if not isinstance(found, list):
        raise _unfit("signatures", found, "no list")
    if len(found) > MAX_SIGNATURES:
        raise SignatureError(
            f"not a signature envelope: signatures: {len(found)} of them; at most {MAX_SIGNATURES} are read"
        )
    return Envelope(
        payload_type=payload_type,
        payload=_decoded(_text(content, "payload", ""), "payload"),
        signatures=tuple(_signature(one, f"signatures.{number}") for number, one in enumerate(found)),
    )


def signed_by(envelope: Envelope, *trusted: Ed25519PublicKey) -> tuple[Ed25519PublicKey, ...]:
    """Those of `trusted` that signed it, each once, however often it is given and under whatever id."""
    signed = encoding(envelope.payload, envelope.payload_type)
    keys = {key.public_bytes_raw(): key for key in trusted}
    return tuple(
        key for key in keys.values() if any(_fits(key, one.signature, signed) for one in envelope.signatures)
    )


def opened(data: bytes, payload_type: str, *trusted: Ed25519PublicKey, threshold: int = 1) -> bytes:
    """The payload, which `threshold` different keys of `trusted` signed as this type.

    Raises SignatureError.
    """
    envelope = parse(data)
    signers = signed_by(envelope, *trusted)
    if len(signers) < max(threshold, 1):
        raise SignatureError(_shortage(envelope, signers, trusted, threshold))
    if envelope.payload_type != payload_type:
        raise SignatureError(
            "the signature belongs to another file or another kind of file: "
            f"{_said(envelope.payload_type)} in place of '{payload_type}'"
        )
    return envelope.payload


def verify(
    data: bytes, payload: bytes, payload_type: str, *trusted: Ed25519PublicKey, threshold: int = 1
) -> None:
    """Raises SignatureError unless `threshold` keys of `trusted` signed exactly this payload as this type."""
    if opened(data, payload_type, *trusted, threshold=threshold) != payload:
        raise SignatureError("the signature belongs to another file or another kind of file")


def signers(data: bytes) -> list[str]:
    """The key ids that an envelope claims, as they can be shown; claims only, `verify` decides."""
    return [shown(one.claimed) for one in parse(data).signatures]


def _shortage(
    envelope: Envelope,
    signers: Sequence[Ed25519PublicKey],
    trusted: Sequence[Ed25519PublicKey],
    threshold: int,
) -> str:
    """Why they are too few, in words; what an envelope claims is told, and decides nothing."""
    known = list(dict.fromkeys(map(key_id, trusted)))
    if signers:
        missing = [one for one in known if one not in set(map(key_id, signers))]
        return (
            f"signed by {_listed(map(key_id, signers))}, which is {len(signers)} of the {threshold} trusted "
            f"keys that must sign; missing: {threshold - len(signers)} of {_listed(missing) or 'no key'}"
        )
    claimed = [one.claimed for one in envelope.signatures]
    for one in known:
        if one in claimed or short(one) in claimed:
            return f"the signature of key {short(one)} does not fit the file"
    wanted = "the trusted key" if len(known) == 1 else "one of the trusted keys"
    told = ", ".join(f"'{shown(short(one))}'" for one in claimed) or "nobody"
    return f"signed by {told}, not by {wanted} {_listed(known) or '(there is none)'}"


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(map(short, ids))


def _fits(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _signature(content: Any, place: str) -> Signature:
    if not isinstance(content, dict):
        raise _unfit(place, content, "no JSON object")
    claimed = _text(content, "keyid", f"{place}.") if "keyid" in content else ""
    if len(claimed) > MAX_KEY_ID_CHARACTERS:
        raise _unfit(f"{place}.keyid", claimed, f"longer than {MAX_KEY_ID_CHARACTERS} characters")
    return Signature(claimed=claimed, signature=_decoded(_text(content, "sig", f"{place}."), f"{place}.sig"))


def _text(content: dict[str, Any], name: str, above: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise _unfit(f"{above}{name}", value, "no text")
    return value


def _decoded(text: str, place: str) -> bytes:
    """Of one alphabet, with all of its padding or none."""
    standard = text.translate(_URL_SAFE) if not set(text) & set("+/") else text
    if "=" not in text:
        standard += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(standard, validate=True)
    except ValueError as error:
        raise _unfit(place, text, "no base64") from error


def _unfit(place: str, value: Any, why: str) -> SignatureError:
    return SignatureError(f"not a signature envelope: {place}: {_said(value)} is {why}")


def _said(value: Any) -> str:
    words = repr(value)
    return shown(words[:_SAID_CHARACTERS]) + ("..." if len(words) > _SAID_CHARACTERS else "")
