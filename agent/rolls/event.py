"""The end of a roll: its map into a folder, and the event that says so."""

from __future__ import annotations

from pathlib import Path

import structlog

from agent.contract.events import EventMaker
from agent.contract.row import Row
from agent.rolls import roll_map
from agent.rolls.rolls import Roll

log = structlog.get_logger(__name__)

DEFECTS_TOLD = 100  # strongest first; the file has all


def tell_roll(roll: Roll, folder: Path, events: EventMaker) -> Row:
    """Write the map and give the event `roll_map`; one that cannot be written is a warning that says why."""
    said = roll_map.as_json(roll, roll_map.strongest(roll, DEFECTS_TOLD))
    del said["stretches"]  # of any number, and in the file
    try:
        files: list[str] = [str(file) for file in roll_map.write(roll, folder)]
    except OSError as error:
        detail = (
            f"roll {roll.roll_id}: its map cannot be written to {folder} ({error.strerror}); check the folder"
        )
        log.warning("roll_map_not_written", detail=detail)
        return events.row("roll_map", "warning", detail, **said, files=[])
    log.info("roll_map", roll_id=roll.roll_id, defects=roll.defects_counted)
    windows = sum(roll.windows.values())
    detail = f"roll {roll.roll_id}: {windows} windows, {roll.defects_counted} defects; {files[1]}"
    return events.row("roll_map", "info", detail, **said, files=[*files])
