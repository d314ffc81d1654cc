"""Whether a document is one that this station obeys: pure, in an order in which nothing false is believed.

Size, envelope, signature, type, JSON, schema, address, counter, expiry. Of what no trusted key signed nothing
is read but the envelope, and nothing said but that. What is refused changes nothing here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import ValidationError

from agent.clock import rfc3339
from agent.contract.desired import INSTALL_TYPE, MAX_DOCUMENT_BYTES, SETTINGS_TYPE, Desired
from agent.contract.strict_json import StrictJsonError
from agent.foreign import stored
from agent.trust.envelope import Envelope, SignatureError, parse, signed_by
from agent.trust.freshness import Reading, Version, expiry, standing
from agent.trust.trust_set import Role, TrustSet

SAID_PROBLEMS = 8
LONGEST_SAID = 300
TYPES: dict[Role, str] = {"settings": SETTINGS_TYPE, "bundle": INSTALL_TYPE}

Document = TypeVar("Document", bound=Desired)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """What is wrong, and where: a place in the document or in the settings."""

    message: str
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A document that is not obeyed; the code is of HTTP's numbers. `head` is what a genuine one says."""

    code: int
    flaws: tuple[Flaw, ...]
    envelope_sha256: str
    head: Desired | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Genuine(Generic[Document]):
    """A document that trusted keys signed for this station."""

    document: Document
    envelope_sha256: str  # of the bytes that came
    sha256: str  # of what was signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Who is asked. `trust` is a text where there is no set of keys: why, and what to do about it."""

    address: str
    groups: Collection[str]
    trust: TrustSet | str


def opened(
    data: bytes, role: Role, read: Callable[[bytes], Document], station: Station
) -> Genuine[Document] | Unfit:
    """The document of this role in an envelope; `read` raises StrictJsonError or ValidationError."""
    digest = hashlib.sha256(data).hexdigest()

    def unfit(code: int, message: str, path: str | None = None) -> Unfit:
        return Unfit(code=code, flaws=(Flaw(message=_said(message), path=path),), envelope_sha256=digest)

    if len(data) > MAX_DOCUMENT_BYTES:
        return unfit(413, f"{len(data)} bytes; at most {MAX_DOCUMENT_BYTES} are read")
    if isinstance(station.trust, str):
        return unfit(401, station.trust)
    try:
        envelope = parse(data)
    except SignatureError as error:
        return unfit(400, str(error))
    refused = _unsigned(envelope, role, station.trust)
    if refused is not None:
        return unfit(*refused)
    try:
        document = read(envelope.payload)
    except StrictJsonError as error:
        return unfit(400, f"its payload is not JSON as we read it: {error}", "payload")
    except ValidationError as error:
        return Unfit(code=422, flaws=_flaws(error), envelope_sha256=digest)
    found = Genuine(
        document=document, envelope_sha256=digest, sha256=hashlib.sha256(envelope.payload).hexdigest()
    )
    listens = (station.address, *(f"group:{group}" for group in station.groups))
    if document.address not in listens:
        words = f"it is for {document.address}; here is {', '.join(listens)}"
        return replace(unfit(403, words, "address"), head=document)
    return found


def stale(found: Genuine[Document], seen: Version | None, epoch: int, reading: Reading) -> Unfit | None:
    """Why a genuine document is not to be taken up any more; None where it is new, or the one seen last.

    `seen` is the highest of its issuer, `epoch` the trust file's.
    """
    head = found.document
    offered = Version(epoch=head.epoch, counter=head.counter, sha256=found.sha256)
    match standing(offered, seen, epoch=epoch):
        case "ahead":
            code, words, path = 409, f"of epoch {head.epoch}; the trust file here is at {epoch}", "epoch"
        case "rollback" if head.epoch < epoch:
            code, words, path = 409, f"of epoch {head.epoch}; the trust file here is at {epoch}", "epoch"
        case "rollback":
            highest = 0 if seen is None else seen.counter
            code, words, path = 409, f"counter {head.counter} is not above {highest}, seen before", "counter"
        case "conflict":
            words = f"counter {head.counter} came with another content before; count up"
            code, path = 409, "counter"
        case "newer" if expiry(head.expires, reading) == "expired":
            code, path = 410, "expires"
            words = f"it expired {rfc3339(head.expires)}, and it is {rfc3339(reading.now)}; sign it anew"
        case _:
            return None
    flaw = Flaw(message=words, path=path)
    return Unfit(code=code, flaws=(flaw,), envelope_sha256=found.envelope_sha256, head=head)


def _unsigned(envelope: Envelope, role: Role, trust: TrustSet) -> tuple[int, str] | None:
    """Code and words; None for what the keys of this role signed, enough of them, and of its type."""
    keys = trust.keys_of(role)
    signers = signed_by(envelope, *keys)
    anybody = signers or signed_by(envelope, *(key for one in TYPES for key in trust.keys_of(one)))
    if not anybody:
        return 401, "no key of the trust file signed it; sign it with one that has the role " + role
    if envelope.payload_type != TYPES[role]:
        kind = envelope.payload_type
        return 415, f"it is of type {kind!r}; what belongs here is of type {TYPES[role]!r}"
    if not signers:
        return 403, f"the key that signed it may not sign for the role {role}; sign it with one that may"
    if len(signers) < trust.threshold:
        words = f"{len(signers)} of the {trust.threshold} keys that must sign with the role {role} signed it"
        return 401, words + "; have the others sign it, too"
    return None


def _flaws(error: ValidationError) -> tuple[Flaw, ...]:
    """Places and words of pydantic; no value is repeated, for it may be anything."""
    found: Sequence[Flaw] = [
        Flaw(
            message=_said(one["msg"].removeprefix("Value error, ")),
            path=_said(".".join(map(str, one["loc"]))),
        )
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = len(found) - SAID_PROBLEMS
    return (*found[:SAID_PROBLEMS], *((Flaw(message=f"and {more} more"),) if more > 0 else ()))


def _said(text: str) -> str:
    return stored(text[:LONGEST_SAID])
