"""Why a frame was judged so: its evidence by kind, from the archive's pixels and the bundle of then."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agent.archive.entry import Entry
from agent.bundle.bundle import Bundle, open_bundle
from agent.clock import Clock
from agent.explain.document import Explanation
from agent.explain.form import CannotExplain, open_form
from agent.explain.places import MOST_DEFECTS, Judged, box_of_peak, places_of
from agent.foreign import shown, stored
from agent.line.prepare import PrepareError, prepare
from agent.messages import Box
from agent.replay.told import ReplayError, Told, find_bundle, find_entry, trusted
from agent.settings.settings import Settings


def explain(wanted: Settings, result_id: str, bundle: Path | None, clock: Clock) -> Explanation:
    """Of a result that the archive keeps.

    Raises ReplayError where it is not kept or was not judged, EntryError, BundleError, NotTrusted, and
    CannotExplain for a bundle that has no explaining form.
    """
    folder = wanted.archive.folder
    if folder is None:
        raise ReplayError("archive.folder is not set, so no pictures are kept; name a folder there")
    kept = find_entry(folder, result_id)
    told = Told.model_validate_json(kept.recorded)
    if told.score is None or kept.evidence is None or not np.isfinite(kept.evidence).all():
        raise ReplayError(
            f"{shown(result_id)}: was not judged ({shown(told.reason or told.verdict)}), so there is no"
            " evidence"
        )
    serving = find_bundle(wanted, told) if bundle is None else trusted(open_bundle(bundle), wanted)
    if serving.sha256 != told.model.sha256:
        raise ReplayError(
            f"{shown(str(bundle))}: is bundle {serving.sha256[:12]}, and {shown(told.model.sha256[:12])}"
            " judged then; give that one"
        )
    return _explained(kept, told, serving, told.score.threshold, clock)


def _explained(kept: Entry, told: Told, bundle: Bundle, threshold: float, clock: Clock) -> Explanation:
    form = open_form(bundle)
    try:
        prepared = prepare(kept.frame, bundle.manifest.input, clock)
    except PrepareError as error:
        raise CannotExplain(f"{shown(told.result_id)}: {error}") from error
    assert kept.evidence is not None  # of a frame that was judged
    height, width = kept.frame.image.shape[:2]
    strongest = sorted(range(len(told.defects)), key=lambda index: -told.defects[index].score)
    boxes: list[tuple[int | None, Box]] = [
        (index, told.defects[index].bbox_px) for index in sorted(strongest[:MOST_DEFECTS])
    ]
    places = places_of(
        boxes or [(None, box_of_peak(kept.evidence, (width, height)))],
        prepared,
        form.good,
        Judged(threshold=threshold, stride_px=bundle.manifest.map.stride_px),
        form.explain,
    )
    left_out = len(told.defects) - len(boxes)
    return Explanation(
        result_id=stored(told.result_id),
        camera=stored(told.camera),
        bundle=bundle.manifest.name,
        good_frames=form.good.frames,
        places=places,
        notes=(f"{left_out} weaker defects are left out",) if left_out > 0 else (),
    )
