"""Pictures of an evaluation: curves and score histogram here, the worst errors in `sheet.py`."""

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

from agent.messages import Floats, Pixels
from models.judging.evaluate import Figures, Judged
from models.judging.metrics import LIMIT, levels, rank
from models.judging.sheet import restorations, sheet


def write_report(figures: Figures, judged: Sequence[Judged], folder: Path) -> None:
    """`curves.png` and `worst.png` in `folder`; where masks and a restoration are, `restored.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    _curves(figures, judged, folder / "curves.png")
    _write(sheet(figures, judged), folder / "worst.png")
    if figures.remaining_contrast is not None:
        _write(restorations(judged), folder / "restored.png")


def write_evidence(kinds: Mapping[str, Figures], folder: Path) -> None:
    """`evidence.csv` in `folder`: a row of figures for each kind of evidence."""
    rows = [{"evidence": kind, **figures.as_dict()} for kind, figures in kinds.items()]
    with (folder / "evidence.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write(picture: Pixels, path: Path) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")


def _curves(figures: Figures, judged: Sequence[Judged], path: Path) -> None:
    labels = np.array([not one.item.is_good for one in judged])
    scores = np.array([one.score for one in judged], np.float32)
    figure, ((roc, pr), (histogram, regions)) = plt.subplots(2, 2, figsize=(11, 9), layout="constrained")
    hits, alarms = levels(labels, scores)
    recall = hits / hits[-1]
    roc.plot([0, *alarms / alarms[-1]], [0, *recall])
    roc.plot([0, 1], [0, 1], color="grey", linestyle=":", label="guessing")
    roc.set(
        title=f"Caught against wrongly rejected (ROC, AUROC {figures.image_auroc:.3f})",
        xlabel="good pictures rejected",
        ylabel="defective pictures caught",
    )
    pr.plot([0, *recall], [1, *hits / (hits + alarms)], drawstyle="steps-post")
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
    figure.suptitle(_title(figures, labels))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _title(figures: Figures, labels: Any) -> str:
    """How many there are, and what was promised of the good ones beside what was measured."""
    said = f"{figures.images} test pictures, {int(labels.sum())} of them defective"
    if figures.promised_false_reject_rate is None or figures.false_reject_interval is None:
        return said
    low, high = figures.false_reject_interval
    return (
        f"{said}\ngood ones rejected: promised {figures.promised_false_reject_rate:.1%}, measured "
        f"{figures.false_reject_rate:.1%} (95 %: {low:.1%} to {high:.1%})"
    )


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
