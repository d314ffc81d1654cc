"""A defect that spans windows is one defect, and every window still has one record.

The rule: pieces that touch across the border of two windows that follow each other are one defect. It is
named once, in the record of the first of its windows that failed, with the box of the whole in web
coordinates. That record waits until the defect has ended, or until it spans `max_windows` windows;
records behind it wait too, so that their order stays. Verdicts are not changed: each window passes or
fails by its own score, and a window that fails by nothing but a piece named elsewhere says where
(`continued_from_line`). A piece in a window that passes counts to the box, and is named nowhere when none
of the windows failed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from agent.line.seams import Region
from agent.messages import Box, Defect, Judgement

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Generic[T]):
    """A judged window, and what goes with it."""

    first_line: int
    lines: int
    judgement: Judgement
    regions: tuple[Region, ...]  # all of its map, of any size, whether the window failed or not
    content: T


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    window: int  # its number
    first_line: int
    region: Region
    failed: bool


@dataclass(slots=True, eq=False)
class _Defect:
    pieces: list[_Piece]
    is_open: bool = True

    @property
    def named_in(self) -> int | None:
        """The number of the window whose record names it."""
        return min((piece.window for piece in self.pieces if piece.failed), default=None)


class Spans(Generic[T]):
    """Holds windows back while a defect that they name is open."""

    def __init__(self, *, max_windows: int, min_area_px: int) -> None:
        self._max_windows = max_windows
        self._min_area_px = min_area_px
        self._number = 0
        self._next_line: int | None = None  # where the window after the newest one begins
        self._held: deque[tuple[int, Window[T]]] = deque()
        self._defects: list[_Defect] = []  # of the windows held, and open ones

    def push(self, window: Window[T]) -> list[tuple[T, Judgement]]:
        """The windows whose defects are known now, oldest first."""
        released = [] if window.first_line == self._next_line else self.flush()
        self._number += 1
        self._next_line = window.first_line + window.lines
        self._held.append((self._number, window))
        self._join(window)
        return released + self._release()

    def flush(self) -> list[tuple[T, Judgement]]:
        """All that is held, as if nothing followed."""
        for defect in self._defects:
            defect.is_open = False
        return self._release()

    def _join(self, window: Window[T]) -> None:
        number, failed = self._number, window.judgement.verdict == "fail"
        above = [defect for defect in self._defects if defect.is_open]
        for region in window.regions:
            piece = _Piece(window=number, first_line=window.first_line, region=region, failed=failed)
            joined = _Defect([piece])
            for defect in [one for one in self._defects if one in above and _touches(one, region, number)]:
                joined.pieces = defect.pieces + joined.pieces
                self._defects.remove(defect)
                above.remove(defect)
            if len(joined.pieces) > 1:
                above.append(joined)  # another region of this window may belong to it as well
            self._defects.append(joined)
        for defect in self._defects:
            newest = [piece for piece in defect.pieces if piece.window == number]
            spanned = number - min(piece.window for piece in defect.pieces) + 1
            goes_on = any(piece.region.bottom for piece in newest)
            defect.is_open = defect.is_open and goes_on and spanned < self._max_windows

    def _release(self) -> list[tuple[T, Judgement]]:
        released = []
        while self._held and not any(
            defect.is_open and defect.named_in == self._held[0][0] for defect in self._defects
        ):
            number, window = self._held.popleft()
            released.append((window.content, self._judgement(number, window)))
        oldest = self._held[0][0] if self._held else self._number + 1
        self._defects = [
            defect
            for defect in self._defects
            if defect.is_open or any(piece.window >= oldest for piece in defect.pieces)
        ]
        return released

    def _judgement(self, number: int, window: Window[T]) -> Judgement:
        """The window's own, with the defects that its record names."""
        judgement = window.judgement
        if judgement.verdict != "fail" or not window.regions:
            return judgement
        here = [one for one in self._defects if any(piece.window == number for piece in one.pieces)]
        named = [_whole(one, number, window) for one in here if one.named_in == number]
        elsewhere = [one.pieces for one in here if one.named_in != number]
        large = [defect for defect in named if defect.area_px >= self._min_area_px]
        origin = None
        if elsewhere:
            first = min(piece.window for pieces in elsewhere for piece in pieces if piece.failed)
            lines = {piece.window: piece.first_line for pieces in elsewhere for piece in pieces}
            origin = lines[first]
        if not large and not elsewhere:
            large = named  # a failed window names at least its strongest spot
        ordered = sorted(large, key=lambda defect: -defect.score)
        return replace(judgement, defects=tuple(ordered), continued_from_line=origin)


def _touches(defect: _Defect, region: Region, number: int) -> bool:
    """Whether a piece in the window before meets the region (8 neighbours)."""
    reach = {column + near for column in region.top for near in (-1, 0, 1)}
    return any(
        piece.window == number - 1 and not reach.isdisjoint(piece.region.bottom) for piece in defect.pieces
    )


def _whole(defect: _Defect, number: int, window: Window[T]) -> Defect:
    """All pieces as one, seen from the window that names it."""
    own = [piece.region.defect for piece in defect.pieces if piece.window == number]
    if len(defect.pieces) == 1:
        return own[0]
    area = sum(piece.region.defect.area_px for piece in defect.pieces)
    x, y = 0.0, 0.0
    for piece in defect.pieces:
        share = piece.region.defect.area_px / area
        x += share * piece.region.defect.centroid_px[0]
        y += share * (piece.first_line - window.first_line + piece.region.defect.centroid_px[1])
    return Defect(
        score=max(piece.region.defect.score for piece in defect.pieces),
        bbox_px=_around([one.bbox_px for one in own]),
        area_px=area,
        centroid_px=(x, y),
        bbox_web=_around([_on_web(piece) for piece in defect.pieces]),
    )


def _on_web(piece: _Piece) -> Box:
    x, y, width, height = piece.region.defect.bbox_px
    return x, piece.first_line + y, width, height


def _around(boxes: list[Box]) -> Box:
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top
