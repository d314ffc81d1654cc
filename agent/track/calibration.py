"""The flat-field calibration of one camera: column means of dark and white, and where they come from.

It is stored as one .npz file without pickle: the means in float32, and the provenance as JSON. The rules of
what is refused stand in `measured`; every bound is a share of full scale.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.foreign import shown
from agent.messages import Floats, Samples
from agent.settings import bounded
from agent.settings import web as web_settings
from agent.track.flatfield import FlatField, FlatFieldError, flat_field

MIN_LINES = 256
MAX_DARK = 0.25  # mean level of the covered lens
MIN_WHITE = 0.10  # median level of the white target above dark
MAX_BYTES = 16_000_000  # of a calibration, packed or not: two means of 500,000 columns in four channels
MAX_SATURATED = 0.001  # share of the white target's samples at full scale
# What zipfile, zlib and NumPy raise at a file that is no calibration; a lying header asks for any memory.
UNUSABLE = (ValueError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


class Provenance(BaseModel):
    """Who measured what, when and how."""

    format: str = Field("plumbline.flat/1", pattern=r"^plumbline\.flat/1$")
    camera: str
    created: str  # RFC 3339
    author: str
    source: str
    bit_depth: int = Field(ge=8, le=16)
    dark_lines: int = Field(ge=0)
    white_lines: int = Field(ge=1)
    exposure_us: float | None = None  # where somebody said it

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Averages:
    """Column sums of pictures, without keeping the pictures."""

    def __init__(self) -> None:
        self.lines = 0
        self.saturated = 0  # samples at full scale
        self._sums: np.ndarray | None = None  # (width, channels)

    def add(self, image: Samples, bit_depth: int) -> None:
        """Raises FlatFieldError for a picture of another width or channel count."""
        sums = image.sum(axis=0, dtype=np.float64)
        if self._sums is not None and sums.shape != self._sums.shape:
            raise FlatFieldError(
                f"pictures of one target differ: {sums.shape[0]} px with {sums.shape[1]} channels after"
                f" {self._sums.shape[0]} px with {self._sums.shape[1]}; take all with the same settings"
            )
        self._sums = sums if self._sums is None else self._sums + sums
        self.lines += len(image)
        self.saturated += int(np.count_nonzero(image == (1 << bit_depth) - 1))

    def means(self) -> Floats:
        """(width, channels); raises FlatFieldError for less than MIN_LINES lines."""
        if self._sums is None or self.lines < MIN_LINES:
            raise FlatFieldError(
                f"{self.lines} lines are too few to average, {MIN_LINES} are needed and 2048 are good;"
                " give more pictures or raise --lines"
            )
        means: Floats = (self._sums / self.lines).astype(np.float32)
        return means

    def saturated_share(self) -> float:
        return self.saturated / max(1, self.lines * (0 if self._sums is None else self._sums.size))


def averages(images: Iterable[Samples], bit_depth: int) -> Averages:
    """Of all lines of some pictures."""
    sums = Averages()
    for image in images:
        sums.add(image, bit_depth)
    return sums


def measured(dark: Averages | None, white: Averages, bit_depth: int) -> tuple[Floats | None, Floats]:
    """Column means of dark and white; raises FlatFieldError for what would not calibrate anything."""
    full = (1 << bit_depth) - 1
    if white.saturated_share() > MAX_SATURATED:
        raise FlatFieldError(
            f"white target: {white.saturated_share():.1%} of its samples are at {full}, at most"
            f" {MAX_SATURATED:.1%} may be; shorten the exposure or dim the light, and take it again"
        )
    bright = white.means()
    floor = None if dark is None else dark.means()
    if floor is not None and floor.mean() > MAX_DARK * full:
        raise FlatFieldError(
            f"dark picture: its mean is {floor.mean():.0f} of {full}, at most {MAX_DARK:.0%} may be;"
            " cover the lens, or swap dark and white"
        )
    if floor is not None and floor.shape != bright.shape:
        flat_field(floor, bright, max_gain=1.0)  # says what differs
    span = float(np.median(bright if floor is None else bright - floor))
    if span < MIN_WHITE * full:
        raise FlatFieldError(
            f"white target: it is {span:.0f} of {full} above dark, at least {MIN_WHITE:.0%} are needed and"
            " 40 % are good; lengthen the exposure or take a brighter target"
        )
    return floor, bright


def refuse_foreign(file: Path, camera: str) -> None:
    """Raises FlatFieldError when what is at `file` is anything but an earlier calibration of this camera."""
    if not (file.exists() or file.is_symlink()):
        return
    remedy = "it is left as it is; give another file with --out, or remove it"
    try:
        _, _, provenance = read(file)
    except FlatFieldError:
        raise FlatFieldError(f"{shown(str(file))}: is there already and no calibration; {remedy}") from None
    if provenance.camera != camera:
        raise FlatFieldError(
            f"{shown(str(file))}: is the calibration of camera {shown(provenance.camera)}; {remedy}"
        )


def save(file: Path, dark: Floats | None, white: Floats, provenance: Provenance) -> None:
    """Write the calibration whole or not at all."""
    data = io.BytesIO()
    words = np.frombuffer(provenance.model_dump_json().encode(), np.uint8)
    if dark is None:
        np.savez(data, provenance=words, white=white)
    else:
        np.savez(data, provenance=words, white=white, dark=dark)
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f".{file.name}.new")
    half.write_bytes(data.getvalue())
    half.replace(file)


def read(file: Path) -> tuple[Floats | None, Floats, Provenance]:
    """Dark, white and provenance; raises FlatFieldError for a file that is missing or damaged."""
    remedy = "make it anew with `plumbline calibrate flat`"
    try:
        data = io.BytesIO(bounded.read(file, max_bytes=MAX_BYTES))
        with zipfile.ZipFile(data) as packed:
            if sum(one.file_size for one in packed.infolist()) > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        with np.lib.npyio.NpzFile(data, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored}
        provenance = Provenance.model_validate_json(arrays["provenance"].tobytes())
        white, dark = arrays["white"], arrays.get("dark")
    except bounded.UnreadableError as error:
        raise FlatFieldError(f"{shown(str(file))}: {error}; {remedy}, or remove flat_field.file") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "provenance"
        raise FlatFieldError(f"{file}: {where}: {first['msg']}; {remedy}") from error
    except UNUSABLE as error:
        raise FlatFieldError(f"{file}: is damaged or no calibration ({error}); {remedy}") from error
    for name, means in (("white", white), ("dark", dark)):
        if means is not None and not (
            means.dtype == np.float32 and means.ndim == 2 and means.size and np.isfinite(means).all()
        ):
            raise FlatFieldError(f"{file}: {name} is {means.dtype} of shape {means.shape}; {remedy}")
    return dark, white, provenance


def load(camera: str, wanted: web_settings.FlatField) -> FlatField | None:
    """The correction that the settings ask for, None where they ask for none; raises FlatFieldError."""
    if wanted.file is None:
        return None
    place = f"camera {camera}: flat_field.file"
    try:
        dark, white, provenance = read(wanted.file)
    except FlatFieldError as error:
        raise FlatFieldError(f"{place} {error}") from error
    if provenance.camera != camera:
        raise FlatFieldError(
            f"{place} {wanted.file}: was made for camera {provenance.camera}; calibrate this one with"
            f" `plumbline calibrate flat --camera {camera}`"
        )
    return flat_field(
        dark,
        white,
        max_gain=wanted.max_gain,
        bit_depth=provenance.bit_depth,
        source=f"{place} {wanted.file}",
    )
