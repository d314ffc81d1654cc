"""How records follow each other: each carries the digest of the one before it. Pure.

    link = SHA-256(segment, 8 bytes | previous, 32 bytes | number, 8 bytes big-endian | digest, 32 bytes)

`digest` is the SHA-256 of the record's payload as it was before its place in the chain was written into it,
`previous` the link of the record before, 32 zero bytes for the first of a segment. In JSON the place is the
last member, `chain`, of the payload; what is no JSON has it as a property of that name. `replayed` of a
verdict counts as false, so that what is said again is the same record.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

SEGMENT_BYTES = 8
LINK_BYTES = 32
NAME = "chain"  # of the member, and of the property
BEGINNING = bytes(LINK_BYTES)  # the link before the first record of a segment

MEMBER_BYTES = 143  # at most, what a place adds to a record of JSON

_PLACE = rb'\{"segment":"([0-9a-f]{16})","number":([1-9][0-9]{0,15}),"previous":"([0-9a-f]{64})"\}'
_MEMBER = re.compile(rb',"chain":' + _PLACE + rb"\}\Z")
_PROPERTY = re.compile(_PLACE)
_AGAIN, _ONCE = b',"replayed":true,', b',"replayed":false,'


@dataclass(frozen=True, slots=True, kw_only=True)
class Chained:
    """A record's place: the `number`th of its station in `segment`, behind the link `previous`."""

    segment: bytes
    number: int
    previous: bytes

    def link(self, digest: bytes) -> bytes:
        """What the next record carries, when the SHA-256 of this one's payload is `digest`."""
        return link(self.segment + self.previous, self.number, digest)

    def words(self) -> str:
        """As it stands in a message."""
        return words_of(self.segment + self.previous, self.number)


def chained(place: bytes, number: int) -> Chained:
    """From the segment and the link before, in one."""
    return Chained(segment=place[:SEGMENT_BYTES], number=number, previous=place[SEGMENT_BYTES:])


def words_of(place: bytes, number: int) -> str:
    """Of a place as it stands in a message, from the same."""
    segment, previous = place[:SEGMENT_BYTES].hex(), place[SEGMENT_BYTES:].hex()
    return f'{{"segment":"{segment}","number":{number},"previous":"{previous}"}}'


def link(place: bytes, number: int, digest: bytes) -> bytes:
    """The same from a segment and the link before, in one."""
    return hashlib.sha256(place + number.to_bytes(8, "big") + digest).digest()


def digest(content: bytes) -> bytes:
    """Of a payload as `parted` gives it."""
    return hashlib.sha256(content).digest()


def can_bear(payload: bytes) -> bool:
    """Whether a payload of JSON has room for one more member behind its others."""
    return len(payload) > 2 and payload.startswith(b"{") and payload.endswith(b"}")


def borne(payload: bytes, words: str) -> bytes:
    """A JSON object with the words of its place in the chain."""
    return b'%b,"chain":%b}' % (payload[:-1], words.encode())


def parted(payload: bytes) -> tuple[bytes, Chained | None]:
    """The payload that the chain is over, and its place; None where it has none that can be read."""
    found = _MEMBER.search(payload)
    if found is None:
        return payload, None
    return once(payload[: found.start()] + b"}"), _placed(found)


def once(payload: bytes) -> bytes:
    """As it was said first."""
    return payload.replace(_AGAIN, _ONCE, 1)


def again(payload: bytes) -> bytes | None:
    """A verdict flagged as replayed; None where the flag does not stand in it as we write it."""
    return None if payload.count(_ONCE) != 1 else payload.replace(_ONCE, _AGAIN)


def place_of(words: str) -> Chained | None:
    """From what `words` gave."""
    found = _PROPERTY.fullmatch(words.encode(errors="replace"))
    return None if found is None else _placed(found)


def _placed(found: re.Match[bytes]) -> Chained:
    segment, number, previous = found.groups()
    return Chained(
        segment=bytes.fromhex(segment.decode()),
        number=int(number),
        previous=bytes.fromhex(previous.decode()),
    )
