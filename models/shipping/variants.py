"""A student in other arithmetic: typed graph, golden scores, and a threshold of its own.

    precision   graph                            calibrated with
    bf16        model.bf16.onnx, lowered.py      OpenVINO, which serves bf16 on CPUs from model.onnx
    f16         model.f16.onnx, lowered.py       ONNX Runtime, as typed
    int8        model.int8.onnx, quantized.py    ONNX Runtime, as typed

Each threshold comes from the same held-back good parts and target as that of float32. A device serves in no
precision that its bundle was not calibrated in (`Bundle.at`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from agent.bundle.bundle import (
    BUNDLE_TYPE,
    MODEL,
    Bundle,
    Precision,
    Threshold,
    Variant,
    manifest_bytes,
    open_bundle,
    refuse_existing,
    with_digests,
    write_bundle,
)
from agent.engines.engine import Answer, largest_difference
from agent.errors import PlumblineError
from agent.messages import Floats, Pixels
from agent.trust.private_keys import load_private_key
from models import signing
from models.data.batches import as_tiles, draw_batch
from models.data.datasets import Item
from models.data.held import good_shares
from models.data.threshold import calibrate
from models.judging.evaluate import Inspector
from models.judging.nearby import HELD, nearby_scores
from models.shipping.lint import lint
from models.shipping.lowered import lowered
from models.shipping.quantized import quantized
from models.stages import SILENT, Stages
from models.student.student import to_pixels

PRECISIONS: tuple[Precision, ...] = ("bf16", "f16", "int8")
SCALE_TILES = 64  # good ones and spoilt ones, for INT8's scales
TYPED_TOLERANCE = 0.15  # of golden scores, between the bf16 graph as typed and OpenVINO's own bf16


class VariantError(PlumblineError):
    """A precision cannot be made or calibrated here; says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A variant and its files, to be put into a bundle."""

    variant: Variant
    files: dict[str, bytes]


def add_variants(
    source: Path,
    data: Sequence[Path],
    out: Path,
    *,
    precisions: Sequence[Precision],
    counter: int | None = None,
    key: Path | None = None,
    stages: Stages = SILENT,
) -> Bundle:
    """The bundle `source` with variants in `precisions` as the new bundle `out`; those it has are kept.

    `data` is what it was exported with; the counter grows by one when none is given. Raises BundleError,
    DataError, CalibrationError, VariantError.
    """
    refuse_existing(out)
    bundle = open_bundle(source)
    shares = good_shares(data)
    scales = scale_tiles(shares.train, bundle, stages) if "int8" in precisions else bundle.golden()[0][:0]
    made = {one: make(bundle, one, shares.threshold, scales, stages) for one in precisions}
    manifest = bundle.manifest.model_copy(
        update={
            "counter": bundle.manifest.counter + 1 if counter is None else counter,
            "variants": {
                **(bundle.manifest.variants or {}),
                **{name: one.variant for name, one in made.items()},
            },
        }
    )
    files = {name: bundle.files[name] for name in bundle.manifest.files}
    for one in made.values():
        files |= one.files
    manifest = with_digests(manifest, files)
    signature = None
    if key is not None:
        signature = signing.sign(manifest_bytes(manifest), BUNDLE_TYPE, load_private_key(key))
    write_bundle(out, manifest, files, signature)
    return open_bundle(out)


def make(
    bundle: Bundle, precision: Precision, held: Sequence[Item], scales: Pixels, stages: Stages = SILENT
) -> Made:
    """One variant, calibrated on the held-back good parts; `scales` are tiles for INT8."""
    base = bundle.manifest
    with stages.stage(f"writing the graph in {precision}"):
        graph = typed_graph(bundle.model, precision, scales)
    inspector = by_openvino_bf16(bundle.model) if precision == "bf16" else by_session(graph)
    golden = inspector(bundle.golden()[0]).scores
    if precision == "bf16":
        _refuse_difference(graph, bundle, golden)
    judged = stages.over(held, f"judging held-back good parts in {precision}")
    scores = nearby_scores(judged, inspector, base.input).max(1)
    runtime = "OpenVINO" if precision == "bf16" else "ONNX Runtime"
    threshold: Threshold = calibrate(
        scores,
        target=base.threshold.target_false_reject_rate,
        source=f"{base.provenance.data}: {HELD}, in {precision} on {runtime}",
    )
    names = f"model.{precision}.onnx", f"golden/scores-{precision}.npy"
    buffer = io.BytesIO()
    np.save(buffer, golden, allow_pickle=False)
    return Made(
        variant=Variant(graph=names[0], scores=names[1], threshold=threshold),
        files={names[0]: graph, names[1]: buffer.getvalue()},
    )


def typed_graph(model: bytes, precision: Precision, scales: Pixels) -> bytes:
    """The float32 graph with the types of a precision. Raises VariantError for what no runtime would take."""
    plain = onnx.load_from_string(model)
    found = quantized(plain, scales) if precision == "int8" else lowered(plain, precision)
    problems = lint(found)
    if problems:
        raise VariantError(f"{precision}: {'; '.join(problems)}")
    return bytes(found.SerializeToString())


def scale_tiles(good: Sequence[Item], bundle: Bundle, stages: Stages = SILENT, seed: int = 0) -> Pixels:
    """Good training tiles and as many with synthetic defects, drawn as in training."""
    batch = draw_batch(
        as_tiles(good, bundle.manifest.input, stages), 2 * SCALE_TILES, 0.5, np.random.default_rng(seed)
    )
    return to_pixels(batch.seen).numpy()


def by_session(graph: bytes) -> Inspector:
    """ONNX Runtime on the CPU, which rounds as the graph's types say. Raises VariantError without it."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise VariantError(
            "onnxruntime is not installed; `pip install 'plumbline[lab]'` brings it"
        ) from error
    options = onnxruntime.SessionOptions()
    # Its own INT8 kernels overflow 16 bits on processors without VNNI, and rank tiles otherwise.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda tiles: _answer(session.run(["score", "map", "restored"], {"tiles": tiles}))


def by_openvino_bf16(graph: bytes) -> Inspector:
    """OpenVINO as it serves bf16. Raises VariantError where the CPU has none: rounding would not be real."""
    inspector, used = by_openvino(graph, "bf16")
    if used != "bf16":
        raise VariantError(
            f"bf16: this machine computes in {used}; calibrate where the CPU has AVX512-bf16 or AMX"
        )
    return inspector


def by_openvino(graph: bytes, precision: str) -> tuple[Inspector, str]:
    """OpenVINO on the CPU and the precision that it really takes."""
    from agent.engines.openvino import core_of_process

    core = core_of_process()
    compiled = core.compile_model(
        core.read_model(graph),
        "CPU",
        {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision},
    )
    used = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    return lambda tiles: _answer([compiled(tiles)[index] for index in range(3)]), used


def _refuse_difference(graph: bytes, bundle: Bundle, served: Floats) -> None:
    """The bf16 graph as typed, which TensorRT builds, must mean what OpenVINO serves and calibrates."""
    typed = by_openvino(graph, "f32")[0](bundle.golden()[0]).scores
    difference = largest_difference(typed, served, bundle.manifest.threshold.raw)
    if not difference <= TYPED_TOLERANCE:
        raise VariantError(
            f"bf16: golden scores of {MODEL} in bf16 and of the bf16 graph differ by a share of "
            f"{difference:.4f}, allowed {TYPED_TOLERANCE}; distil longer"
        )


def _answer(outputs: Sequence[object]) -> Answer:
    scores, maps, restored = (np.array(one) for one in outputs)
    return Answer(scores=scores, maps=maps, restored=restored)
