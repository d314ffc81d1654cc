"""No library reports to its maker from inside the agent or the workshop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import socket, sys
asked = []
socket.getaddrinfo = lambda host, *rest, **more: asked.append(host) or []
import {package}
from pathlib import Path
import onnxruntime
graph = Path("models/bundles/elpv/model.onnx").read_bytes()
onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
import openvino
openvino.Core().read_model("models/bundles/elpv/model.onnx")
print("asked", asked)
"""


@pytest.mark.parametrize("package", ["agent", "models"])
def test_an_engine_that_is_loaded_leaves_no_identifier_and_asks_for_no_host(
    tmp_path: Path, package: str
) -> None:
    pytest.importorskip("onnxruntime")
    kept = {
        name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "XDG_STATE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(package=package)],
        env={**kept, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "asked []"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
