"""Pictures stacked top to bottom into one long web, read from disk when the sensor gets there."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.cameras.camera import CameraError, CameraMisconfigured
from agent.cameras.images import ImageError, read_image, size_of
from agent.foreign import shown
from agent.messages import Pixels
from agent.settings.camera import MAX_MEGAPIXELS


def check_widths(images: Sequence[Path]) -> None:
    """Raises CameraMisconfigured for pictures of several widths, which make no strip.

    From their headers; a picture that cannot be read is left to be a fault when its turn comes.
    """
    firsts: dict[int, Path] = {}
    counts: Counter[int] = Counter()
    for image in images:
        try:
            width, _ = size_of(image)
        except ImageError:
            continue
        firsts.setdefault(width, image)
        counts[width] += 1
    if len(counts) > 1:
        (common, many), (other, few), *_ = counts.most_common()
        raise CameraMisconfigured(
            f"{shown(str(firsts[other]))}: is {other} px wide, {shown(firsts[common].name)} {common} px; the"
            f" images of a strip have one width, these have {len(counts)} ({common} px: {many} images,"
            f" {other} px: {few}); scale them, or take kind: folder for pictures of single parts"
        )


@dataclass(slots=True)
class _Pass:
    """Where the pictures stood in a run through all of them, repeated until the next one begins."""

    first_line: int
    places: list[tuple[int, Path]] = field(default_factory=list)  # first line within the pass
    lines: int | None = None  # None while it goes on

    def image_at(self, line: int) -> Path:
        offset = line - self.first_line
        if self.lines is not None:
            offset %= self.lines
        return self.places[bisect_right(self.places, offset, key=lambda place: place[0]) - 1][1]


class Strip:
    """Read once from top to bottom, for ever when it repeats; holds one picture at a time.

    The first good picture sets width and channels. A picture that does not fit has no lines in the
    strip; why is appended to `faults`, which the caller empties.
    """

    def __init__(
        self, images: Sequence[Path], *, repeat: bool, max_megapixels: float = MAX_MEGAPIXELS
    ) -> None:
        self._images = images
        self._repeat = repeat
        self._max_megapixels = max_megapixels
        self._next = 0
        self._useless = 0  # pictures in a row that gave no lines
        self._shape: tuple[int, int] | None = None
        self._picture: Pixels = np.empty((0, 0, 0), np.uint8)
        self._row = 0  # in the picture
        self._line = 0  # in the strip
        self._passes = [_Pass(0)]
        self.faults: list[str] = []

    def start(self) -> None:
        """Find the first usable picture; raises CameraError when there is none."""
        self._has_lines()

    def take(self, lines: int) -> Pixels | None:
        """The next lines as a block of its own; fewer at the end of the strip, None after it.

        Raises CameraError when no picture at all can be used.
        """
        parts: list[Pixels] = []
        while lines and (part := self._advance(lines)) is not None:
            parts.append(part)
            lines -= len(part)
        return np.concatenate(parts) if parts else None

    def skip(self, lines: int) -> None:
        """Let lines pass unseen."""
        while lines and (part := self._advance(lines)) is not None:
            lines -= len(part)

    def image_at(self, line: int) -> Path:
        """The picture that a line shows; raises LookupError for a line that has not passed yet."""
        if not 0 <= line < self._line:
            raise LookupError(f"line {line} has not passed the sensor, the last one was {self._line - 1}")
        passes = self._passes
        return passes[bisect_right(passes, line, key=lambda one: one.first_line) - 1].image_at(line)

    def _advance(self, lines: int) -> Pixels | None:
        """The next lines that stand in one picture, up to so many; None at the end."""
        if not self._has_lines():
            return None
        part = self._picture[self._row : self._row + lines]
        self._row += len(part)
        self._line += len(part)
        return part

    def _has_lines(self) -> bool:
        """Whether a line is at hand, after loading pictures until there is one; False at the end."""
        while self._row == len(self._picture):
            if self._next == len(self._images) and self._repeat:
                self._begin_pass()
            if self._next == len(self._images):
                return False
            self._load(self._images[self._next])
            self._next += 1
        return True

    def _begin_pass(self) -> None:
        """Forget the pass that ends when it was as the one before, so that memory has a bound."""
        self._next = 0
        *before, ended = self._passes
        ended.lines = self._line - ended.first_line
        same = before and (before[-1].places, before[-1].lines) == (ended.places, ended.lines)
        # A new list: another thread may be looking something up in the old one.
        self._passes = [*before, *([] if same else [ended]), _Pass(self._line)]

    def _load(self, file: Path) -> None:
        try:
            self._picture = self._fitting(file)
        except ImageError as error:
            self.faults.append(str(error))
            self._useless += 1
            if self._useless >= len(self._images):
                raise CameraError(
                    f"{shown(str(file))}: the last of {self._useless} images without a usable one"
                ) from error
            return
        self._useless = 0
        self._row = 0
        current = self._passes[-1]
        current.places.append((self._line - current.first_line, file))

    def _fitting(self, file: Path) -> Pixels:
        picture = read_image(file, self._max_megapixels)
        _, width, channels = picture.shape
        if self._shape is None:
            self._shape = (width, channels)
        if (width, channels) != self._shape:
            raise ImageError(
                f"{shown(str(file))}: is {width} px wide with {channels} channels; the strip"
                f" is {self._shape[0]} px wide with {self._shape[1]} channels;"
                " scale, convert or remove the image"
            )
        return picture
