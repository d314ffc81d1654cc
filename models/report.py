"""Pictures of an evaluation: curves, score histogram, and the worst errors side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import cv2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from agent.messages import Pixels
from agent.status.heatmap import heatmap
from models.evaluate import Figures, Judged

WORST = 8
PANEL_PX = 256


def write_report(figures: Figures, judged: Sequence[Judged], folder: Path) -> None:
    """`curves.png` and `worst.png` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _curves(figures, judged, folder / "curves.png")
    threshold = figures.threshold or float(np.median([one.score for one in judged]))
    shown = worst(judged)
    if any(one.mask is None for one in shown):  # good pictures always have one, an empty one
        shown = [replace(one, mask=None) for one in shown]
    panels = [_panel(one, threshold) for one in shown]
    if not cv2.imwrite(str(folder / "worst.png"), cv2.cvtColor(np.vstack(panels), cv2.COLOR_RGB2BGR)):
        raise OSError(f"{folder}/worst.png: cannot be written")


def worst(judged: Sequence[Judged]) -> list[Judged]:
    """The defective pictures with the lowest scores and the good ones with the highest, half each."""
    missed = sorted((one for one in judged if not one.item.is_good), key=lambda one: one.score)
    alarms = sorted((one for one in judged if one.item.is_good), key=lambda one: -one.score)
    return missed[: WORST // 2] + alarms[: WORST // 2]


def _curves(figures: Figures, judged: Sequence[Judged], path: Path) -> None:
    labels = np.array([not one.item.is_good for one in judged])
    scores = np.array([one.score for one in judged])
    figure, (roc, pr, histogram) = plt.subplots(1, 3, figsize=(13, 4), constrained_layout=True)
    false_positive, true_positive, _ = roc_curve(labels, scores)
    roc.plot(false_positive, true_positive)
    roc.set(title=f"ROC, AUROC {figures.image_auroc:.3f}", xlabel="false-reject rate", ylabel="recall")
    precision, recall, _ = precision_recall_curve(labels, scores)
    pr.plot(recall, precision)
    pr.set(title=f"precision-recall, AP {figures.image_ap:.3f}", xlabel="recall", ylabel="precision")
    bins = np.linspace(scores.min(), np.quantile(scores, 0.995), 50)
    histogram.hist(scores[~labels], bins, alpha=0.6, label="good")
    histogram.hist(scores[labels], bins, alpha=0.6, label="defective")
    if figures.threshold is not None:
        histogram.axvline(figures.threshold, color="black", linestyle="--", label="threshold")
    histogram.set(title="raw scores", xlabel="score", ylabel="pictures")
    histogram.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(one: Judged, threshold: float) -> Pixels:
    """Input, restoration, heat map and, where there is one, the mask, with a line of words above."""
    pictures = [one.picture, one.restored, heatmap(one.picture, one.map, threshold)]
    if one.mask is not None:
        pictures.append(one.mask.astype(np.uint8)[..., None] * np.uint8(255))
    row = np.hstack([_square(picture) for picture in pictures])
    words = np.full((24, row.shape[1], 3), 255, np.uint8)
    text = f"{one.item.defect}/{one.item.image.name}  score {one.score:.3f}  threshold {threshold:.3f}"
    cv2.putText(words, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([words, row])


def _square(picture: Pixels) -> Pixels:
    resized = cv2.resize(picture, (PANEL_PX, PANEL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(np.broadcast_to(resized.reshape(PANEL_PX, PANEL_PX, -1), (PANEL_PX, PANEL_PX, 3)))
