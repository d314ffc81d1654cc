"""Which runtimes of the table a machine can have, best first: pure rules over what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from agent.engines.engine import EngineUnavailable
from agent.engines.gpu.device import Gpu, find_gpu
from agent.engines.table import RUNTIMES, Runtime
from agent.settings import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was found."""

    gpu: Gpu | None
    gpu_problem: str | None  # a GPU or driver that is there and does not work
    modules: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Engines in the order in which they are tried, and what people should know of those left out."""

    kinds: tuple[Runtime, ...]
    problems: tuple[str, ...]


def look_around(
    is_there: Callable[[str], object] = find_spec, gpu: Callable[[], Gpu | None] = find_gpu
) -> Machine:
    """The machine's GPU and installed runtimes; nothing heavy is imported."""
    modules = {module for kind in RUNTIMES for module in kind.modules}
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
    first = [kind for kind in RUNTIMES if kind.kind == wanted.kind]
    for kind in [*first, *(kind for kind in RUNTIMES if kind not in first)]:
        reason = lacks(machine, wanted, kind)
        if reason is None:
            kinds.append(kind)
        elif kind in first and not (kind.kind == "eager" and kind.device == "cuda"):
            problems.append(reason)  # eager falls from the GPU to the CPU without a word
    return Choice(kinds=tuple(kinds), problems=tuple(problems))


def lacks(machine: Machine, wanted: settings.Engine, kind: Runtime) -> str | None:
    """Why this machine cannot have the engine; None when it may."""
    if wanted.device not in ("auto", kind.device):
        return f"engine.device: {kind.kind} does not run on {wanted.device}; set auto or another kind"
    missing = [module for module in kind.modules if module not in machine.modules]
    if missing:
        return f"engine.kind: {kind.kind} needs {', '.join(missing)}; {kind.remedy}"
    if kind.device == "cuda" and machine.gpu is None:
        return f"engine.kind: {kind.kind} needs an NVIDIA GPU and its driver; set openvino, or auto"
    return None
