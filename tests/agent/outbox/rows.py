"""Rows and stations for the uplink's tests."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from agent.contract.row import Row
from agent.contract.topics import Topics

TOPICS = Topics(site="site", area="area", line="line", station="station")


def verdict(sequence: int) -> Row:
    return Row(
        id=f"verdict-{sequence}",
        kind="verdict",
        topic=TOPICS.verdict("top"),
        payload=b'{"sequence":%d}' % sequence,
        content_type="application/json",
        properties=(("id", f"verdict-{sequence}"),),
        sequence=sequence,
    )


def event(number: int) -> Row:
    return Row(
        id=f"event-{number}",
        kind="event",
        topic=TOPICS.event(),
        payload=b'{"event":%d}' % number,
        content_type="application/json",
    )


def crop(number: int, size_bytes: int = 2000) -> Row:
    return Row(
        id=f"crop-{number}",
        kind="crop",
        topic=TOPICS.crop("top"),
        payload=(b"%08d" % number).ljust(size_bytes, b"."),
        content_type="image/jpeg",
        properties=(("crop_id", f"crop-{number}"), ("bbox", "1,2,3,4")),
    )


def named_crop(number: int, size_bytes: int = 2000) -> Row:
    """One that says the sha256 of its payload, as those of a line do."""
    row = crop(number, size_bytes)
    named = ("sha256", hashlib.sha256(row.payload).hexdigest())
    return replace(row, properties=(*row.properties, named))
