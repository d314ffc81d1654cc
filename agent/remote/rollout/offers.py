"""From the bytes of a signed bundle document to an offer, or to why it is none. Decides, stores nothing.

The envelope is decoded once, verified, and what was verified is parsed. The clock was read once, by the
caller, for all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.bundle.bundle import read_head
from agent.bundle.files import MAX_TOTAL_BYTES, BundleError, open_files
from agent.clock import rfc3339
from agent.contract.desired import (
    INSTALL_TYPE,
    MAX_DOCUMENT_BYTES,
    DesiredBundle,
    FolderSource,
    read_bundle,
)
from agent.contract.strict_json import StrictJsonError
from agent.foreign import shown, stored
from agent.remote.rollout.depot import Depot, DepotError
from agent.remote.rollout.transaction import HERE, Instruction, Problem, Record
from agent.trust.envelope import Envelope, SignatureError, opened, parse, signed_by
from agent.trust.freshness import Reading, Version, expiry, standing
from agent.trust.keys import key_id, short
from agent.trust.trust_set import ROLES, TrustSet

SAID_PROBLEMS = 4
ISSUER = "station"  # of what somebody wanted at this one alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A genuine document for this station, and what the clock says of it."""

    instruction: Instruction
    is_expired: bool
    expiry_checked: bool
    trusted_time: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a document is no offer; `desired` where it could be read so far."""

    problem: Problem
    envelope_sha256: str
    desired: DesiredBundle | None = None


class _Refused(Exception):
    def __init__(self, code: int, message: str, desired: DesiredBundle | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.desired = desired


def read_offer(
    data: bytes, *, trust: TrustSet | None, addresses: Collection[str], reading: Reading, transaction: str
) -> Offer | Refusal:
    """`addresses` are the station's own and its groups'; `transaction` is what the offer would begin."""
    try:
        desired = _read(data, trust, addresses)
    except _Refused as error:
        return unread(data, error.code, str(error), error.desired)
    found = expiry(desired.expires, reading)
    return Offer(
        instruction=Instruction(
            transaction=transaction,
            issuer=desired.issuer,
            epoch=desired.epoch,
            counter=desired.counter,
            envelope_sha256=hashlib.sha256(data).hexdigest(),
            target_id=desired.target.id,
            target_sha256=desired.target.sha256,
            address=desired.address,
            size_bytes=desired.target.size_bytes,
            sources=desired.sources,
            boundary=desired.boundary,
            window=desired.window,
        ),
        is_expired=found == "expired",
        expiry_checked=found != "unchecked",
        trusted_time=None if reading.doubt is not None else rfc3339(reading.now),
    )


def unread(data: bytes, code: int, message: str, desired: DesiredBundle | None = None) -> Refusal:
    """A document that is no offer, and why."""
    problem = Problem(code=code, message=stored(message))
    return Refusal(problem=problem, envelope_sha256=hashlib.sha256(data).hexdigest(), desired=desired)


def way_back(depot: Depot, record: Record, transaction: str) -> Instruction:
    """To the bundle before, as somebody here wants. Raises DepotError where there is none."""
    previous = depot.named("previous")
    if previous is None:
        raise DepotError("no bundle was here before this one", 404)
    head = depot.head_of(previous)
    return Instruction(
        transaction=transaction,
        issuer=ISSUER,
        epoch=HERE,
        counter=_next_counter(record),
        envelope_sha256=previous,
        target_id="" if head is None else head.name,
        target_sha256=previous,
    )


def is_made_here(new: Instruction) -> bool:
    """Of what `of_folder` gives: a bundle that was taught this station's own parts."""
    return new.is_by(ISSUER) and bool(new.sources)


def of_folder(source: Path, sha256: str, record: Record, transaction: str) -> Instruction:
    """To the bundle `sha256` at `source`, as somebody here wants. Raises BundleError, for another too."""
    with open_files(source) as there:
        head, size_bytes = read_head(there, source), sum(there.sizes.values())
    if head.sha256 != sha256:
        there_is = f"{shown(str(source))}: is {head.sha256[:12]}, and {sha256[:12]} was made there"
        raise BundleError(f"{there_is}; make it anew")
    return Instruction(
        transaction=transaction,
        issuer=ISSUER,
        epoch=HERE,
        counter=_next_counter(record),
        envelope_sha256=head.sha256,
        target_id=head.manifest.name,
        target_sha256=head.sha256,
        size_bytes=size_bytes,
        sources=(FolderSource(kind="folder", path=str(source.absolute())),),
    )


def _next_counter(record: Record) -> int:
    known = [one.counter for one in record.highest] + [one.counter for one in record.failed]
    return max(known, default=0) + 1


def _read(data: bytes, trust: TrustSet | None, addresses: Collection[str]) -> DesiredBundle:
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _Refused(413, f"{len(data)} bytes; a document has at most {MAX_DOCUMENT_BYTES}")
    if trust is None:
        raise _Refused(401, "this station trusts nobody's documents; name a trust file in trust.file")
    try:
        envelope = parse(data)
    except SignatureError as error:
        raise _Refused(400, str(error)) from error
    _verify(data, envelope, trust)
    try:
        desired = read_bundle(envelope.payload)
    except StrictJsonError as error:
        raise _Refused(400, f"its payload is not JSON as we read it: {shown(str(error))}") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise _Refused(422, shown("; ".join(problems[:SAID_PROBLEMS]))) from error
    if desired.address not in addresses:
        own = ", ".join(sorted(addresses))
        raise _Refused(403, f"it is for {desired.address}, and this is {own}", desired)
    offered = Version(epoch=desired.epoch, counter=desired.counter, sha256="")
    match standing(offered, None, epoch=trust.epoch):
        case "ahead":
            raise _Refused(
                409,
                f"epoch {desired.epoch}: the trust file here is of epoch {trust.epoch}; renew it",
                desired,
            )
        case "rollback":
            raise _Refused(409, f"epoch {desired.epoch} is over; this is epoch {trust.epoch}", desired)
        case _:
            pass
    if desired.target.size_bytes > MAX_TOTAL_BYTES:
        raise _Refused(413, f"{desired.target.size_bytes} bytes are too many for a bundle", desired)
    return desired


def _verify(data: bytes, envelope: Envelope, trust: TrustSet) -> None:
    """Who signed it comes first, and what it is of afterwards."""
    keys = trust.keys_of("bundle")
    if len(signed_by(envelope, *keys)) >= trust.threshold and envelope.payload_type != INSTALL_TYPE:
        raise _Refused(415, f"it is of type '{shown(envelope.payload_type)}', not '{INSTALL_TYPE}'")
    try:
        opened(data, INSTALL_TYPE, *keys, threshold=trust.threshold)
    except SignatureError as error:
        strangers = signed_by(envelope, *(key for role in ROLES for key in trust.keys_of(role)))
        if strangers and not signed_by(envelope, *keys):
            who = ", ".join(short(key_id(key)) for key in strangers)
            raise _Refused(403, f"signed by {who}, which may not sign bundles here") from error
        raise _Refused(401, str(error)) from error
