"""Whether what was kept is what stations made: the links between records, and the heads that sign for them.

Each record ends in `"chain":{"segment", "number", "previous"}`. Its link is

    SHA-256(segment, 8 bytes | previous, 32 bytes | number, 8 bytes big-endian | SHA-256 of the rest)

and stands as `previous` in the record with the next number of its segment. Pictures are such records, too:
their SHA-256 stand in the verdict in front of them, so nobody has to keep them. A head (`plumbline.head/1`)
is a DSSE envelope in which the station's key signs for a number and the link behind it. Pure; signatures
need cryptography.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from contract import ConsumerError, shown

PLACE = re.compile(
    r',"chain":\{"segment":"([0-9a-f]{16})","number":([1-9][0-9]{0,15}),"previous":"([0-9a-f]{64})"\}\}\Z'
)
HEAD = "plumbline.head/1"
HEAD_TYPE = "application/vnd.plumbline.head+json"
BEGINNING = "0" * 64


class Link(NamedTuple):
    """A record's place, as it stands there."""

    where: str  # table and place in it
    source: str  # the station's topic
    number: int
    previous: str
    digest: str  # of its content
    sequence: int | None  # of a verdict
    pictures: tuple[str, ...]  # SHA-256 of those that follow it
    head: str | None  # its content
    is_read: bool  # it is JSON with a schema


class Segment(NamedTuple):
    """What is known of one stretch of a station's chain."""

    name: str
    source: str
    first: int
    last: int
    heads: int
    proven: int  # by the last head; 0 without one
    keys: tuple[str, ...]  # that signed
    broken: str | None  # the first broken link, in words


class Checked(NamedTuple):
    """What was found among records."""

    segments: list[Segment]
    unplaced: int  # records without a place, as those of an older agent
    broken: list[str]  # in words: broken links, and what was put in


class Begun(NamedTuple):
    """What a segment's own head says of the one before it, which it follows."""

    number: int  # of the record that the segment begins with
    end: int  # the last head that is known of the one before
    lost: list[tuple[int, int]]  # numbers that nobody has


def read_link(where: str, source: str, body: str) -> tuple[str, Link] | None:
    """A record's segment and place; None for one of before stations chained them."""
    found = PLACE.search(body)
    if found is None:
        return None
    segment, number, previous = found.groups()
    content = body[: found.start()] + "}"
    content = content.replace(
        ',"replayed":true,', ',"replayed":false,', 1
    )  # said again, it is the same record
    try:
        said = json.loads(content)
        schema = str(said["schema"])
    except (ValueError, TypeError, KeyError, RecursionError):
        said, schema = {}, ""
    is_verdict = schema == "plumbline.verdict/1"
    return segment, Link(
        where=where,
        source=source,
        number=int(number),
        previous=previous,
        digest=hashlib.sha256(content.encode()).hexdigest(),
        sequence=said.get("sequence") if is_verdict else None,
        pictures=tuple(_pictures(said)) if is_verdict else (),
        head=content if schema == HEAD else None,
        is_read=schema != "",
    )


def read_keys(paths: Iterable[Path]) -> set[str]:
    """Public keys in PEM, as hexadecimal. Raises ConsumerError."""
    found = set()
    for path in paths:
        try:
            key = _ed25519().load_pem_public_key(path.read_bytes())
            found.add(key.public_bytes_raw().hex())
        except (OSError, ValueError, AttributeError) as error:
            raise ConsumerError(
                f"--key {path}: no public key of Ed25519 in PEM ({error}); plumbline station-key shows it"
            ) from None
    return found


def check(
    bodies: Iterable[tuple[str, str, str]], keys: set[str], first: int | None = None, last: int | None = None
) -> Checked:
    """Each segment among records, given as where they are, whose they are, and what they are."""
    found: dict[str, dict[int, Link]] = defaultdict(dict)
    twice: dict[str, str] = {}
    runs, unplaced = set[object](), list[tuple[str, object]]()
    for where, source, body in bodies:
        placed = read_link(where, source, body)
        run = _run(body)
        if placed is None:
            unplaced.append((where, run))
            continue
        runs.add(run)
        segment, link = placed
        had = found[segment].setdefault(link.number, link)
        if (had.previous, had.digest) != (link.previous, link.digest):
            twice.setdefault(segment, _words(link, "two records have this number", had.digest, link.digest))
    behind = dict(_behind(found, keys))
    segments = [
        _walked(
            segment,
            sorted(links.values(), key=lambda one: one.number),
            keys,
            behind.get(segment),
            twice,
            first,
            last,
        )
        for segment, links in sorted(found.items(), key=lambda one: min(one[1]))
    ]
    broken = [one.broken for one in segments if one.broken is not None]
    if (first, last) == (None, None):
        broken += _absent(found, keys)
    elif not any(one.last for one in segments):
        broken.append(f"there is no record from {first or 1} to {last or 'the end'}")
    put_in = next((where for where, run in unplaced if run is not None and run in runs), None)
    if put_in is not None:
        broken.append(f"{put_in}: put in: it has no place in the chain, and others of its boot_id have one")
    if not keys:
        broken += _several_keys(segments)
    return Checked(segments, len(unplaced), broken)


