"""The worst errors of an evaluation side by side, in their own proportions: one picture for people."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from agent.line.heatmap import heatmap
from agent.messages import Pixels
from models.judging.evaluate import Figures, Judged

WORST = 4  # pictures of each kind
RESTORED = 12  # of each kind where restorations are shown
PANEL_PX = 320  # side of a square panel; others have its area and their own shape
PANEL_MOST_PX = 768  # for either side
GAP_PX = 8
DARK, PALE = 60, 225  # greys of headings
MASK = (255, 120, 60)  # RGB, on black


def worst(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """The defective pictures with the lowest scores and the good ones with the highest."""
    missed = sorted((one for one in judged if not one.item.is_good), key=lambda one: one.score)
    alarms = sorted((one for one in judged if one.item.is_good), key=lambda one: -one.score)
    return missed[:WORST], alarms[:WORST]


def sheet(figures: Figures, judged: Sequence[Judged]) -> Pixels:
    """Both kinds of worst pictures with headings; tall pictures beside each other, others below."""
    missed, alarms = worst(judged)
    width, height = panel_size([one.picture for one in missed + alarms])
    level, words = _level(figures, judged)
    marked = all(one.mask is not None for one in missed)
    restores = any(not np.array_equal(one.picture, one.restored) for one in judged)
    columns = ["input", *(["restored"] if restores else []), "evidence"]
    blocks = []
    for title, shown, its_columns in (
        ("Defective, with the lowest scores", missed, [*columns, *(["true defect"] if marked else [])]),
        ("Good, with the highest scores", alarms, columns),
    ):
        across = max(360, len(its_columns) * (width + GAP_PX) + GAP_PX)
        parts = [
            _row([_bar(title, across - 2 * GAP_PX, DARK)], across),
            _row([_bar(name, width, PALE) for name in its_columns], across),
        ]
        for one in shown:
            parts += [caption(one, figures.threshold, across)]
            parts += [_row([panel(one, name, level, (width, height)) for name in its_columns], across)]
        blocks.append(np.vstack(parts))
    joined = _joined(blocks, axis=1 if height > width else 0)
    return np.vstack([_bar(line, joined.shape[1], 255) for line in words] + [joined])


def restorations(judged: Sequence[Judged]) -> Pixels:
    """Defects that their restoration shows least and most; raises ValueError where none stands out."""
    left = [(share, one) for one in judged if not one.item.is_good and (share := one.remains) is not None]
    if not left:
        raise ValueError("no defect stands out from its surroundings")
    ordered = sorted(left, key=lambda pair: pair[0])
    best, failed = ordered[:RESTORED], ordered[::-1][:RESTORED]
    width, height = panel_size([one.picture for _, one in left])
    columns = ("input", "restored", "true defect")
    across = max(360, len(columns) * (width + GAP_PX) + GAP_PX)
    blocks = []
    for title, shown in (("The defect is gone best", best), ("The defect is left most", failed)):
        parts = [
            _row([_bar(title, across - 2 * GAP_PX, DARK)], across),
            _row([_bar(name, width, PALE) for name in columns], across),
        ]
        for share, one in shown:
            parts += [
                _bar(f"{one.item.defect}/{one.item.image.name}", across, 255),
                _bar(f"{share:.0%} of its contrast is left", across, 255),
                _row([panel(one, name, 1.0, (width, height)) for name in columns], across),
            ]
        blocks.append(np.vstack(parts))
    joined = _joined(blocks, axis=1)
    words = "What a good part would look like: a restoration counts when the defect is gone in it."
    return np.vstack([_bar(words, joined.shape[1], 255), joined])


def _level(figures: Figures, judged: Sequence[Judged]) -> tuple[float, tuple[str, str]]:
    """Where evidence turns orange, and what to say of it."""
    colours = "it is outlined and orange; at twice as much it is red, below half as much it is clear."
    if figures.threshold is not None:
        return figures.threshold, (
            f"Where evidence reaches the threshold of {figures.threshold:.3g},",
            colours,
        )
    level = max(1e-6, float(np.quantile([one.score for one in judged if one.item.is_good], 0.95)))
    return level, (
        f"Where evidence reaches {level:.3g} (5 % of the good pictures do; no threshold is set),",
        colours,
    )


def caption(one: Judged, threshold: float | None, width: int) -> Pixels:
    """Two lines above a picture: which it is, its score, and what became of it."""
    verdict = ""
    if threshold is not None:
        rejected = np.float32(one.score) >= np.float32(threshold)
        words = ("passed", "false alarm") if one.item.is_good else ("MISSED", "caught")
        verdict = f", {words[int(rejected)]}"
    return np.vstack(
        [
            _bar(f"{one.item.defect}/{one.item.image.name}", width, 255),
            _bar(f"score {one.score:.4g}{verdict}", width, 255),
        ]
    )


def panel(one: Judged, column: str, level: float, size: tuple[int, int]) -> Pixels:
    """One column of a picture's row: input, restored, evidence or true defect."""
    if column == "evidence":
        return fitted(heatmap(one.picture, one.map, level), size)
    if column == "true defect" and one.mask is not None:
        return fitted(one.mask.astype(np.uint8)[..., None] * np.array(MASK, np.uint8), size)
    return fitted(one.restored if column == "restored" else one.picture, size)


def panel_size(pictures: Sequence[Pixels]) -> tuple[int, int]:
    """Width and height in the proportions of the typical picture."""
    height, width = (float(np.median([picture.shape[axis] for picture in pictures])) for axis in (0, 1))
    grow = min(PANEL_PX / (width * height) ** 0.5, PANEL_MOST_PX / max(width, height))
    return max(96, round(width * grow)), max(32, round(height * grow))


def fitted(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """RGB in the middle of a white panel of (width, height), as large as fits, never squeezed."""
    height, width = picture.shape[:2]
    grow = min(size[0] / width, size[1] / height)
    method = cv2.INTER_AREA if grow < 1 else cv2.INTER_LINEAR
    small = cv2.resize(
        picture, (max(1, round(width * grow)), max(1, round(height * grow))), interpolation=method
    )
    white = np.full((size[1], size[0], 3), 255, np.uint8)
    top, left = (size[1] - small.shape[0]) // 2, (size[0] - small.shape[1]) // 2
    white[top : top + small.shape[0], left : left + small.shape[1]] = small.reshape(*small.shape[:2], -1)
    return white


def _bar(text: str, width: int, grey: int) -> Pixels:
    bar = np.full((22, width, 3), grey, np.uint8)
    ink = (255, 255, 255) if grey < 128 else (0, 0, 0)
    cv2.putText(bar, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
    return bar


def _row(panels: Sequence[Pixels], width: int) -> Pixels:
    """Panels beside each other on white, gaps between and below."""
    height = panels[0].shape[0]
    row = np.full((height + GAP_PX, width, 3), 255, np.uint8)
    left = GAP_PX
    for one in panels:
        row[:height, left : left + one.shape[1]] = one
        left += one.shape[1] + GAP_PX
    return row


def _joined(blocks: Sequence[Pixels], axis: int) -> Pixels:
    """Blocks in one picture along an axis, filled up with white along the other."""
    most = max(block.shape[1 - axis] for block in blocks)
    filled = []
    for block in blocks:
        fill = [(0, 0), (0, 0), (0, 0)]
        fill[1 - axis] = (0, most - block.shape[1 - axis])
        filled.append(np.pad(block, fill, constant_values=255))
    return np.concatenate(filled, axis)
