"""Good parts into a set: from a folder, a camera of the settings, or the archive of a running station.

Each yields how many there are after each, so that whoever runs it can show it, and end it between two.
A damaged picture is refused as everywhere, and told; what was collected before is not collected again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.archive import entry, look
from agent.archive.entry import EntryError
from agent.cameras.images import ImageError, left_out, list_images, read_image
from agent.clock import Clock
from agent.settings.camera import Camera
from agent.teach.part_set import PartSet, kept_name, name_at
from agent.teach.source import CAMERA, TeachError, pictures
from agent.track.depth import eight_bits

NEWEST = 100_000  # archived frames that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """How far it is; `refused` says why one more picture, or what else, was not taken, `waits` what for."""

    parts: int
    wanted: int
    refused: str | None = None
    waits: str | None = None


def from_folder(parts: PartSet, folder: Path, wanted: int) -> Iterator[Got]:
    """What of it is not read is told first. Raises CameraError where it has no picture, PartSetError."""
    have, count = parts.origins(), parts.count()
    files = list_images(folder)
    if words := left_out(folder):
        yield Got(parts=count, wanted=wanted, refused=words)
    for file in files:
        if count >= wanted:
            return
        try:
            read_image(file)
            if kept_name(file.name) in have:
                continue
            parts.add_file(file.read_bytes(), file.name)
        except (ImageError, OSError) as error:
            yield Got(parts=count, wanted=wanted, refused=str(error))
            continue
        count += 1
        yield Got(parts=count, wanted=wanted)


def from_camera(parts: PartSet, camera: Camera, wanted: int, clock: Clock) -> Iterator[Got]:
    """From the camera, which nobody else may have open. Raises CameraError, TeachError, PartSetError."""
    count = parts.count()
    if count >= wanted:
        return
    for image, depth in pictures(camera, CAMERA, clock):
        parts.add_picture(eight_bits(image, depth), clock.utc_now())
        count += 1
        yield Got(parts=count, wanted=wanted)
        if count >= wanted:
            return
    raise TeachError(f"camera {camera.name}: its source ended after {count} of {wanted} parts; give fewer")


def from_archive(parts: PartSet, folder: Path, camera: str | None, wanted: int) -> Iterator[Got]:
    """Frames that passed, the newest first, beside a running agent. Raises ArchiveError, PartSetError."""
    have, count = parts.origins(), parts.count()
    for number, path in enumerate(look.newest(folder)):
        if count >= wanted or number >= NEWEST:
            return
        try:
            kept = entry.read(path)
        except EntryError as error:
            yield Got(parts=count, wanted=wanted, refused=str(error))
            continue
        word = None if kept.mark is None else kept.mark.word
        good = (kept.verdict.verdict == "pass" and word != "missed_defect") or word == "false_alarm"
        if not good or camera not in (None, kept.verdict.camera):
            continue
        frame, taken = kept.frame, kept.frame.captured_at
        if name_at(taken) in have:
            continue
        parts.add_picture(eight_bits(frame.image, frame.bit_depth), taken)
        count += 1
        yield Got(parts=count, wanted=wanted)
