"""Which engines a machine can have, best first: a table, and pure rules over what was found.

Speeds are not measured at start-up: the order is that of every machine which was measured, and golden scores
decide whether an engine may serve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, TypeAlias

from agent.engines.engine import EngineUnavailable
from agent.engines.gpu.device import Gpu, find_gpu
from agent.settings import settings

Device: TypeAlias = Literal["cuda", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One row of the table."""

    kind: str  # as in the settings
    device: Device
    modules: tuple[str, ...]  # without one of them it is not there
    remedy: str
    slow: bool = False  # it compiles for minutes
    cached: bool = False  # what it compiled is kept

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.device}" if self.kind == "eager" else self.kind


RANKING: tuple[Kind, ...] = (
    Kind(
        kind="tensorrt",
        device="cuda",
        modules=("tensorrt", "cuda"),
        remedy="install JetPack's python3-libnvinfer or the tensorrt of your CUDA, and 'plumbline[tensorrt]'",
        slow=True,
        cached=True,
    ),
    Kind(
        kind="torch_tensorrt",
        device="cuda",
        modules=("torch", "onnx", "torch_tensorrt"),
        remedy="install 'plumbline[torch-tensorrt]' from NVIDIA's package index",
        slow=True,
    ),
    Kind(
        kind="eager",
        device="cuda",
        modules=("torch", "onnx"),
        remedy="install a torch that is built for CUDA, and onnx",
    ),
    Kind(
        kind="openvino",
        device="cpu",
        modules=("openvino",),
        remedy="install plumbline again: openvino belongs to it",
        cached=True,
    ),
    Kind(kind="onnxruntime", device="cpu", modules=("onnxruntime",), remedy="install 'plumbline[ort]'"),
    Kind(kind="eager", device="cpu", modules=("torch", "onnx"), remedy="install 'plumbline[lab]'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was found."""

    gpu: Gpu | None
    gpu_problem: str | None  # a GPU or driver that is there and does not work
    modules: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Engines in the order in which they are tried, and what people should know of those left out."""

    kinds: tuple[Kind, ...]
    problems: tuple[str, ...]


def look_around(
    is_there: Callable[[str], object] = find_spec, gpu: Callable[[], Gpu | None] = find_gpu
) -> Machine:
    """The machine's GPU and installed runtimes; nothing heavy is imported."""
    modules = {module for kind in RANKING for module in kind.modules}
    found, problem = None, None
    try:
        found = gpu()
    except EngineUnavailable as error:
        problem = str(error)
    present = frozenset(module for module in modules if is_there(module) is not None)
    return Machine(gpu=found, gpu_problem=problem, modules=present)


def choose(machine: Machine, wanted: settings.Engine) -> Choice:
    """The wanted kind first, then the others of the table, which serve where it cannot.

    With `auto` an engine whose runtime is not installed is no problem; one that was asked for by name is.
    """
    kinds, problems = [], []
    if machine.gpu_problem is not None and wanted.device != "cpu":
        problems.append(machine.gpu_problem)
    first = [kind for kind in RANKING if kind.kind == wanted.kind]
    for kind in [*first, *(kind for kind in RANKING if kind not in first)]:
        reason = lacks(machine, wanted, kind)
        if reason is None:
            kinds.append(kind)
        elif kind in first and not (kind.kind == "eager" and kind.device == "cuda"):
            problems.append(reason)  # eager falls from the GPU to the CPU without a word
    return Choice(kinds=tuple(kinds), problems=tuple(problems))


def lacks(machine: Machine, wanted: settings.Engine, kind: Kind) -> str | None:
    """Why this machine cannot have the engine; None when it may."""
    if wanted.device not in ("auto", kind.device):
        return f"engine.device: {kind.kind} does not run on {wanted.device}; set auto or another kind"
    missing = [module for module in kind.modules if module not in machine.modules]
    if missing:
        return f"engine.kind: {kind.kind} needs {', '.join(missing)}; {kind.remedy}"
    if kind.device == "cuda" and machine.gpu is None:
        return f"engine.kind: {kind.kind} needs an NVIDIA GPU and its driver; set openvino, or auto"
    return None
