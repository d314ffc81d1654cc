"""A GenICam source in a settings file is right, or refused in words, before any camera is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cameras.camera import CameraError
from agent.cameras.genicam import library
from agent.cameras.genicam.camera import GenicamCamera
from agent.cameras.make import make_camera
from agent.clock import ManualClock
from agent.settings import settings
from agent.settings.camera import GenicamSource

TEXT = """
cameras:
  - name: top
    source:
      kind: genicam
      address: {address}
      scan: {scan}
      features:
        - {{name: Width, value: 4096}}
        - {{name: ExposureTime, value: 20.0}}
        - {{name: ReverseX, value: true, optional: true}}
        - {{name: TriggerSource, value: Line1}}
        - {{name: EncoderReset}}
    web: {{window_lines: {window_lines}}}
"""


def source(address: str = "192.0.2.20", scan: str = "line", window_lines: int = 1024) -> GenicamSource:
    text = TEXT.format(address=address, scan=scan, window_lines=window_lines)
    loaded = settings.parse(text, name="a.yaml", base=Path("/etc"), environment={}).cameras[0].source
    assert isinstance(loaded, GenicamSource)
    return loaded


def test_features_keep_their_order_and_the_kind_of_their_values() -> None:
    written = [(write.name, write.value, write.optional) for write in source().features]
    assert written == [
        ("Width", 4096, False),
        ("ExposureTime", 20.0, False),
        ("ReverseX", True, True),
        ("TriggerSource", "Line1", False),
        ("EncoderReset", None, False),
    ]
    assert [type(value) for _, value, _ in written] == [int, float, bool, str, type(None)]


def test_a_camera_is_named_by_an_address_or_by_vendor_model_and_serial() -> None:
    assert source(address="Basler-raL4096-22334455").address == "Basler-raL4096-22334455"
    for address in ("192.0.2", "300.1.1.1", "camera"):
        with pytest.raises(settings.SettingsError, match=r"address: .*(IPv4|Vendor-Model-Serial)"):
            source(address=address)


def test_only_the_blocks_of_a_line_camera_make_a_web() -> None:
    with pytest.raises(settings.SettingsError, match="are for line cameras"):
        source(scan="area")
    assert source(scan="area", window_lines=0).scan == "area"


def test_the_source_has_its_camera_even_where_aravis_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "SONAME", "libaravis-of-nobody.so.0")
    library.load.cache_clear()
    try:
        camera = make_camera("top", source(), ManualClock())
        assert isinstance(camera, GenicamCamera)
        with pytest.raises(CameraError, match=r"apt-get install libaravis-0\.8-0, or pip install"):
            camera.open()
    finally:
        library.load.cache_clear()
