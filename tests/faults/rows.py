"""What a station of these tests appends: a rule, so that everybody knows every row by its number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.contract.row import Row
from agent.contract.topics import Topics

TOPICS = Topics(site="site", area="area", line="line", station="station")
CROP_EVERY = 5
EVENT_EVERY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The rows of one camera. The first verdict can be made larger than brokers like."""

    camera: str = "top"
    crop_bytes: int = 2000
    first_verdict_bytes: int = 0

    def append(self, number: int) -> list[Row]:
        """What is appended together: verdict `number`, with it every fifth crop and every tenth event."""
        crops = [self._crop(number)] if number % CROP_EVERY == 0 else []
        events = [self._event(number)] if number % EVENT_EVERY == 0 else []
        return [self._verdict(number), *crops, *events]

    def appends(self, last: int) -> list[Row]:
        """All rows from the first append to the one of `last`."""
        return [row for number in range(1, last + 1) for row in self.append(number)]

    def _verdict(self, number: int) -> Row:
        size = self.first_verdict_bytes if number == 1 else 0
        return Row(
            id=f"{self.camera}-verdict-{number}",
            kind="verdict",
            topic=TOPICS.verdict(self.camera),
            payload=(b'{"sequence":%d}' % number).ljust(size),
            content_type="application/json",
            sequence=number,
        )

    def _crop(self, number: int) -> Row:
        return Row(
            id=f"{self.camera}-crop-{number}",
            kind="crop",
            topic=TOPICS.crop(self.camera),
            payload=(b"%d " % number).ljust(self.crop_bytes, b"."),
            content_type="image/jpeg",
            properties=(("crop_id", f"{self.camera}-crop-{number}"),),
        )

    def _event(self, number: int) -> Row:
        return Row(
            id=f"{self.camera}-event-{number}",
            kind="event",
            topic=TOPICS.event(),
            payload=b'{"camera":"%s","event":%d}' % (self.camera.encode(), number),
            content_type="application/json",
        )


def sequences(rows: Iterable[Row]) -> list[int]:
    return [row.sequence for row in rows if row.sequence is not None]
