"""The end of a roll: its map into a folder, and the event that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.line.publish import Recorded
from agent.rolls import roll_map
from agent.rolls.rolls import Roll, Rolls
from agent.settings.camera import Camera

log = structlog.get_logger(__name__)

DEFECTS_TOLD = 100  # strongest first; the file has all


@dataclass(frozen=True, slots=True, kw_only=True)
class RollMaps:
    """The maps of rolls that end; a camera that is not in `folders` has none."""

    rolls: Rolls
    folders: Mapping[str, Path]
    events: EventMaker
    append: Callable[[Row], object]
    failed: Counter[str] = field(default_factory=Counter)  # maps that could not be written, by camera

    def recorded(self, told: Recorded) -> None:
        """A record is durable."""
        self.rolls.take(told.verdict, 0 if told.frame is None else told.frame.image.shape[1])

    def watch(self) -> None:
        """Of those that have ended since; to be called about once a second."""
        self._tell(self.rolls.ended())

    def end(self) -> None:
        """Of all that are open, with the agent; their last record is committed."""
        self._tell(self.rolls.close())

    def _tell(self, rolls: Iterable[Roll]) -> None:
        for roll in rolls:
            row, written = tell_roll(roll, self.folders[roll.camera], self.events)
            self.failed[roll.camera] += not written
            self.append(row)


def make_roll_maps(
    cameras: Sequence[Camera], rolls: Rolls, events: EventMaker, append: Callable[[Row], object]
) -> RollMaps:
    """In the folders that the cameras' settings name."""
    folders = {one.name: one.web.roll.folder for one in cameras if one.web.roll.folder is not None}
    return RollMaps(rolls=rolls, folders=folders, events=events, append=append)


def tell_roll(roll: Roll, folder: Path, events: EventMaker) -> tuple[Row, bool]:
    """Write the map and give the event `roll_map`, which says why where it is not written; whether it was."""
    said = roll_map.as_json(roll, roll_map.strongest(roll, DEFECTS_TOLD))
    del said["stretches"]  # of any number, and in the file
    try:
        files: list[str] = [str(file) for file in roll_map.write(roll, folder)]
    except OSError as error:
        detail = (
            f"roll {roll.roll_id}: its map cannot be written to {folder} ({error.strerror}); check the folder"
        )
        log.warning("roll_map_not_written", detail=detail)
        return events.row("roll_map", "warning", detail, **said, files=[]), False
    log.info("roll_map", roll_id=roll.roll_id, defects=roll.defects_counted)
    windows = sum(roll.windows.values())
    detail = f"roll {roll.roll_id}: {windows} windows, {roll.defects_counted} defects; {files[1]}"
    return events.row("roll_map", "info", detail, **said, files=[*files]), True
