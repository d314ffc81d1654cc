"""A bundle whose arithmetic a reader can do in the head: the score is the mean grey value over 255."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper

from agent.bundle.bundle import (
    BUNDLE_TYPE,
    GOLDEN_SCORES,
    GOLDEN_TILES,
    MODEL,
    GoldenSpec,
    InputSpec,
    Manifest,
    MapSpec,
    Provenance,
    Threshold,
    manifest_bytes,
    with_digests,
    write_bundle,
)
from agent.messages import Floats, Pixels
from models import signing

TILE_PX = 32
STRIDE_PX = 4
THRESHOLD = 0.5


def small_tiles(count: int = 5) -> Pixels:
    """Flat tiles from nearly black to nearly white, with a little grain, (N, 32, 32, 1)."""
    rng = np.random.default_rng(7)
    levels = np.linspace(20, 235, count).reshape(-1, 1, 1, 1)
    return (levels + rng.integers(-9, 10, (count, TILE_PX, TILE_PX, 1))).astype(np.uint8)


def scores_of(tiles: Pixels) -> Floats:
    return tiles.mean((1, 2, 3)).astype(np.float32) / np.float32(255)


def small_model() -> bytes:
    """The ONNX graph: grey values averaged over cells of 4 x 4 pixels; the restoration is the tile."""
    cells = TILE_PX // STRIDE_PX
    constants = {
        "white": np.array(255, np.float32),
        "channel_axis": np.array([1], np.int64),
        "map_axes": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["tiles"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["grey"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "white"], ["share"]),
        helper.make_node(
            "AveragePool",
            ["share"],
            ["cells"],
            kernel_shape=[STRIDE_PX, STRIDE_PX],
            strides=[STRIDE_PX, STRIDE_PX],
        ),
        helper.make_node("Squeeze", ["cells", "channel_axis"], ["map"]),
        helper.make_node("ReduceMean", ["map", "map_axes"], ["score"], keepdims=0),
        helper.make_node("Transpose", ["planes"], ["back"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["back"], ["restored"], to=TensorProto.UINT8),
    ]
    picture = ["batch", TILE_PX, TILE_PX, 1]
    graph = helper.make_graph(
        nodes,
        "grey",
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, picture)],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", cells, cells]),
            helper.make_tensor_value_info("restored", TensorProto.UINT8, picture),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def small_files(
    *, tiles: Pixels | None = None, scores: Floats | None = None, model: bytes | None = None
) -> dict[str, bytes]:
    """The files of the bundle; `scores` or `model` put wrong ones in, `tiles` are other golden ones."""
    tiles = small_tiles() if tiles is None else tiles
    return {
        MODEL: small_model() if model is None else model,
        GOLDEN_TILES: _npy(tiles),
        GOLDEN_SCORES: _npy(scores_of(tiles) if scores is None else scores),
    }


def small_manifest(files: Mapping[str, bytes], *, name: str = "small", raw: float = THRESHOLD) -> Manifest:
    manifest = Manifest(
        name=name,
        counter=1,
        licence="CC0-1.0",
        input=InputSpec(channels=1, tile_px=TILE_PX, overlap_px=4, scale=1.0),
        map=MapSpec(stride_px=STRIDE_PX, top=64, definition="mean grey value over 255"),
        threshold=Threshold(
            raw=raw,
            target_false_reject_rate=0.05,
            interval=(0.4, 0.6),
            good_frames=20,
            source="made up",
        ),
        golden=GoldenSpec(tolerance_f32=0.002, tolerance_bf16=0.05),
        provenance=Provenance(
            method="grey",
            preset="none",
            run="none",
            data="none",
            commands=(),
            features="none",
            created="2026-01-01",
        ),
        files={},
    )
    return with_digests(manifest, files)


def write_small(
    path: Path,
    *,
    tiles: Pixels | None = None,
    scores: Floats | None = None,
    model: bytes | None = None,
    key: Ed25519PrivateKey | None = None,
    name: str = "small",
    raw: float = THRESHOLD,
) -> Path:
    """The bundle as a folder, signed when there is a key; `raw` is its threshold."""
    files = small_files(tiles=tiles, scores=scores, model=model)
    manifest = small_manifest(files, name=name, raw=raw)
    signature = None
    if key is not None:
        signature = signing.sign(manifest_bytes(manifest), BUNDLE_TYPE, key)
    write_bundle(path, manifest, files, signature)
    return path


def _npy(array: Pixels | Floats) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
