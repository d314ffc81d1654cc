"""What a machine can have is found without importing it, and what it lacks is said with a remedy."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.bundle import open_bundle
from agent.engines.choice import Machine, choose, lacks, look_around
from agent.engines.engine import EngineUnavailable
from agent.engines.gpu.device import Gpu, find_gpu
from agent.engines.open import open_engine
from agent.engines.table import RUNTIMES
from agent.settings import settings
from tests.agent.engines.small_bundle import write_small

ORIN = Gpu(name="Orin", capability="8.7", driver="12.6")
ALL = frozenset(module for kind in RUNTIMES for module in kind.modules)


def machine(*modules: str, gpu: Gpu | None = None, problem: str | None = None) -> Machine:
    return Machine(gpu=gpu, gpu_problem=problem, modules=frozenset(modules))


def names(found: Machine, **wanted: str) -> list[str]:
    return [kind.name for kind in choose(found, settings.Engine.model_validate(wanted)).kinds]


def test_a_default_install_has_openvino_only_and_nothing_to_complain_of() -> None:
    choice = choose(machine("openvino"), settings.Engine())
    assert [kind.name for kind in choice.kinds] == ["openvino"]
    assert choice.problems == ()


def test_everything_at_hand_is_tried_fastest_first() -> None:
    everything = Machine(gpu=ORIN, gpu_problem=None, modules=ALL)
    fastest = ["tensorrt", "torch_tensorrt", "eager-cuda", "openvino", "onnxruntime", "eager-cpu"]
    assert names(everything) == fastest
    assert names(everything, device="cpu") == fastest[3:]
    assert names(everything, device="cuda") == fastest[:3]
    assert names(everything, kind="openvino") == ["openvino", *(one for one in fastest if one != "openvino")]


def test_an_engine_that_was_named_and_is_missing_is_a_problem_and_others_stand_in() -> None:
    choice = choose(machine("openvino"), settings.Engine(kind="tensorrt"))
    assert [kind.name for kind in choice.kinds] == ["openvino"]
    assert "tensorrt needs tensorrt, cuda; install JetPack's" in choice.problems[0]


def test_a_driver_that_does_not_work_is_said_unless_the_gpu_is_not_wanted() -> None:
    broken = machine("openvino", problem="GPU: cuInit failed with 803")
    assert choose(broken, settings.Engine()).problems == ("GPU: cuInit failed with 803",)
    assert choose(broken, settings.Engine(device="cpu")).problems == ()


@given(st.sets(st.sampled_from(sorted(ALL))), st.booleans(), st.sampled_from(["auto", "cuda", "cpu"]))
def test_no_engine_is_tried_that_lacks_anything(modules: set[str], has_gpu: bool, device: str) -> None:
    found = machine(*modules, gpu=ORIN if has_gpu else None)
    wanted = settings.Engine.model_validate({"device": device})
    for kind in choose(found, wanted).kinds:
        assert set(kind.modules) <= modules
        assert kind.device == "cpu" or has_gpu
        assert lacks(found, wanted, kind) is None


@pytest.mark.parametrize("kind", ["tensorrt", "torch_tensorrt"])
def test_a_gpu_engine_that_is_asked_for_by_name_is_refused_with_the_remedy(tmp_path: Path, kind: str) -> None:
    bundle = open_bundle(write_small(tmp_path / "small"))
    wanted = settings.Engine.model_validate({"kind": kind})
    with pytest.raises(EngineUnavailable, match=f"{kind} needs an NVIDIA GPU and its driver"):
        open_engine(bundle, wanted, machine=Machine(gpu=None, gpu_problem=None, modules=ALL))


def test_eager_with_a_torch_for_the_cpu_runs_there_though_there_is_a_gpu(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this torch has a GPU")
    bundle = open_bundle(write_small(tmp_path / "small"))
    found = Machine(gpu=ORIN, gpu_problem=None, modules=ALL)
    engine = open_engine(bundle, settings.Engine(kind="eager"), machine=found)
    assert engine.describe().device == "cpu"


def test_looking_around_imports_no_runtime() -> None:
    code = (
        "import sys; from agent.engines.choice import look_around; print(sorted(look_around().modules)); "
        "assert not {'torch', 'onnxruntime', 'openvino', 'onnx'} & set(sys.modules), sys.modules"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "openvino" in found.stdout
    assert look_around().modules


class FakeDriver:
    """libcuda as ctypes sees it; `fails` names the call that does, with its CUresult."""

    def __init__(self, fails: tuple[str, int] = ("", 0)) -> None:
        self.fails = fails

    def __getattr__(self, call: str) -> object:
        def answer(*arguments: object) -> int:
            if call == self.fails[0]:
                return self.fails[1]
            if call == "cuDriverGetVersion":
                _int(arguments[0]).value = 12060
            elif call == "cuDeviceGetName":
                arguments[0].value = b"Orin"  # type: ignore[attr-defined]
            elif call == "cuDeviceGetAttribute":
                _int(arguments[0]).value = {75: 8, 76: 7}[int(arguments[1])]  # type: ignore[call-overload]
            elif call == "cuGetErrorString":
                text = ctypes.cast(arguments[1], ctypes.POINTER(ctypes.c_char_p))  # type: ignore[arg-type]
                text[0] = b"system has unsupported display driver / cuda driver combination"
            return 0

        return answer


def _int(reference: object) -> ctypes.c_int:
    return reference._obj  # type: ignore[attr-defined,no-any-return]


def test_the_driver_says_name_capability_and_version() -> None:
    assert find_gpu(lambda name: FakeDriver()) == ORIN


def test_no_driver_and_no_device_are_no_gpu() -> None:
    def missing(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    assert find_gpu(missing) is None
    assert find_gpu(lambda name: FakeDriver(("cuInit", 100))) is None


@pytest.mark.parametrize("call", ["cuInit", "cuDriverGetVersion", "cuDeviceGet", "cuDeviceGetName"])
def test_a_driver_that_fails_is_named_with_its_code_and_the_remedy(call: str) -> None:
    with pytest.raises(
        EngineUnavailable, match=rf"{call} of libcuda\.so\.1 failed with 803: .*combination; .*update"
    ):
        find_gpu(lambda name: FakeDriver((call, 803)))