def _absent(found: dict[str, dict[int, Link]], keys: set[str]) -> Iterator[str]:
    """Segments that another one follows, and that are not there while older ones of their station are.

    Not one of which all was lost with a file, as the head of that other one says.
    """
    begins = {segment: links[min(links)] for segment, links in found.items()}
    for link in begins.values():
        said = None if link.head is None else statement(link.head, keys)
        follows = said.get("follows") if isinstance(said, dict) else None
        if follows is None or follows["segment"] in found:
            continue
        older = [
            max(found[segment])
            for segment, one in begins.items()
            if one.source == link.source and one.number < link.number
        ]
        lost = _begun(said, link.number).lost
        if older and not any(first <= max(older) + 1 and link.number - 1 <= last for first, last in lost):
            yield _words(link, "the segment that it follows is missing", follows["segment"], "older ones")


def _several_keys(segments: Iterable[Segment]) -> Iterator[str]:
    signers: dict[str, dict[str, None]] = defaultdict(dict)
    for one in segments:
        signers[one.source].update(dict.fromkeys(one.keys))
    for source, keys in signers.items():
        if len(keys) > 1:
            yield f"{source}: signed with several keys; say with --key which are right"


def _run(body: str) -> object:
    try:
        return str(json.loads(body)["boot_id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _walked(
    segment: str,
    links: list[Link],
    keys: set[str],
    behind: Begun | None,
    twice: dict[str, str],
    first: int | None,
    last: int | None,
) -> Segment:
    heads, proven, signers = 0, 0, dict[str, None]()
    lost = [] if behind is None else behind.lost
    broken = twice.get(segment)
    end = next((one.number for one in links if last is not None and one.head and one.number > last), last)
    source = links[0].source
    links = [one for one in links if one.number >= (first or 0) and (end is None or one.number <= end)]
    if links and first is not None and links[0].number > first and links[0].previous != BEGINNING:
        broken = broken or _missing(links[0], first, links[0].number - 1)
    for place, link in enumerate(links):
        if broken is None and not link.is_read:
            broken = _words(link, "it cannot be read", "what was committed", "something else")
        before = links[place - 1] if place else None
        if broken is None and before is not None:
            broken = _step(segment, before, link, links[place + 1 : place + 2], lost)
        if broken is not None:
            break
        if link.head is not None:
            said = statement(link.head, keys)
            if isinstance(said, str):
                broken = _words(link, said, "a head that the station's key signed", "another")
                break
            if (said["segment"], said["number"] + 1, said["link"]) != (segment, link.number, link.previous):
                broken = _words(link, "the head signs for another place", said["link"], link.previous)
                break
            heads, proven = heads + 1, said["number"]
            signers[said["key"]] = None
    named = links[-1].number + len(links[-1].pictures) if links else 0
    wanted = last or 0
    if behind is not None:  # it ends where the next one begins, and had all that its heads sign for
        known = min(behind.end, behind.number - 1)
        wanted = known if last is None else min(last, known)
    if broken is None and links and named < wanted and not _is_lost(lost, named + 1, wanted):
        broken = _missing(links[-1], named + 1, wanted)
    if broken is None and links and keys and not heads:
        broken = f"segment {segment}, from {links[0].where} on: no head of a key that was given signs for it"
    numbers = (links[0].number, links[-1].number) if links else (0, 0)
    return Segment(segment, source, *numbers, heads, proven, tuple(signers), broken)


def _step(
    segment: str, before: Link, link: Link, behind: list[Link], lost: list[tuple[int, int]]
) -> str | None:
    """From one record to the next that is there; None where it holds."""
    first, last = before.number + 1, link.number - 1
    behind_it = _over(segment, before, link.number)
    if behind_it is None:
        if len(before.pictures) <= last - first:
            first += len(before.pictures)
        if _is_lost(lost, first, last):
            return None
        return _missing(link, first, last)
    if link.previous == behind_it:
        return None
    if behind and _over(segment, link, behind[0].number) not in (None, behind[0].previous):
        return _words(link, "it does not follow the record before", behind_it, link.previous)
    what = "its content is not what the next record was chained to"
    return _words(before, what, link.previous, behind_it)


def _is_lost(lost: list[tuple[int, int]], first: int, last: int) -> bool:
    return any(begin <= first and last <= end for begin, end in lost)


def _over(segment: str, link: Link, number: int) -> str | None:
    """The link in front of `number`; None where others than this record and its pictures stood between."""
    followers = (link.digest, *link.pictures)
    if number != link.number + 1:
        if number != link.number + len(followers):
            return None
    else:
        followers = (link.digest,)
    found = link.previous
    for place, digest in enumerate(followers, link.number):
        parts = bytes.fromhex(segment) + bytes.fromhex(found) + place.to_bytes(8, "big")
        found = hashlib.sha256(parts + bytes.fromhex(digest)).hexdigest()
    return found


def statement(content: str, keys: set[str]) -> dict[str, Any] | str:
    """What a head signs for, or why it is none that counts. Without `keys` the one that it names counts."""
    try:
        head = json.loads(content)
        payload = base64.b64decode(head["payload"], validate=True)
        said: dict[str, Any] = json.loads(payload)
        signature = base64.b64decode(head["signatures"][0]["sig"], validate=True)
        key = said["key"]
        signed = b"DSSEv1 %d %b %d %b" % (len(HEAD_TYPE), HEAD_TYPE.encode(), len(payload), payload)
        own = [head[name] == said[name] for name in ("head_id", "boot_id", "station", "created")]
        if not all(own) or head["payloadType"] != HEAD_TYPE or type(said["number"]) is not int:
            return "the head says another thing beside what is signed"
        if not all(isinstance(said[name], str) for name in ("segment", "link")):
            return "it is no head of a chain, or is damaged"
        if said.get("follows") is not None:
            _begun(said, 0)
        public = _ed25519().load_der_public_key(bytes.fromhex("302a300506032b6570032100" + key))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return "it is no head of a chain, or is damaged"
    if keys and key not in keys:
        return "the head is signed with a key that is not one of those given"
    try:
        public.verify(signature, signed)
    except _invalid():
        return "the signature of the head does not fit"
    return said


def describe(segment: Segment) -> str:
    """One line for people."""
    proof = f"{segment.heads} heads, proven to {segment.proven}" if segment.heads else "no head"
    return f"{segment.source}, segment {segment.name}: {segment.first} to {segment.last}, {proof}"


def _behind(found: dict[str, dict[int, Link]], keys: set[str]) -> Iterator[tuple[str, Begun]]:
    """What stations said as a segment began, by the segment that it follows."""
    for links in found.values():
        for link in links.values():
            said = None if link.head is None else statement(link.head, keys)
            if isinstance(said, dict) and said.get("follows") is not None:
                yield said["follows"]["segment"], _begun(said, link.number)


def _begun(said: dict[str, Any], number: int) -> Begun:
    """Raises ValueError, TypeError and KeyError for what no station says."""
    lost = [(int(first), int(last)) for first, last in said.get("lost", ())]
    hash(said["follows"]["segment"])
    return Begun(number, int(said["follows"]["number"]), lost)


def _pictures(verdict: dict[str, Any]) -> Iterator[str]:
    defects = verdict.get("defects")
    named = [one.get("crop") for one in defects if isinstance(one, dict)] if isinstance(defects, list) else []
    for crop in (*named, verdict.get("sample")):
        if isinstance(crop, dict) and re.fullmatch("[0-9a-f]{64}", str(crop.get("sha256"))):
            yield crop["sha256"]


def _missing(beside: Link, first: int, last: int) -> str:
    more = "" if first == last else f" to {last}"
    return f"{beside.where}: broken at record {first}: {first}{more} missing beside record {beside.number}"


def _words(link: Link, what: str, expected: str, stands: str) -> str:
    verdict = "" if link.sequence is None else f", verdict {link.sequence}"
    return shown(
        f"{link.where}: broken at record {link.number}{verdict}: {what}; expected: {expected}; "
        f"there stands: {stands}"
    )


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise ConsumerError("checking signatures needs cryptography: pip install cryptography") from None
    return serialization


def _invalid() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature
