"""Tiles a second beside networks of the shape of published detectors, on one engine: a table in README.md.

    python -m tests.benchmarks.bench_peers [--rounds 9]

256 x 256 tiles; every network is exported to ONNX and runs on OpenVINO, by turns with the shipped student.
Speed alone: the peers are untrained (tests/benchmarks/peer_networks.py).
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from agent.bundle.bundle import open_bundle
from agent.demo.bench import machine
from models.parts.features import Features, LaterFeatures
from models.student.student import FEATURE_STAGES, PRESETS, REMEMBERED_STAGES, Student
from tests.benchmarks.peer_networks import SIDE_PX, EfficientAd, PatchMemory, Reverse
from tests.benchmarks.turns import take_turns

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"
OURS = "Plumbline's student"
PEERS: dict[str, Callable[[], nn.Module]] = {
    "patch memory, 10,000 patches": PatchMemory,
    "EfficientAD-S-shaped": EfficientAd,
    "RD4AD-shaped": Reverse,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    bundle = open_bundle(SAMPLE)
    torch.manual_seed(0)
    graphs, costs = {OURS: bundle.model}, {OURS: giga_macs(untrained_student(), bundle.golden()[0][:1])}
    images = np.random.default_rng(0).random((4, 3, SIDE_PX, SIDE_PX), np.float32) * 2 - 1
    for name, build in PEERS.items():
        network = build().eval().requires_grad_(False)
        costs[name], graphs[name] = (
            giga_macs(network, images[:1]),
            exported(network, torch.from_numpy(images[:2])),
        )
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, OpenVINO {ov.get_version()}, {rounds} rounds")
    print(
        "| network | precision | GMAC a tile | batch 1, tiles/s | batch 4, tiles/s | student is faster by |"
    )
    print("|---|---|---|---|---|---|")
    for precision in ("f32", "bf16"):
        by_batch = []
        for batch in (1, 4):
            given = dict.fromkeys(graphs, images[:batch]) | {OURS: bundle.golden()[0][:batch]}
            calls = {name: compiled(graph, given[name], precision) for name, graph in graphs.items()}
            by_batch.append(take_turns(calls, rounds))
        alone, four = by_batch
        for name in graphs:
            print(
                f"| {name} | {precision} | {costs[name]:.1f} | {1 / alone.best_s(name):.0f} "
                f"| {4 / four.best_s(name):.0f} | {four.times_faster(OURS, name):.1f} |",
                flush=True,
            )


def untrained_student() -> Student:
    return (
        Student(
            PRESETS["edge"], Features(FEATURE_STAGES), LaterFeatures(REMEMBERED_STAGES, FEATURE_STAGES[-1])
        )
        .eval()
        .requires_grad_(False)
    )


def giga_macs(network: nn.Module, given: Any) -> float:
    """Multiplications of one tile in convolutions and matrix products, in 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.from_numpy(given))
    return counter.get_total_flops() / 2e9


def exported(network: nn.Module, example: Tensor) -> bytes:
    """ONNX with a free batch, from an example of two."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own dependencies warn of their future
        path = Path(folder) / "model.onnx"
        batch = torch.export.Dim("batch", min=1, max=64)
        torch.onnx.export(
            network,
            (example,),
            path,
            dynamo=True,
            opset_version=18,
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )
        return path.read_bytes()


def compiled(graph: bytes, given: Any, precision: str) -> Callable[[], object]:
    """A call that runs the graph on these inputs, compiled for their shape as the device's engine does."""
    core = ov.Core()
    model = core.read_model(graph)
    model.reshape(list(given.shape))
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    return lambda: request.infer([given])


if __name__ == "__main__":
    main()
