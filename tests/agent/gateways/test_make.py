"""Every kind of gateway has a sink, and a missing package is named with its remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from agent.clock import ManualClock
from agent.gateways.gateway import GatewayError, Sink
from agent.gateways.make import make_sink
from agent.settings.gateways import Gateway
from tests.agent.outbox.rows import TOPICS

ROOT = Path(__file__).parents[3]


def made(**values: object) -> Sink:
    return make_sink(
        TypeAdapter[Gateway](Gateway).validate_python(values),
        topics=TOPICS,
        cameras=["top"],
        rules={"housing": ("top", "side")},
        clock=ManualClock(),
        interlock=lambda: False,
        bind=lambda wanted, arrived_ns: (),
    )


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"kind": "webhook", "url": "https://mes/"}, "WebhookSink"),
        ({"kind": "folder", "path": "results"}, "FolderSink"),
        ({"kind": "opcua"}, "OpcUaSink"),
        ({"kind": "modbus"}, "ModbusSink"),
        ({"kind": "sparkplug"}, "SparkplugSink"),
    ],
)
def test_each_kind_has_its_sink(values: dict[str, object], name: str) -> None:
    one = made(**values)
    assert type(one).__name__ == name
    one.close()  # a sink that was never open


@pytest.mark.parametrize(("kind", "package"), [("opcua", "asyncua"), ("modbus", "pymodbus")])
def test_a_missing_package_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, kind: str, package: str
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, f"agent.gateways.{kind}", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Missing(package), *sys.meta_path])
    with pytest.raises(GatewayError, match=rf"gateway {kind}: kind {kind} needs the package {package}; "):
        made(kind=kind)


class _Missing:
    """An import system in which `package` is not installed."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self._package)


def test_an_agent_without_those_gateways_does_not_import_their_packages() -> None:
    program = "import sys, agent.gateways.make; print({'asyncua', 'pymodbus'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "set()\n"
