"""A bundle that opens at once: a cell fails by its brightest spot, for stories that are not about the model.

Of the bundle of solar cells an agent computes most at its start, and nearly all afterwards.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from agent.bundle.bundle import MODEL, open_bundle, with_digests, write_bundle
from agent.messages import Floats, Pixels
from tests.agent.engines.small_bundle import small_files, small_manifest, small_tiles
from tests.agent.remote.proof.shadowed import grey_model

SCALE = 0.1  # a cell of 300 pixels is one tile, its spots are 40 pixels wide
SPOT_PX = 4
POWER = 3  # of a spot's grey value: most of a cell lies far below the threshold
THRESHOLD = 0.85**POWER  # every fourth cell fails


def write_bright(path: Path) -> Path:
    """The bundle as a folder, unsigned."""
    files = small_files(model=_model(), scores=_scores(small_tiles()))
    manifest = small_manifest(files, name="bright", raw=THRESHOLD)
    changes = {
        "input": manifest.input.model_copy(update={"scale": SCALE}),
        "map": manifest.map.model_copy(update={"top": 1, "definition": f"(grey value / 255) ** {POWER}"}),
    }
    write_bundle(path, with_digests(manifest.model_copy(update=changes), files), files, None)
    return path


def write_varied(
    path: Path, *, counter: int, threshold: float = 1.0, golden: float = 1.0, words: str = ""
) -> None:
    """Another one, unsigned, with threshold and golden scores multiplied.

    Its graph is the same, by other bytes where it has `words`.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = open_bundle(write_bright(Path(folder) / "bright"))
    files = {name: plain.files[name] for name in plain.manifest.files}
    if words:
        model = onnx.load_model_from_string(files[MODEL])
        model.doc_string = words
        files[MODEL] = model.SerializeToString()
    if golden != 1:
        scores = io.BytesIO()
        np.save(scores, np.load(io.BytesIO(files["golden/scores.npy"])) * np.float32(golden))
        files["golden/scores.npy"] = scores.getvalue()
    raw = plain.manifest.threshold.raw * threshold
    changes = {
        "counter": counter,
        "threshold": plain.manifest.threshold.model_copy(update={"raw": raw}),
    }
    write_bundle(path, with_digests(plain.manifest.model_copy(update=changes), files), files, None)


def _model() -> bytes:
    """The grey one, with a power before the map and its largest value for their mean."""
    model = onnx.load_model_from_string(grey_model())
    nodes = list(model.graph.node)
    (last,) = [index for index, node in enumerate(nodes) if list(node.output) == ["map"]]
    (score,) = [node for node in nodes if node.op_type == "ReduceMean"]
    nodes[last].output[0], score.op_type = "spots", "ReduceMax"
    nodes.insert(last + 1, helper.make_node("Pow", ["spots", "power"], ["map"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(POWER, np.float32), "power"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def _scores(tiles: Pixels) -> Floats:
    count, side = len(tiles), tiles.shape[1] // SPOT_PX
    spots = tiles.reshape(count, side, SPOT_PX, side, SPOT_PX).mean((2, 4))
    found: Floats = ((spots.max((1, 2)) / 255) ** POWER).astype(np.float32)
    return found
