"""A set of pictures of good parts on disk: every picture whole or not there, across kills and power cuts.

FOLDER/set.json                          what it is a set of
FOLDER/parts/000001--NAME.png            a picture; NAME is its own, or the second it was taken
FOLDER/aside/000002--NAME.png            one that was taken out
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2

from agent import durable
from agent.cameras.images import SUFFIXES, natural_key
from agent.contract import strict_json
from agent.errors import PlumblineError
from agent.foreign import shown, stored
from agent.messages import Samples
from agent.settings import bounded

HEAD, PARTS, ASIDE = "set.json", "parts", "aside"
SCHEMA = "plumbline.good-parts/1"
MIN_FREE_BYTES = 200_000_000
LONGEST_NAME = 60
MAX_HEAD_BYTES = 100_000
_TAKEN = re.compile(r"--(\d{8}T\d{6})Z\b")


class PartSetError(PlumblineError):
    """The set cannot be read or written; says where and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a set is of; `source` is a folder's name, a camera or an archive."""

    product: str
    source: str
    camera: str = ""


class PartSet:
    """Of one folder; `open` comes first."""

    def __init__(
        self, folder: Path, *, free_bytes: Callable[[Path], int] = lambda one: shutil.disk_usage(one).free
    ) -> None:
        self.folder = folder
        self._free_bytes = free_bytes

    def open(self, about: About) -> None:
        """Begin the set, or go on with one of the same. Raises PartSetError for another's."""
        head = self.folder / HEAD
        try:
            if head.exists():
                there = read_about(self.folder)
                if there != about:
                    raise PartSetError(
                        f"{shown(str(self.folder))}: holds good parts of {shown(there.product)} from "
                        f"{shown(there.source)}; give another product name, or remove the folder"
                    )
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
                durable.replace_file(head, [json.dumps({"schema": SCHEMA, **asdict(about)}).encode()])
            for name in (PARTS, ASIDE):
                (self.folder / name).mkdir(exist_ok=True)
            for unfinished in (self.folder / PARTS).glob(".*.part"):
                unfinished.unlink()
        except OSError as error:
            raise self._broken(error) from error

    def pictures(self) -> list[Path]:
        """Those that are in it, in the order in which they came."""
        return self._in(PARTS)

    def count(self) -> int:
        return len(self.pictures())

    def origins(self) -> set[str]:
        """The names that its pictures came with, those aside too."""
        return {origin_of(one) for one in [*self._in(PARTS), *self._in(ASIDE)]}

    def add_file(self, data: bytes, name: str) -> None:
        """A picture file, byte for byte. Raises PartSetError; then the set is as it was."""
        self._put(kept_name(name), data)

    def add_picture(self, image: Samples, taken: datetime) -> None:
        """A frame (h, w, 1 or 3), without loss. Raises as `add_file`."""
        picture = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".png", picture)[1].tobytes()
        self._put(name_at(taken), encoded)

    def aside(self) -> list[Path]:
        """Those that were taken out, in the order in which they came."""
        return self._in(ASIDE)

    def take_out(self, names: Sequence[str]) -> None:
        """Have these count no more; they stay on the disk, aside."""
        self._move(names, PARTS, ASIDE)

    def put_back(self, names: Sequence[str]) -> None:
        """Have these count again."""
        self._move(names, ASIDE, PARTS)

    def _move(self, names: Sequence[str], here: str, there: str) -> None:
        try:
            for name in names:
                path = self.folder / here / name
                if path.exists():
                    path.replace(self.folder / there / name)
            durable.sync_folder(self.folder / PARTS)
            durable.sync_folder(self.folder / ASIDE)
        except OSError as error:
            raise self._broken(error) from error

    def _in(self, room: str) -> list[Path]:
        try:
            found = [one for one in (self.folder / room).iterdir() if one.suffix.lower() in SUFFIXES]
        except OSError as error:
            raise self._broken(error) from error
        return sorted((one for one in found if one.name[0] != "."), key=lambda one: natural_key(one.name))

    def _put(self, name: str, data: bytes) -> None:
        try:
            if self._free_bytes(self.folder) < MIN_FREE_BYTES + len(data):
                raise PartSetError(
                    f"{shown(str(self.folder))}: less than {MIN_FREE_BYTES // 1_000_000} MB are free; make "
                    f"room and go on again: {self.count()} parts are kept"
                )
            numbers = [int(one.name.partition("--")[0]) for one in [*self._in(PARTS), *self._in(ASIDE)]]
            number = max(numbers, default=0) + 1
            durable.replace_file(self.folder / PARTS / f"{number:06}--{name}", [data])
        except OSError as error:
            raise self._broken(error) from error

    def _broken(self, error: OSError) -> PartSetError:
        place = shown(str(self.folder))
        return PartSetError(f"{place}: {error.strerror}; check folder and disk, then go on again")


def read_about(folder: Path) -> About:
    """What the set in `folder` is of. Raises PartSetError."""
    try:
        content = strict_json.parse(bounded.read(folder / HEAD, max_bytes=MAX_HEAD_BYTES))
        if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
            raise PartSetError(f"{shown(str(folder / HEAD))}: is no set of good parts; give another folder")
        return About(**{name: str(value) for name, value in content.items()})
    except (TypeError, ValueError, bounded.UnreadableError) as error:
        raise PartSetError(f"{shown(str(folder / HEAD))}: cannot be read; remove the folder") from error


def minute_of(path: Path) -> str | None:
    """When a picture of a set was taken, to the minute; None where nobody knows."""
    found = _TAKEN.search(path.name)
    return None if found is None else found.group(1)[:13]


def name_of_minute(taken: datetime) -> str:
    """As `minute_of` a picture that was taken then."""
    return f"{taken.astimezone(timezone.utc):%Y%m%dT%H%M}"


def kept_name(name: str) -> str:
    """What a file of this name is called in a set, behind its number."""
    return f"{stored(Path(name).stem).replace('/', '_')[:LONGEST_NAME]}{Path(name).suffix.lower()}"


def name_at(taken: datetime) -> str:
    """What a frame of this time is called in a set, behind its number."""
    return f"{taken.astimezone(timezone.utc):%Y%m%dT%H%M%S}Z.png"


def origin_of(path: Path) -> str:
    """The name that a picture came with."""
    return path.name.partition("--")[2]
