"""A station for proofs: bundles whose score is the mean grey value, and an archive of grey frames.

A frame of grey value `level` scores level / 255; the incumbent's threshold is 0.5, thus 127.5.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from agent.archive import entry, files
from agent.bundle.bundle import Bundle, open_bundle, with_digests, write_bundle
from agent.clock import SystemClock
from agent.remote.proof.document import Found, Order, Step
from agent.remote.proof.prover import Prover, folder_of
from agent.remote.proof.work import prove
from agent.settings import archive as archive_settings
from agent.settings import camera as camera_settings
from agent.settings import recipes as recipe_settings
from agent.settings import remote as remote_settings
from agent.settings import settings
from tests.agent.archive.records import evidence, frame, inspection, verdict
from tests.agent.engines.small_bundle import (
    STRIDE_PX,
    THRESHOLD,
    TILE_PX,
    scores_of,
    small_files,
    small_manifest,
    small_tiles,
)

GREYS = (20, 60, 100, 116, 140, 160, 200, 235)  # four pass, four fail


def write_grey(path: Path, *, counter: int = 1, threshold: float = THRESHOLD, gain: float = 1.0) -> Bundle:
    """A small bundle whose score is `gain` times the mean grey value."""
    files_ = small_files(model=grey_model(gain), scores=np.float32(gain) * scores_of(small_tiles()))
    manifest = small_manifest(files_)
    own = manifest.threshold.model_copy(update={"raw": threshold})
    manifest = manifest.model_copy(update={"counter": counter, "threshold": own})
    write_bundle(path, with_digests(manifest, files_), files_, None)
    return open_bundle(path)


def grey_model(gain: float = 1.0) -> bytes:
    cells = TILE_PX // STRIDE_PX
    constants = {
        "white": np.array(255 / gain, np.float32),
        "channel_axis": np.array([1], np.int64),
        "map_axes": np.array([1, 2], np.int64),
    }
    shape = [STRIDE_PX, STRIDE_PX]
    nodes = [
        helper.make_node("Cast", ["tiles"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["grey"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "white"], ["share"]),
        helper.make_node("AveragePool", ["share"], ["cells"], kernel_shape=shape, strides=shape),
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
    return bytes(model.SerializeToString())


@dataclass(kw_only=True)
class Station:
    """Its folders below one; `limits` are its settings of remote.proof."""

    folder: Path
    limits: dict[str, Any] = field(default_factory=dict)
    has_archive: bool = True
    threshold: float | None = None
    precision: settings.Precision = "f32"
    recipes: tuple[recipe_settings.Recipe, ...] = ()

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def settings(self) -> settings.Settings:
        return settings.Settings(
            bundle=self.folder / "serves",
            cameras=(camera_settings.Camera(name="top"),),
            engine=settings.Engine(kind="openvino", precision=self.precision),
            judge=settings.Judge(threshold=self.threshold),
            recipes=self.recipes,
            archive=archive_settings.Archive(folder=self.archive if self.has_archive else None),
            outbox=settings.Outbox(path=self.folder / "outbox.sqlite3", min_free_bytes=0),
            remote=remote_settings.Remote(
                proof=remote_settings.Proof(**{"frames": len(GREYS), "timeout_s": 240.0, **self.limits})
            ),
        )

    @property
    def proofs(self) -> Path:
        return folder_of(self.settings)

    def keep(
        self,
        greys: Sequence[int] = GREYS,
        *,
        camera: str = "top",
        first: int = 1,
        recipe_id: str = "default",
    ) -> list[Path]:
        """Frames of these grey values in the archive, as another recipe judged them."""
        kept = []
        for number, grey in enumerate(greys, first):
            image = np.full((40, 60, 1), grey, np.uint8)
            seen = frame(image, camera=camera, lines_lost=0)
            said = verdict(number, of=seen, camera=camera, name="pass" if grey < 70 else "fail")
            said = said.model_copy(update={"recipe_id": recipe_id})
            pieces = entry.compose(said, "ef" * 32, seen, inspection(evidence()))
            path = files.place(self.archive, said.result_id, said.created)
            path.parent.mkdir(parents=True, exist_ok=True)
            files.put(path, pieces)
            kept.append(path)
        return kept

    def order(self, candidate: Bundle, parent: int = 0) -> Order:
        order = Prover(wanted=self.settings).order_of(candidate.path, self.settings.bundle)
        return order.model_copy(update={"parent": parent or os.getpid()})

    def prove_here(self, candidate: Bundle, steps: list[Step] | None = None) -> Found:
        """In this very process."""
        told: list[Step] = [] if steps is None else steps
        return prove(self.order(candidate), SystemClock(), told.append)

    def prove(self, candidate: Bundle) -> Found:
        """In a process of its own, decided by the limits."""
        wanted = self.settings
        return Prover(wanted=wanted).prove(candidate.path, wanted.bundle, cancelled=lambda: False)
