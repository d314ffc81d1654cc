"""One result, wherever it still is: on the board with its pictures, or in the archive with its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from agent.archive.entry import Entry, EntryError
from agent.archive.faults import ArchiveError
from agent.contract.verdict import Verdict
from agent.line.heatmap import heatmap
from agent.messages import Floats, Pixels
from agent.page.sources import Sources
from agent.status.board import REJECT_EDGE_PX, STRIP_EDGE_PX
from agent.status.picture import encode_jpeg, shrink
from agent.status.snapshot import Reject, StripFrame
from agent.track.depth import eight_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What there is of it; at least one of the three has the verdict."""

    verdict: Verdict
    entry: Entry | None
    reject: Reject | None
    frame: StripFrame | None

    @property
    def evidence(self) -> Floats | None:
        """The raw map of the whole frame; None where there is none any more."""
        if self.entry is not None:
            return self.entry.evidence
        return None if self.reject is None else self.reject.evidence

    def both(self) -> tuple[Pixels, Pixels] | None:
        """Picture and restoration, shrunk alike; None where there is no restoration any more."""
        reject, entry = self.reject, self.entry
        if reject is not None and reject.restored is not None:
            found = reject.input.jpeg(), reject.restored.jpeg()
            image, restored = (_decoded(one) for one in found)
        elif entry is not None and entry.restored is not None:
            image = shrink(eight_bits(entry.frame.image, entry.frame.bit_depth), REJECT_EDGE_PX)
            restored = _decoded(entry.restored)
        else:
            return None
        return (image, restored) if image is not None and restored is not None else None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame."""
        if self.entry is not None:
            height, width = self.entry.frame.image.shape[:2]
            return width, height
        held = self.reject or self.frame
        return (0, 0) if held is None else (held.width, held.height)


def find(sources: Sources, result_id: str) -> Result | None:
    """None where it is nowhere any more."""
    reject, frame = sources.shown.reject(result_id), sources.shown.frame(result_id)
    entry = _kept(sources, result_id)
    verdict = next((one.verdict for one in (reject, frame, entry) if one is not None), None)
    return None if verdict is None else Result(verdict=verdict, entry=entry, reject=reject, frame=frame)


def jpeg(sources: Sources, result_id: str, kind: str) -> bytes | None:
    """`thumb`, `input`, `restored` or `heat`; None where there is none, or none any more."""
    reject, frame = sources.shown.reject(result_id), sources.shown.frame(result_id)
    small = None if frame is None else frame.picture
    held = {"thumb": small}
    if reject is not None:
        held = {"thumb": small or reject.input, "restored": reject.restored}
        held |= {"input": reject.input, "heat": reject.heat}
    if (picture := held.get(kind)) is not None:
        return picture.jpeg()
    entry = _kept(sources, result_id) if kind in ("thumb", "input", "heat", "restored") else None
    if entry is not None and kind == "restored":
        return entry.restored
    if entry is not None and (drawn := _drawn(entry, kind)) is not None:
        return encode_jpeg(drawn)
    return small.jpeg() if small is not None and kind == "input" else None


def pixels(sources: Sources, result_id: str) -> Pixels | None:
    """All of the frame's, in 8 bits; None where the archive does not have them."""
    entry = _kept(sources, result_id)
    return None if entry is None else eight_bits(entry.frame.image, entry.frame.bit_depth)


def _drawn(entry: Entry, kind: str) -> Pixels | None:
    image = eight_bits(entry.frame.image, entry.frame.bit_depth)
    if kind == "thumb":
        return shrink(image, STRIP_EDGE_PX)
    if kind == "input":
        return shrink(image, REJECT_EDGE_PX)
    score = entry.verdict.score
    if entry.evidence is None or score is None:
        return None
    return heatmap(shrink(image, REJECT_EDGE_PX), entry.evidence, score.threshold)


def _decoded(jpeg: bytes) -> Pixels | None:
    return cast("Pixels | None", cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE))


def _kept(sources: Sources, result_id: str) -> Entry | None:
    """A damaged or closed archive has nothing to show; health says what is wrong with it."""
    shelf = sources.behind.archive
    if shelf is None or not shelf.is_open:
        return None
    try:
        return shelf.read(result_id)
    except (ArchiveError, EntryError):
        return None


def profile(evidence: Floats, threshold: float, axis: int, points: int) -> list[float]:
    """The strongest evidence of each column (axis 0) or row (axis 1), in percent of the threshold."""
    strongest = np.nan_to_num(evidence.max(axis=axis), nan=0.0, posinf=0.0, neginf=0.0) / threshold * 100
    pieces = np.array_split(strongest, min(points, len(strongest)))
    return [round(float(piece.max()), 1) for piece in pieces]
