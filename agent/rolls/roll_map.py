"""A roll's map: as JSON for programs and as a picture for the line engineer, written side by side.

In the picture the web runs from left to right, in as many rows as its length needs; across is stretched,
so that a metre of width can be read. Positions are counted from the start of the roll, in mm and m where
the camera has a scale, else in px and lines.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pydantic import JsonValue

from agent.clock import rfc3339
from agent.messages import Pixels
from agent.rolls.rolls import Roll, RollDefect

WIDTH, MARGIN, ROW_HEIGHT, ROW_GAP = 1600, 90, 150, 56
HEAD, LISTED, LINE_HEIGHT = 120, 8, 26
ROWS_MAX = 6
LENGTHS_PER_ROW = 10  # a row takes this many widths of the web before another one begins

WHITE, INK, GREY, RED = (255, 255, 255), (30, 30, 30), (120, 120, 120), (25, 25, 190)  # BGR
FILL = {
    "pass": (222, 240, 222),
    "fail": (205, 205, 250),
    "undecided": (140, 215, 250),
    "skipped": (170, 170, 170),
}
WORDS = {"pass": "pass", "fail": "fail", "undecided": "undecided", "skipped": "not seen"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Units:
    """What a line and a pixel are called and how large they are."""

    down: str
    per_line: float
    across: str
    per_px: float


def as_json(roll: Roll, defects: tuple[RollDefect, ...] | None = None) -> dict[str, JsonValue]:
    """`plumbline.roll_map/1`, with all defects or those given; boxes are x, absolute line, width, lines."""
    shown = roll.defects if defects is None else defects
    scale = roll.scale
    return {
        "schema": "plumbline.roll_map/1",
        "camera": roll.camera,
        "roll_id": roll.roll_id,
        "began": rfc3339(roll.began),
        "ended": rfc3339(roll.ended),
        "first_line": roll.first_line,
        "lines": roll.lines,
        "lines_lost": roll.lines_lost,
        "width_px": roll.width_px,
        "mm_per_px": None if scale is None else scale.mm_per_px,
        "mm_per_line": None if scale is None else scale.mm_per_line,
        "windows": {str(name): count for name, count in roll.windows.items()},
        "stretches": [
            {"first_line": one.first_line, "lines": one.lines, "verdict": one.verdict}
            for one in roll.stretches
        ],
        "defects_counted": roll.defects_counted,
        "defects": [_defect(roll, one) for one in shown],
    }


def strongest(roll: Roll, count: int) -> tuple[RollDefect, ...]:
    """The defects with the highest scores, strongest first."""
    return tuple(sorted(roll.defects, key=lambda defect: -defect.score)[:count])


def write(roll: Roll, folder: Path) -> tuple[Path, Path]:
    """JSON and PNG named by the roll's id, each whole or not at all; raises OSError."""
    folder.mkdir(exist_ok=True)  # not its parents: a disk may not be mounted
    _, picture = cv2.imencode(".png", draw(roll))
    contents = {".json": json.dumps(as_json(roll), indent=1).encode(), ".png": picture.tobytes()}
    files = []
    for suffix, content in contents.items():
        file = folder / f"{roll.roll_id}{suffix}"
        half = folder / f".{file.name}.new"
        half.write_bytes(content)
        half.replace(file)
        files.append(file)
    return files[0], files[1]


def draw(roll: Roll) -> Pixels:
    """The picture, (height, width, 3) in BGR."""
    units = _units(roll)
    listed = strongest(roll, LISTED)
    rows = _rows(roll, units)
    height = HEAD + rows * (ROW_HEIGHT + ROW_GAP) + (len(listed) + 2) * LINE_HEIGHT
    canvas: Pixels = np.full((height, WIDTH, 3), 255, np.uint8)
    _head(canvas, roll, units)
    per_row = max(1, math.ceil(roll.lines / rows))
    for row in range(rows):
        _row(canvas, roll, units, row=row, first_line=roll.first_line + row * per_row, lines=per_row)
    places = {id(defect): number for number, defect in enumerate(listed, 1)}
    for defect in sorted(roll.defects, key=lambda defect: defect.score):  # the strongest on top
        _mark(canvas, roll, defect, per_row, rows, places.get(id(defect)))
    _list(canvas, roll, units, listed, HEAD + rows * (ROW_HEIGHT + ROW_GAP))
    return canvas


def _units(roll: Roll) -> _Units:
    if roll.scale is None:
        return _Units(down="lines", per_line=1.0, across="px", per_px=1.0)
    return _Units(down="m", per_line=roll.scale.mm_per_line / 1000, across="mm", per_px=roll.scale.mm_per_px)


def _rows(roll: Roll, units: _Units) -> int:
    if not roll.lines or not roll.width_px:
        return 1
    per_line = units.per_line * (1000 if roll.scale else 1)
    widths = roll.lines * per_line / (roll.width_px * units.per_px)
    return min(ROWS_MAX, max(1, math.ceil(widths / LENGTHS_PER_ROW)))


def _head(canvas: Pixels, roll: Roll, units: _Units) -> None:
    _text(canvas, f"Roll map, camera {roll.camera}", (MARGIN, 36), size=0.9, weight=2)
    _text(canvas, f"{roll.roll_id}, {rfc3339(roll.began)} to {rfc3339(roll.ended)}", (MARGIN + 520, 34), GREY)
    windows = ", ".join(f"{roll.windows[name]} {WORDS[name]}" for name in FILL)  # type: ignore[index]
    length = f"{roll.lines * units.per_line:.2f} m, " if roll.scale else ""
    words = (
        f"{length}{roll.lines} lines, {roll.lines_lost} of them lost.  Windows: {windows}."
        f"  Defects: {roll.defects_counted}."
    )
    _text(canvas, words, (MARGIN, 68))
    x = MARGIN
    for name, colour in FILL.items():
        cv2.rectangle(canvas, (x, 82), (x + 26, 98), colour, cv2.FILLED)
        cv2.rectangle(canvas, (x, 82), (x + 26, 98), GREY, 1)
        _text(canvas, WORDS[name], (x + 34, 96), GREY)
        x += 150
    cv2.circle(canvas, (x + 10, 90), 6, RED, cv2.FILLED, cv2.LINE_AA)
    _text(canvas, "defect, larger for larger area", (x + 26, 96), GREY)


