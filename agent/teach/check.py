"""Whether good parts are fit to be taught: blur, exposure, doubles, outliers, defects, two products. Pure.

Nothing is removed here: what is found is shown, with the words why, to whoever decides. Limits are beside the
middle of the set where they can be, since every product and lens has its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np

from agent.messages import Flags, Floats, Pixels

Kind: TypeAlias = Literal["damaged", "blurred", "dark", "bright", "double", "outlier", "defect"]

SIDE_PX = 512  # sharpness is measured at this size of the shorter side at most
THUMB_PX = 32
ROUNDED = 20 / 12  # variance of a Laplacian that rounding to whole grey values makes alone
SOFT = 0.35  # of the middle sharpness
ALL_SOFT = 0.004  # share of the contrast that lies between neighbouring pixels; below, nothing is in focus
DARK, BRIGHT = 12.0, 243.0  # mean grey values
CLIPPED = 0.3  # of the pixels at either end, where the middle of the set has half of that at most
STOPS = 1.0  # of light from the middle of the set
NEIGHBOURS = 400  # before it, among which its like is looked for; equal ones are found in all
SAME = 0.6  # grey values between two thumbnails: sensor noise of one scene, or one picture saved twice
FAR = 6.0  # robust deviations
STRANGE = 4.0  # robust deviations of a score, in its logarithm
TWO_KINDS = 2.0  # distance of two kinds in the usual distance within one
FEW_OF_A_KIND = 0.1
OTHER_SIZE = 0.1  # share of a side
NAMED = 5
FEWEST = 8  # pictures; below, no middle is worth the name


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is measured of one picture."""

    name: str
    digest: str  # of its pixels
    size: tuple[int, int]  # width, height
    level: float  # mean grey value
    clipped: float  # share of pixels at either end
    sharpness: float  # share of the contrast that lies between neighbouring pixels
    thumb: Floats  # (THUMB_PX, THUMB_PX), grey
    score: float | None = None  # raw, by the bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One picture that should be looked at."""

    name: str
    kind: Kind
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Findings, the worst of each picture, and what is said of the whole set."""

    pictures: int
    findings: tuple[Finding, ...]
    words: tuple[str, ...]

    @property
    def flagged(self) -> tuple[str, ...]:
        """Pictures to take out, by name."""
        return tuple(dict.fromkeys(one.name for one in self.findings))


def see(name: str, image: Pixels, score: float | None = None) -> Seen:
    """Measure a picture (h, w, 1 or 3), uint8."""
    grey = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    thumb = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    scale = min(1.0, SIDE_PX / min(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    contrast = float(small.var())
    edges = float(cv2.Laplacian(small, cv2.CV_32F).var())
    ends = np.count_nonzero(grey <= 2) + np.count_nonzero(grey >= 253)
    return Seen(
        name=name,
        digest=hashlib.sha256(image.tobytes()).hexdigest(),
        size=(image.shape[1], image.shape[0]),
        level=float(grey.mean()),
        clipped=float(ends / grey.size),
        sharpness=max(0.0, edges - ROUNDED) / max(contrast, 1.0),
        thumb=thumb,
        score=score,
    )


def check(pictures: Sequence[Seen], damaged: Sequence[Finding] = ()) -> Checked:
    """All findings of a set; `damaged` are those that could not be read at all."""
    findings = [*damaged]
    words: list[str] = []
    if not pictures:
        return Checked(pictures=0, findings=tuple(findings), words=("there is no picture of a good part",))
    for look in (_exposed, _sharp, _doubles, _scores, _kinds):
        found, said = look(pictures)
        findings += found
        words += said
    return Checked(
        pictures=len(pictures),
        findings=tuple({(one.name): one for one in reversed(findings)}.values())[::-1],
        words=tuple(words),
    )


Found: TypeAlias = tuple[list[Finding], list[str]]


def _exposed(pictures: Sequence[Seen]) -> Found:
    levels = np.array([one.level for one in pictures])
    middle, usual = float(np.median(levels)), float(np.median([one.clipped for one in pictures]))
    found: list[Finding] = []
    for one in pictures:
        stops = float(np.log2(max(one.level, 1.0) / max(middle, 1.0)))
        apart = abs(stops) > STOPS and len(pictures) >= FEWEST
        if one.level < DARK or (apart and stops < 0):
            found.append(_finding(one, "dark", f"too dark: mean {one.level:.0f}, the others {middle:.0f}"))
        elif one.level > BRIGHT or (apart and stops > 0):
            found.append(
                _finding(one, "bright", f"too bright: mean {one.level:.0f}, the others {middle:.0f}")
            )
        elif one.clipped > CLIPPED and usual < CLIPPED / 2:
            found.append(_finding(one, "bright", f"{one.clipped:.0%} of it is black or white without detail"))
    said = ["most pictures are far too dark or bright: set exposure and light first"]
    return found, said if 2 * len(found) > len(pictures) else []


def _sharp(pictures: Sequence[Seen]) -> Found:
    middle = float(np.median([one.sharpness for one in pictures]))
    if middle < ALL_SOFT:
        return [], [
            "all pictures are blurred, or there is nothing on them: focus the lens, shorten the exposure"
        ]
    if len(pictures) < FEWEST:
        return [], []
    soft = [one for one in pictures if one.sharpness < SOFT * middle]
    return [
        _finding(one, "blurred", f"blurred: {one.sharpness / middle:.0%} of the usual detail") for one in soft
    ], []


def _doubles(pictures: Sequence[Seen]) -> Found:
    first: dict[str, str] = {}
    thumbs = np.stack([one.thumb.ravel() for one in pictures])
    found: list[Finding] = []
    for index, one in enumerate(pictures):
        twin = first.setdefault(one.digest, one.name)
        if twin != one.name:
            found.append(_finding(one, "double", f"the same picture as {twin}"))
            continue
        if index:
            first_near = max(0, index - NEIGHBOURS)
            apart = np.abs(thumbs[first_near:index] - thumbs[index]).mean(axis=1)
            near = first_near + int(apart.argmin())
            if apart.min() < SAME and pictures[near].size == one.size:
                found.append(_finding(one, "double", f"nearly the same picture as {pictures[near].name}"))
    if 2 * len(found) > len(pictures):
        return found, ["most pictures show one and the same: did the parts move, and does the camera?"]
    return found, []


def _scores(pictures: Sequence[Seen]) -> Found:
    scored = [(one, one.score) for one in pictures if one.score is not None]
    lost = [
        _finding(one, "defect", "its score is no number") for one, score in scored if not np.isfinite(score)
    ]
    scored = [(one, score) for one, score in scored if np.isfinite(score)]
    if len(scored) < FEWEST:
        return lost, []
    logs = np.log(np.maximum([score for _, score in scored], 1e-6))
    middle, spread = _robust(logs, floor=0.1)
    return [
        *lost,
        *(
            _finding(
                one, "defect", f"looks like a defect: score {score:.3g}, the middle one {np.exp(middle):.3g}"
            )
            for (one, score), log in zip(scored, logs, strict=True)
            if log > middle + STRANGE * spread
        ),
    ], []


def _kinds(pictures: Sequence[Seen]) -> Found:
    """Another product has another size, or looks alike among themselves and unlike the rest."""
    wide, high = (float(np.median(sides)) for sides in zip(*(one.size for one in pictures), strict=True))
    others = sum(
        abs(one.size[0] / wide - 1) > OTHER_SIZE or abs(one.size[1] / high - 1) > OTHER_SIZE
        for one in pictures
    )
    said = []
    if others:
        said.append(
            f"{others} pictures have another size than the usual {wide:.0f} x {high:.0f}: are they of one "
            "product and one camera?"
        )
    if len(pictures) < FEWEST:
        return [], said
    thumbs = np.stack([_normal(one.thumb) for one in pictures])
    away = np.sqrt(((thumbs - np.median(thumbs, axis=0)) ** 2).mean(axis=1))
    side = _two_kinds(thumbs)
    if side is not None:
        if 2 * side.sum() > len(side):
            side = ~side
        few = [one.name for one, is_one in zip(pictures, side, strict=True) if is_one]
        named = ", ".join(few[:NAMED])
        said.append(
            f"there are two kinds of pictures, {len(few)} are such as {named}: are these two products?"
        )
        return [], said
    middle, spread = _robust(away, floor=0.02)
    return [
        _finding(one, "outlier", "looks unlike the others: another part, or another place of it")
        for one, far in zip(pictures, away, strict=True)
        if far > middle + FAR * spread
    ], said


def _two_kinds(thumbs: Floats) -> Flags | None:
    """Which of two kinds each is (N,), bool; None where there is one kind."""
    centred = thumbs - thumbs.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    side = centred @ axis > 0
    for _ in range(10):
        if not 0 < side.sum() < len(side):
            return None
        first, second = thumbs[side].mean(axis=0), thumbs[~side].mean(axis=0)
        again = ((thumbs - first) ** 2).sum(axis=1) < ((thumbs - second) ** 2).sum(axis=1)
        if (again == side).all():
            break
        side = again
    few = min(side.sum(), (~side).sum())
    if few < max(2, FEW_OF_A_KIND * len(thumbs)):
        return None
    first, second = thumbs[side].mean(axis=0), thumbs[~side].mean(axis=0)
    own = np.where(side[:, None], first, second)
    within = float(np.sqrt(((thumbs - own) ** 2).sum(axis=1)).mean())
    between = float(np.sqrt(((first - second) ** 2).sum()))
    return side if between > TWO_KINDS * max(within, 1e-6) else None


def _normal(thumb: Floats) -> Floats:
    """Light and contrast make no other kind."""
    return np.asarray((thumb - thumb.mean()) / max(float(thumb.std()), 4.0), np.float32).ravel()


def _robust(values: Floats, *, floor: float) -> tuple[float, float]:
    """Middle and spread, by the median absolute deviation."""
    middle = float(np.median(values))
    return middle, max(floor, 1.4826 * float(np.median(np.abs(values - middle))))


def _finding(one: Seen, kind: Kind, words: str) -> Finding:
    return Finding(name=one.name, kind=kind, words=words)
