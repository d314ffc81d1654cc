"""The model bundle: a folder or one `.plumb` zip that says everything about a model.

    manifest.yaml   what the model is, how to feed it, its threshold, the digest of every other file
    model.onnx      uint8 N x H x W x C -> score N, map N x h x w, restored N x H x W x C; newer ones
                    store the kernels of convolutions in half precision (`widened.py`)
    model.P.onnx    the same in precision P (bf16, f16, int8), where the bundle has that variant
    golden/         tiles.npy (uint8) and scores.npy (float32) that an engine must reproduce; scores-P.npy
    explain/        what follows model.onnx where somebody asks why (`agent/explain/form.py`); newer bundles
    signature       optional DSSE envelope (Ed25519) over the manifest's bytes

Never a pickle. A bundle is never modified after it is written; `open_bundle` checks every digest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from agent.bundle.files import BundleError as BundleError
from agent.bundle.files import BundleFiles, NotABundle, left_by, open_files
from agent.bundle.golden import GoldenError, read_scores, read_tiles
from agent.bundle.standing import Standing
from agent.bundle.widened import widened
from agent.foreign import shown
from agent.messages import Floats, Pixels
from agent.settings import strict_yaml

MANIFEST = "manifest.yaml"
MODEL = "model.onnx"
SIGNATURE = "signature"
BUNDLE_TYPE = "application/vnd.plumbline.bundle-manifest+yaml"  # what the signature says that it signs
GOLDEN_TILES = "golden/tiles.npy"
GOLDEN_SCORES = "golden/scores.npy"
MAX_MANIFEST_BYTES = strict_yaml.MAX_BYTES
MAX_SIGNATURE_BYTES = 2 * MAX_MANIFEST_BYTES  # it holds the manifest in base64
# An export gives 0.002 and 0.15. Ten times and twice that still tells one model from another; beyond, the
# golden tiles would let any engine pass.
MAX_TOLERANCE_F32 = 0.02
MAX_TOLERANCE_LOWER = 0.3
SAID_PROBLEMS = 8
MAX_THRESHOLD = 1e6  # as in the settings


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputSpec(_Part):
    """How a frame becomes tiles."""

    channels: Literal[1, 3]
    tile_px: int = Field(ge=32, le=4096)
    overlap_px: int = Field(ge=0)
    scale: float = Field(gt=0, le=16, description="tile pixels per frame pixel")

    @model_validator(mode="after")
    def _tiles_advance(self) -> InputSpec:
        if self.overlap_px >= self.tile_px:
            raise ValueError(f"overlap_px {self.overlap_px} must be below tile_px {self.tile_px}")
        return self


class MapSpec(_Part):
    stride_px: int = Field(ge=1, description="tile pixels per map pixel")
    top: int = Field(ge=1, le=3840, description="map pixels averaged into the score")
    definition: str


class Threshold(_Part):
    """Raw score at which a frame fails, with where it came from."""

    raw: float = Field(gt=0, le=MAX_THRESHOLD)
    target_false_reject_rate: float = Field(gt=0, lt=1)
    interval: tuple[float, float] = Field(description="95 % bootstrap interval of raw")
    good_frames: int = Field(ge=1)
    source: str
    provisional_rate: float | None = Field(
        None, gt=0, lt=1, description="all that so few good frames can promise, where it is above the target"
    )

    def provisional_words(self) -> str | None:
        """What to tell of a threshold from too few good frames; None where it keeps its target."""
        if self.provisional_rate is None:
            return None
        return (
            f"provisional: with {self.good_frames} good frames it promises a false-reject rate of "
            f"{self.provisional_rate:.1%}, not of {self.target_false_reject_rate:.1%}"
        )

    @model_serializer(mode="wrap")
    def _as_before_where_it_holds(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Devices that do not know the field read every bundle whose threshold keeps its target."""
        content: dict[str, Any] = plain(self)
        if self.provisional_rate is None:
            content.pop("provisional_rate", None)
        return content


class Provenance(_Part):
    """Who made the model from what; `figures` were measured by the exporter."""

    method: str
    preset: str
    run: str = Field(description="digest of the student's weights")
    data: str
    commands: tuple[str, ...]
    features: str
    created: str


class GoldenSpec(_Part):
    """Largest allowed difference from a golden score, as a share of the threshold or of a score above it."""

    tolerance_f32: float = Field(gt=0, le=MAX_TOLERANCE_F32)
    tolerance_bf16: float = Field(gt=0, le=MAX_TOLERANCE_LOWER)


