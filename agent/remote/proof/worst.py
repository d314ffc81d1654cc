"""The frames on which two bundles differ most, as pictures for people: few and small, of the last proofs.

    FOLDER/<sha256 of the candidate>/proof.json        what was found
    FOLDER/<sha256 of the candidate>/1-original.jpg    and 1-incumbent.jpg, 1-candidate.jpg: their heat maps
    FOLDER/.part-*/                                    one that is being written

A proof is in its place whole or not at all.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

import cv2

from agent.durable import sync_folder, write_file
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.line.heatmap import heatmap
from agent.line.record import eight_bit_picture
from agent.messages import Pixels
from agent.remote.proof.document import MAX_WORST, Found, Worst
from agent.remote.proof.shadow import Compared, Opinion

DOCUMENT = "proof.json"
PART = ".part-"
PART_AGE_S = 3600.0  # older ones are left by a process that died
KEPT_PROOFS = 4
LONGEST_SIDE_PX = 1024
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88]
WORTH_SEEING = 1.0  # hundredths of the threshold; below that two pictures look alike
_NAME = re.compile(r"[0-9a-f]{64}")

Which: TypeAlias = Literal["original", "incumbent", "candidate"]


class NotKept(PlumblineError):
    """The pictures could not be written; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    rank: tuple[bool, float]
    worst: Worst
    pictures: Mapping[Which, Pixels]


class Gallery:
    """The worst of all that it was shown."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def see(self, compared: Compared) -> None:
        """Flips come first, then the largest shifts."""
        size = abs(compared.shift or 0.0)
        rank = (compared.is_flip, size)
        if not compared.is_flip and size < WORTH_SEEING:
            return
        if len(self._kept) == MAX_WORST and rank <= self._kept[-1].rank:
            return
        verdict = compared.entry.verdict
        worst = Worst(
            result_id=verdict.result_id,
            camera=verdict.camera,
            created=verdict.created,
            incumbent=compared.incumbent.look,
            candidate=compared.candidate.look,
        )
        self._kept.append(_Kept(rank=rank, worst=worst, pictures=_pictures(compared)))
        self._kept.sort(key=lambda one: one.rank, reverse=True)
        del self._kept[MAX_WORST:]

    def worst(self) -> tuple[Worst, ...]:
        """The worst first, with the names that `write` gives their pictures."""
        return tuple(
            one.worst.model_copy(update={"pictures": {which: _name(at, which) for which in one.pictures}})
            for at, one in enumerate(self._kept, 1)
        )

    def write(self, folder: Path, found: Found) -> None:
        """Keep what was found and the pictures it names, and let the oldest proof go. Raises NotKept."""
        place, part = folder / found.candidate.sha256, None
        try:
            folder.mkdir(exist_ok=True)  # not its parents: a disk may not be mounted
            part = Path(tempfile.mkdtemp(prefix=PART, dir=folder))
            part.chmod(0o750)
            for name, data in self._files():
                write_file(part / name, [data])
            write_file(part / DOCUMENT, [found.model_dump_json(by_alias=True, indent=1).encode() + b"\n"])
            sync_folder(part)
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)
            sync_folder(folder)
            _bound(folder)
        except OSError as error:
            if part is not None:
                shutil.rmtree(part, ignore_errors=True)
            raise NotKept(f"{shown(str(folder))}: pictures were not kept: {error.strerror}") from error

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for at, one in enumerate(self._kept, 1):
            for which, picture in one.pictures.items():
                _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), JPEG)
                yield _name(at, which), data.tobytes()


def proofs(folder: Path) -> list[Path]:
    """Those that are kept, the newest first."""
    try:
        found = [one for one in folder.iterdir() if _NAME.fullmatch(one.name) and one.is_dir()]
        return sorted(found, key=lambda one: one.stat().st_mtime_ns, reverse=True)
    except FileNotFoundError:
        return []


def _bound(folder: Path) -> None:
    old = time.time() - PART_AGE_S
    left = [one for one in folder.glob(f"{PART}*") if one.stat().st_mtime < old]
    for path in (*proofs(folder)[KEPT_PROOFS:], *left):
        shutil.rmtree(path)


def _name(at: int, which: Which) -> str:
    return f"{at}-{which}.jpg"


def _pictures(compared: Compared) -> dict[Which, Pixels]:
    """RGB, small."""
    original = _small(eight_bit_picture(compared.entry.frame))
    drawn: dict[Which, Pixels] = {"original": original}
    sides: tuple[tuple[Which, Opinion], ...] = (
        ("incumbent", compared.incumbent),
        ("candidate", compared.candidate),
    )
    for which, opinion in sides:
        if opinion.evidence is not None and opinion.look.threshold is not None:
            drawn[which] = heatmap(original, opinion.evidence, opinion.look.threshold)
    return drawn


def _small(image: Pixels) -> Pixels:
    """RGB, at most LONGEST_SIDE_PX."""
    lines, width = image.shape[:2]
    factor = min(1.0, LONGEST_SIDE_PX / max(lines, width))
    size = max(1, round(width * factor)), max(1, round(lines * factor))
    small = image if factor == 1.0 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 2 or small.shape[2] == 1:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    return cast(Pixels, small)