def _row(canvas: Pixels, roll: Roll, units: _Units, *, row: int, first_line: int, lines: int) -> None:
    """One stretch of the web with its verdicts and its scales."""
    top = HEAD + row * (ROW_HEIGHT + ROW_GAP)
    for one in roll.stretches:
        begin = max(one.first_line, first_line) - first_line
        end = min(one.first_line + one.lines, first_line + lines) - first_line
        if begin < end:
            left, right = _x(begin, lines), max(_x(begin, lines) + 2, _x(end, lines))
            cv2.rectangle(canvas, (left, top), (right - 1, top + ROW_HEIGHT), FILL[one.verdict], cv2.FILLED)
    cv2.rectangle(canvas, (MARGIN, top), (WIDTH - MARGIN, top + ROW_HEIGHT), GREY, 1)
    begin = first_line - roll.first_line
    for value in _ticks(begin * units.per_line, (begin + lines) * units.per_line, 10):
        x = _x(value / units.per_line - begin, lines)
        cv2.line(canvas, (x, top + ROW_HEIGHT), (x, top + ROW_HEIGHT + 6), INK, 1)
        _text(canvas, f"{value:g}", (x - 5 * len(f"{value:g}"), top + ROW_HEIGHT + 24))
    _text(canvas, units.down, (WIDTH - MARGIN + 10, top + ROW_HEIGHT + 24), GREY)
    for value in _ticks(0, roll.width_px * units.per_px, 3):
        y = top + round(value / units.per_px / max(1, roll.width_px) * ROW_HEIGHT)
        cv2.line(canvas, (MARGIN - 6, y), (MARGIN, y), INK, 1)
        _text(canvas, f"{value:g}" if value else f"0 {units.across}", (MARGIN - 64, y + 5))


def _mark(canvas: Pixels, roll: Roll, defect: RollDefect, per_row: int, rows: int, place: int | None) -> None:
    """A defect at its middle, and over its length where that can be seen."""
    x, line, width, height = defect.box
    row = min(rows - 1, max(0, int((line + height / 2 - roll.first_line) // per_row)))
    top = HEAD + row * (ROW_HEIGHT + ROW_GAP)
    start = roll.first_line + row * per_row
    centre = (
        _x(line + height / 2 - start, per_row),
        top + round((x + width / 2) / max(1, roll.width_px) * ROW_HEIGHT),
    )
    ends = (_x(line - start, per_row), _x(line + height - start, per_row))
    radius = min(12, max(4, round(math.sqrt(defect.area_px) / 6)))
    if ends[1] - ends[0] > 2 * radius:
        cv2.line(canvas, (ends[0], centre[1]), (ends[1], centre[1]), RED, 3, cv2.LINE_AA)
    cv2.circle(canvas, centre, radius, RED, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(canvas, centre, radius, WHITE, 1, cv2.LINE_AA)
    if place is not None:
        _text(canvas, f"{place}", (centre[0] + radius + 3, centre[1] - radius + 4))


def _list(canvas: Pixels, roll: Roll, units: _Units, listed: tuple[RollDefect, ...], top: int) -> None:
    """The strongest defects in words."""
    if not listed:
        _text(canvas, "No defect was found.", (MARGIN, top))
        return
    _text(canvas, "Strongest defects, positions from the start of the roll", (MARGIN, top), size=0.6)
    digits = 3 if roll.scale else 0
    for number, defect in enumerate(listed, 1):
        x, line, width, height = defect.box
        size = (
            f"{width * units.per_px:.1f} x {height * roll.scale.mm_per_line:.1f} mm"
            if roll.scale
            else f"{width} px x {height} lines"
        )
        words = (
            f"{number}.  at {(line + height / 2 - roll.first_line) * units.per_line:.{digits}f} {units.down},"
            f" {(x + width / 2) * units.per_px:.1f} {units.across} from the left;  {size};"
            f"  score {defect.score:.4g};  record {defect.sequence}"
        )
        _text(canvas, words, (MARGIN, top + number * LINE_HEIGHT))


def _defect(roll: Roll, defect: RollDefect) -> dict[str, JsonValue]:
    x, line, width, height = defect.box
    scale = roll.scale
    centre = (
        None
        if scale is None
        else [
            round((x + width / 2) * scale.mm_per_px, 3),
            round((line + height / 2) * scale.mm_per_line, 3),
        ]
    )
    return {
        "box": list(defect.box),
        "area_px": defect.area_px,
        "centre_mm": centre,  # type: ignore[dict-item]
        "score": defect.score,
        "sequence": defect.sequence,
    }


def _x(line: float, lines: int) -> int:
    """Where a line of a row stands in the picture."""
    return MARGIN + round(min(max(line / lines, 0), 1) * (WIDTH - 2 * MARGIN))


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from low to high, about `count` of them."""
    if high <= low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count)
    return [round(number * step, 9) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _text(
    canvas: Pixels,
    words: str,
    place: tuple[int, int],
    colour: tuple[int, int, int] = INK,
    *,
    size: float = 0.5,
    weight: int = 1,
) -> None:
    cv2.putText(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, weight, cv2.LINE_AA)