Precision = Literal["bf16", "f16", "int8"]  # besides f32, which every bundle has


class Variant(_Part):
    """The same student in another arithmetic, calibrated in it from the same good parts."""

    graph: str = Field(description="ONNX file for engines that take precision from the types of its tensors")
    scores: str = Field(description="file of the golden tiles' scores")
    threshold: Threshold


class Manifest(_Part):
    format: Literal["plumbline.bundle/1"] = "plumbline.bundle/1"
    name: str = Field(pattern=r"^[a-z0-9_-]{1,64}$")
    counter: int = Field(ge=1, description="grows with each release of this name; guards against roll-back")
    licence: str
    input: InputSpec
    map: MapSpec
    threshold: Threshold
    golden: GoldenSpec
    variants: dict[Precision, Variant] | None = Field(
        None, description="None in bundles from before variants: every precision has the threshold of f32"
    )
    standing: Standing | None = Field(None, description="None in bundles from before it was measured")
    provenance: Provenance
    files: dict[str, str] = Field(description="SHA-256 of every file but manifest and signature")

    @model_validator(mode="after")
    def _lists_neither_itself_nor_its_signature(self) -> Manifest:
        for name in (MANIFEST, SIGNATURE):
            if name in self.files:
                raise ValueError(f"files lists {name}, which cannot have a digest in it")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An opened bundle: every file is in memory and matched its digest; of a head, manifest and signature."""

    path: Path
    manifest: Manifest
    sha256: str  # of the manifest's bytes, which name every other digest: the bundle's identity
    files: Mapping[str, bytes]

    @property
    def model(self) -> bytes:
        """The graph with its weights in float32, in whatever form its file stores them."""
        return widened(self.files[MODEL])

    def at(self, precision: str) -> Bundle:
        """This bundle as an engine of a precision serves it: threshold, golden scores and typed graph.

        TF32 has float32's: it is what a GPU makes of the same graph.
        Raises BundleError when it was not calibrated in that precision.
        """
        variants = self.manifest.variants
        if precision in ("f32", "tf32") or variants is None:
            return self
        for name, variant in variants.items():
            if name == precision:
                manifest = self.manifest.model_copy(update={"threshold": variant.threshold})
                own = {MODEL: self.files[variant.graph], GOLDEN_SCORES: self.files[variant.scores]}
                return replace(self, manifest=manifest, files={**self.files, **own})
        raise BundleError(
            f"{self.path}: no threshold for {precision}, only for {', '.join(['f32', *variants])}; set "
            "engine.precision to one of these, or calibrate it with `plumbline-lab variants`"
        )

    def calibrated(self) -> dict[str, float]:
        """The thresholds of other precisions than float32."""
        return {name: variant.threshold.raw for name, variant in (self.manifest.variants or {}).items()}

    def golden(self) -> tuple[Pixels, Floats]:
        """Tiles (N, H, W, C) uint8 and their scores (N,) float32."""
        tiles = _golden_tiles(self)
        return tiles, _golden_scores(self, GOLDEN_SCORES, len(tiles), self.manifest.threshold)


def open_bundle(path: Path) -> Bundle:
    """Read a bundle folder or `.plumb` file and check every digest and all golden arrays.

    Only what the manifest lists is read, each file once. Raises BundleError naming the file when one is
    missing, foreign, too large or differs.
    """
    if _is_link(path):  # one that is given another bundle meanwhile must not mix two of them
        path = path.resolve()
    place = shown(str(path))
    with open_files(path) as there:
        head = read_head(there, path)
        manifest = head.manifest
        files = dict(head.files)
        for name, digest in manifest.files.items():
            files[name] = there.read(name)
            found = hashlib.sha256(files[name]).hexdigest()
            if found != digest:
                raise BundleError(
                    f"{place}/{name}: digest {found[:12]}... differs from the manifest's "
                    f"{shown(digest[:12])}...; the file was changed or damaged, copy the bundle again"
                )
    bundle = replace(head, files=files)
    tiles, _ = bundle.golden()
    for variant in (manifest.variants or {}).values():
        _golden_scores(bundle, variant.scores, len(tiles), variant.threshold)
    return bundle


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # a name that is too long; told when it is opened
        return False


def read_head(there: BundleFiles, path: Path) -> Bundle:
    """Manifest and signature alone, after a look at the names of the other files. Raises BundleError."""
    place = shown(str(path))
    if MANIFEST not in there.sizes:
        raise NotABundle(f"{place}: no {MANIFEST}; this is not a model bundle, check the setting `bundle`")
    data = there.read(MANIFEST, MAX_MANIFEST_BYTES)
    manifest = parse_manifest(data, name=f"{place}/{MANIFEST}")
    _refuse_strangers(manifest, there.sizes, path)
    files = {MANIFEST: data}
    if SIGNATURE in there.sizes:
        files[SIGNATURE] = there.read(SIGNATURE, MAX_SIGNATURE_BYTES)
    return Bundle(path=path, manifest=manifest, sha256=hashlib.sha256(data).hexdigest(), files=files)


def _golden_tiles(bundle: Bundle) -> Pixels:
    spec = bundle.manifest.input
    try:
        return read_tiles(bundle.files[GOLDEN_TILES], tile_px=spec.tile_px, channels=spec.channels)
    except GoldenError as error:
        raise BundleError(f"{bundle.path}/{GOLDEN_TILES}: {error}; export the bundle again") from error


def _golden_scores(bundle: Bundle, name: str, tiles: int, threshold: Threshold) -> Floats:
    try:
        return read_scores(bundle.files[name], tiles=tiles, threshold=threshold.raw)
    except GoldenError as error:
        raise BundleError(f"{bundle.path}/{shown(name)}: {error}; export the bundle again") from error


def _refuse_strangers(manifest: Manifest, sizes: Mapping[str, int], path: Path) -> None:
    """What is there must be what the manifest lists, and that must be what a bundle needs."""
    place = shown(str(path))
    for name in manifest.files:
        if name not in sizes:
            raise BundleError(
                f"{place}/{shown(name)}: missing, though the manifest lists it; copy the bundle again"
            )
    for name in sorted(set(sizes) - set(manifest.files) - {MANIFEST, SIGNATURE}):
        system = left_by(name)
        origin = "" if system is None else f"; {system} leaves such files"
        remedy = f"`zip -d {shown(path.name)} '{shown(name)}'`" if path.is_file() else "delete it"
        raise BundleError(
            f"{place}/{shown(name)}: not listed in the manifest{origin}; a bundle is never added to: {remedy}"
        )
    own = [name for one in (manifest.variants or {}).values() for name in (one.graph, one.scores)]
    for name in (MODEL, GOLDEN_TILES, GOLDEN_SCORES, *own):
        if name not in manifest.files:
            raise BundleError(f"{place}: no {shown(name)}; export the bundle again")


@lru_cache(maxsize=16)  # YAML takes as long as digests of megabytes, and every report names two bundles
def parse_manifest(data: bytes, *, name: str) -> Manifest:
    """The manifest in `data`. Raises BundleError with every problem."""
    try:
        content, _ = strict_yaml.load(data.decode("utf-8"), name=name)
        return Manifest.model_validate_json(json.dumps(content), strict=True)
    except (strict_yaml.YamlError, UnicodeDecodeError) as error:
        raise BundleError(f"{name}: {shown(str(error))}") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        more = f"; and {len(problems) - SAID_PROBLEMS} more" if len(problems) > SAID_PROBLEMS else ""
        raise BundleError(f"{name}: {shown('; '.join(problems[:SAID_PROBLEMS]))}{more}") from error


def with_digests(manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """The manifest with the digests of these files."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    return manifest.model_copy(update={"files": digests})


def write_bundle(path: Path, manifest: Manifest, files: Mapping[str, bytes], signature: bytes | None) -> None:
    """Write a new bundle folder from a manifest that has the files' digests.

    Raises BundleError when `path` is there already: a bundle is never modified.
    """
    signed = {} if signature is None else {SIGNATURE: signature}
    write_files(path, {**files, MANIFEST: manifest_bytes(manifest), **signed})


def write_files(path: Path, files: Mapping[str, bytes]) -> None:
    """As `write_bundle`, from all of its files as they are."""
    refuse_existing(path)
    beside = path.with_name(f".{path.name}.partial")  # a crash leaves no half of a bundle under its name
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name, data in files.items():
        (beside / name).parent.mkdir(exist_ok=True)
        (beside / name).write_bytes(data)
    beside.rename(path)


def refuse_existing(path: Path) -> None:
    """Raises BundleError when anything is at `path`: a bundle is never modified."""
    if path.exists():
        raise BundleError(f"{path}: is there already; a bundle is never modified, choose another name")


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it stands on disk."""
    unmeasured = {"standing"} if manifest.standing is None else set()  # as devices before it read it
    content = manifest.model_dump(mode="json", exclude=unmeasured)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100).encode()
