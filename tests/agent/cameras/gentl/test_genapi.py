"""A feature that the camera refuses is a mistake of the settings; a camera that does not answer is none."""

from __future__ import annotations

from typing import Any

import pytest

from agent.cameras.camera import CameraMisconfigured
from agent.cameras.gentl.genapi import Failures, write_features
from agent.settings.camera import FeatureWrite
from tests.gige.description import describe

genapi = pytest.importorskip("genicam.genapi", reason="needs genicam 1.4.0")
gentl = pytest.importorskip("genicam.gentl", reason="needs genicam 1.4.0")
FAILURES = Failures(
    every=(genapi.GenericException, gentl.GenericException),
    silent=(gentl.TimeoutException, gentl.IoException),
)
EXPOSURE = FeatureWrite(name="ExposureTime", value=20.0)


def node_map(failure: Exception) -> tuple[Any, Any]:
    """Of a camera that can be read, and answers every write so; the port must live as long."""

    class Port(genapi.AbstractPort):  # type: ignore[misc,name-defined]
        def read(self, address: int, size: int) -> bytes:
            return (1024).to_bytes(size, "big")

        def write(self, address: int, value: bytes) -> None:
            raise failure

        def get_access_mode(self) -> Any:
            return genapi.EAccessMode.RW

    port, made = Port(), genapi.NodeMap()
    made.load_xml_from_string(describe().decode())
    made.connect(port, "Device")
    return made, port


@pytest.mark.parametrize("silence", FAILURES.silent)
def test_a_camera_that_does_not_answer_is_no_mistake_of_the_settings(silence: type[Exception]) -> None:
    nodes, _port = node_map(silence("nothing came"))
    with pytest.raises(silence, match="nothing came"):
        write_features(nodes, [EXPOSURE], camera="top", failures=FAILURES)


def test_a_camera_that_refuses_a_value_is_told_with_it() -> None:
    nodes, _port = node_map(gentl.AccessDeniedException("locked"))
    with pytest.raises(CameraMisconfigured, match=r"feature ExposureTime \(got 20.0\): .* it takes 1.0 to "):
        write_features(nodes, [EXPOSURE], camera="top", failures=FAILURES)
