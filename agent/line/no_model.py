"""What stands in the place of a bundle where none is whole: nothing is judged, all is recorded."""

from __future__ import annotations

from pathlib import Path

from agent.bundle.bundle import Bundle, GoldenSpec, InputSpec, Manifest, MapSpec, Provenance, Threshold
from agent.engines.serving import Serving
from agent.engines.switch import Switch
from agent.line.opened import OpenedBundle


def no_model(path: Path) -> OpenedBundle:
    """`path` is where a bundle should be. Its digest is empty, and its engine never serves."""
    engine = Switch()
    manifest = Manifest(
        name="none",
        counter=1,
        licence="",
        input=InputSpec(channels=1, tile_px=256, overlap_px=0, scale=1.0),
        map=MapSpec(stride_px=1, top=1, definition=""),
        threshold=Threshold(
            raw=1.0, target_false_reject_rate=0.5, interval=(1.0, 1.0), good_frames=1, source=""
        ),
        golden=GoldenSpec(tolerance_f32=1e-3, tolerance_bf16=1e-3),
        provenance=Provenance(method="", preset="", run="", data="", commands=(), features="", created=""),
        files={},
    )
    return OpenedBundle(
        bundle=Bundle(path=path, manifest=manifest, sha256="", files={}),
        engine=engine,
        serving=Serving([], engine),
    )
