"""What a taught bundle makes of held-back good parts and of the defective ones that there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.bundle.bundle import Bundle
from agent.foreign import stored
from agent.teach.threshold import Scored, promise, share, words
from agent.teach.weighing import told
from models.judging.evaluate import figures, judge_item, open_inspector, promised_by
from models.judging.nearby import nearby_scores
from models.judging.report import write_report
from models.stages import Stages
from models.teaching.look import Look

TEXT, FIGURES = "report.txt", "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`lines` for people; the same as numbers in `content`."""

    folder: Path
    lines: tuple[str, ...]
    content: Mapping[str, Any]


def report(bundle: Bundle, look: Look, folder: Path, stages: Stages) -> Report:
    """Into `folder`: report.txt, report.json; where there are defective parts curves.png, worst.png, too."""
    inspector, spec, threshold = open_inspector(bundle.path)
    assert threshold is not None
    held = stages.over(look.held, "judging held-back parts")
    scores = nearby_scores(held, inspector, spec).max(1)  # as those that have set the threshold
    target = bundle.manifest.threshold.target_false_reject_rate
    found = promise([Scored(score=float(score)) for score in scores], target)
    shown = look.tested or look.held
    items = [*shown, *look.bad]
    judged = [judge_item(item, inspector, spec) for item in stages.over(items, "judging parts to be shown")]
    good, bad = judged[: len(shown)], judged[len(shown) :]
    lines = list(words(found))
    if good:
        seen = share([Scored(score=one.score) for one in good], threshold)
        kind = "of the test split" if look.tested else "that have set the threshold: new ones tell more"
        lines.append(f"{seen.rejected} of {seen.frames} good parts are rejected, {kind}")
    missed = sorted((one for one in bad if one.score < threshold), key=lambda one: one.score)
    if bad:
        lines.append(f"{len(bad) - len(missed)} of {len(bad)} defective parts are rejected")
        lines += [
            f"missed: {stored(one.item.image.name)}, score {one.score:.4g} of {threshold:.4g}"
            for one in missed[:10]
        ]
    standing = bundle.manifest.standing
    if standing is not None:
        lines.append(f"the model {standing.words()}")
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "threshold": threshold,
        "promised": told(found),
        "good": {stored(one.item.image.name): one.score for one in good},
        "bad": {stored(one.item.image.name): one.score for one in bad},
        "rejected_of_bad": len(bad) - len(missed),
        "standing": None if standing is None else standing.model_dump(mode="json"),
    }
    if good and bad:
        measured = figures(judged, threshold, promised_by(bundle.path))
        content["figures"] = measured.as_dict()
        lines.append(f"image AUROC {measured.image_auroc:.3f} of these good and the defective parts")
        write_report(measured, judged, folder)
    (folder / FIGURES).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / TEXT).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Report(folder=folder, lines=tuple(lines), content=content)
