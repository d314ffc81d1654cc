"""What torch-tensorrt would make of the student, on a machine without a GPU: one line of JSON.

    DRYRUN_ENV/bin/python -m tests.tensorrt.dryrun     (`make trt-dryrun` makes the environment)

Untrained weights: partitioning depends on operators and shapes alone. The RTX build of torch-tensorrt asks
CUDA about the device while it is imported, so stand-ins answer for it; versions are pinned, because these are
private names. Nothing is built and nothing runs: coverage and graph breaks are all that this shows. The
last cast of the restoration to uint8 is left out, because torch-tensorrt makes no uint8 outputs: with it,
306 of 307 operators are in the one engine and that cast follows it in torch.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from models.parts.features import Features, LaterFeatures
from models.student.student import FEATURE_STAGES, PRESETS, REMEMBERED_STAGES, Student

CAPABILITY = (8, 6)
TILE_PX = 256
REPORT = re.compile(r"consists of (\d+) Total Operators, of which (\d+) operators are supported, ([\d.]+)%")


def main() -> None:
    torch_tensorrt = imported()
    found = {f"batch {batch}": partition(torch_tensorrt, batch) for batch in (1, 4)}
    print(json.dumps({"torch_tensorrt": torch_tensorrt.__version__, **found}))


class Judge(nn.Module):
    """The student up to that cast."""

    def __init__(self) -> None:
        super().__init__()
        self.student = Student(
            PRESETS["edge"], Features(FEATURE_STAGES), LaterFeatures(REMEMBERED_STAGES, FEATURE_STAGES[-1])
        )

    def forward(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.student.judge(tiles)


def partition(torch_tensorrt: Any, batch: int) -> dict[str, float | int]:
    """Operators, how many of them TensorRT takes, and the engines that they would become."""
    torch.manual_seed(0)
    judge = Judge().eval().requires_grad_(False)
    tiles = torch.zeros((batch, TILE_PX, TILE_PX, PRESETS["edge"].channels), dtype=torch.uint8)
    program = torch.export.export(judge, (tiles,))
    with contextlib.redirect_stdout(io.StringIO()) as text:
        torch_tensorrt.dynamo.compile(
            program,
            arg_inputs=[torch_tensorrt.Input(tuple(tiles.shape), dtype=torch.uint8)],
            dryrun=True,
            min_block_size=1,
        )
    report = REPORT.search(text.getvalue())
    if report is None:
        raise SystemExit(f"the dry run said nothing of coverage:\n{text.getvalue()}")
    return {
        "operators": int(report[1]),
        "supported": int(report[2]),
        "engines": len(re.findall(r"TRT Engine #\d+ - Submodule name", text.getvalue())),
    }


def imported() -> Any:
    """torch_tensorrt, with a made-up GPU to ask and without its compiled runtime, which needs CUDA."""
    device = types.SimpleNamespace(
        name="none", major=CAPABILITY[0], minor=CAPABILITY[1], total_memory=8 << 30, multi_processor_count=16
    )
    answers: dict[str, Any] = {
        "get_device_capability": CAPABILITY,
        "current_device": 0,
        "set_device": None,
        "device_count": 1,
        "get_device_name": "none",
        "get_device_properties": device,
        "synchronize": None,
        "empty_cache": None,
        "mem_get_info": (8 << 30, 8 << 30),
        "current_stream": None,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    if not hasattr(torch._C, "_CudaDeviceProperties"):
        torch._C._CudaDeviceProperties = type("Properties", (), {})  # type: ignore[misc]
    with without_runtime():
        import torch_tensorrt
    return torch_tensorrt


@contextlib.contextmanager
def without_runtime() -> Iterator[None]:
    real = os.path.isfile
    os.path.isfile = lambda path: (
        not str(path).endswith(  # type: ignore[assignment]
            ("libtorchtrt.so", "libtorchtrt_runtime.so")
        )
        and real(path)
    )
    try:
        yield
    finally:
        os.path.isfile = real


if __name__ == "__main__":
    main()
