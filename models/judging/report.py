"""Pictures of an evaluation: curves, score histogram, and the worst errors side by side."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from agent.messages import Floats, Pixels
from agent.status.heatmap import heatmap
from models.judging.evaluate import Figures, Judged
from models.judging.metrics import LIMIT, rank

WORST = 4  # pictures of each kind
PANEL_PX = 320  # side of a square panel; others have its area and their own shape
PANEL_MOST_PX = 768  # for either side
GAP_PX = 8
DARK, PALE = 60, 225  # greys of headings
MASK = (255, 120, 60)  # RGB, on black


def write_report(figures: Figures, judged: Sequence[Judged], folder: Path) -> None:
    """`curves.png` and `worst.png` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _curves(figures, judged, folder / "curves.png")
    if not cv2.imwrite(str(folder / "worst.png"), cv2.cvtColor(_sheet(figures, judged), cv2.COLOR_RGB2BGR)):
        raise OSError(f"{folder}/worst.png: cannot be written")


def write_evidence(kinds: Mapping[str, Figures], folder: Path) -> None:
    """`evidence.csv` in `folder`: a row of figures for each kind of evidence."""
    rows = [{"evidence": kind, **figures.as_dict()} for kind, figures in kinds.items()]
    with (folder / "evidence.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def worst(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """The defective pictures with the lowest scores and the good ones with the highest."""
    missed = sorted((one for one in judged if not one.item.is_good), key=lambda one: one.score)
    alarms = sorted((one for one in judged if one.item.is_good), key=lambda one: -one.score)
    return missed[:WORST], alarms[:WORST]


def _curves(figures: Figures, judged: Sequence[Judged], path: Path) -> None:
    labels = np.array([not one.item.is_good for one in judged])
    scores = np.array([one.score for one in judged], np.float32)
    figure, ((roc, pr), (histogram, regions)) = plt.subplots(2, 2, figsize=(11, 9), layout="constrained")
    false_positive, true_positive, _ = roc_curve(labels, scores)
    roc.plot(false_positive, true_positive)
    roc.plot([0, 1], [0, 1], color="grey", linestyle=":", label="guessing")
    roc.set(
        title=f"Caught against wrongly rejected (ROC, AUROC {figures.image_auroc:.3f})",
        xlabel="good pictures rejected",
        ylabel="defective pictures caught",
    )
    precision, recall, _ = precision_recall_curve(labels, scores)
    pr.plot(recall, precision, drawstyle="steps-pre")
    pr.axhline(labels.mean(), color="grey", linestyle=":", label="guessing")
    pr.set(
        title=f"Right among the rejected (precision-recall, AP {figures.image_ap:.3f})",
        xlabel="defective pictures caught (recall)",
        ylabel="truly defective among the rejected (precision)",
        ylim=(0, 1.02),
    )
    if figures.threshold is not None:
        rejected = scores >= np.float32(figures.threshold)
        caught = figures.recall_at_threshold
        roc.plot(figures.false_reject_rate, caught, "ko", label="at the threshold")
        if rejected.any():
            pr.plot(caught, labels[rejected].mean(), "ko", label="at the threshold")
    _histogram(histogram, labels, scores, figures.threshold)
    _regions(regions, figures, judged)
    for axes in (roc, pr, regions):
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (roc, pr):
        axes.legend(loc="lower right")
    figure.suptitle(f"{figures.images} test pictures, {int(labels.sum())} of them defective")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _histogram(axes: Any, labels: Any, scores: Floats, threshold: float | None) -> None:
    bins = np.linspace(scores.min(), np.quantile(scores, 0.99), 41)
    inside = np.clip(scores, bins[0], bins[-1])
    axes.hist(inside[~labels], bins, alpha=0.6, label="good")
    axes.hist(inside[labels], bins, alpha=0.6, label="defective")
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label="threshold: rejected from here on")
    axes.set(
        title="Scores: the less the colours overlap, the better",
        xlabel="score of a picture (the last bar holds all higher ones too)",
        ylabel="pictures",
    )
    axes.legend()


def _regions(axes: Any, figures: Figures, judged: Sequence[Judged]) -> None:
    """The per-region overlap curve, where there are masks."""
    if figures.aupro_03 is None:
        axes.axis("off")
        axes.text(0.5, 0.5, "no masks: where a defect lies was not judged", ha="center")
        return
    masks = [one.mask for one in judged if one.mask is not None]
    rates, overlaps = rank(masks, [one.map for one in judged]).curve
    axes.plot(rates, overlaps)
    axes.fill_between(rates, overlaps, alpha=0.2)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="guessing")
    axes.set(
        title=f"Defect area found (AUPRO to {LIMIT:.0%}: {figures.aupro_03:.3f})",
        xlabel="good area marked by mistake",
        ylabel="mean share of a defect's area that is marked",
        xlim=(0, LIMIT),
        ylim=(0, 1.02),
    )
    axes.legend(loc="lower right")


def _sheet(figures: Figures, judged: Sequence[Judged]) -> Pixels:
    """Both kinds of worst pictures with headings; tall pictures beside each other, others below."""
    missed, alarms = worst(judged)
    width, height = _panel_size([one.picture for one in missed + alarms])
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
            parts += [_caption(one, figures.threshold, across)]
            parts += [_row([_panel(one, name, level, (width, height)) for name in its_columns], across)]
        blocks.append(np.vstack(parts))
    sheet = _joined(blocks, axis=1 if height > width else 0)
    return np.vstack([_bar(line, sheet.shape[1], 255) for line in words] + [sheet])


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


def _caption(one: Judged, threshold: float | None, width: int) -> Pixels:
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


def _panel(one: Judged, column: str, level: float, size: tuple[int, int]) -> Pixels:
    if column == "evidence":
        return _fitted(heatmap(one.picture, one.map, level), size)
    if column == "true defect" and one.mask is not None:
        return _fitted(one.mask.astype(np.uint8)[..., None] * np.array(MASK, np.uint8), size)
    return _fitted(one.restored if column == "restored" else one.picture, size)


def _panel_size(pictures: Sequence[Pixels]) -> tuple[int, int]:
    """Width and height in the proportions of the typical picture."""
    height, width = (float(np.median([picture.shape[axis] for picture in pictures])) for axis in (0, 1))
    grow = min(PANEL_PX / (width * height) ** 0.5, PANEL_MOST_PX / max(width, height))
    return max(96, round(width * grow)), max(32, round(height * grow))


def _fitted(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """RGB in the middle of a white panel of (width, height), as large as fits, never squeezed."""
    height, width = picture.shape[:2]
    grow = min(size[0] / width, size[1] / height)
    method = cv2.INTER_AREA if grow < 1 else cv2.INTER_LINEAR
    small = cv2.resize(
        picture, (max(1, round(width * grow)), max(1, round(height * grow))), interpolation=method
    )
    panel = np.full((size[1], size[0], 3), 255, np.uint8)
    top, left = (size[1] - small.shape[0]) // 2, (size[0] - small.shape[1]) // 2
    panel[top : top + small.shape[0], left : left + small.shape[1]] = small.reshape(*small.shape[:2], -1)
    return panel


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
    for panel in panels:
        row[:height, left : left + panel.shape[1]] = panel
        left += panel.shape[1] + GAP_PX
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
