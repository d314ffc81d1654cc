"""The GenICam description that the camera gives of itself, with names of the SFNC."""

from __future__ import annotations

from tests.gige.pixels import FORMATS
from tests.gige.registers import FEATURES, TEXTS

CHUNKS = {"ChunkEncoderValue": 0x12, "ChunkLineStatusAll": 0x13, "ChunkCounterValue": 0x14}
IMAGE_CHUNK = 0x1
USER_OUTPUTS = {"UserOutput0": 1, "UserOutput1": 2}
WIDTH_STEP = 4


def _register(name: str, address: int, mode: str = "RW", port: str = "Device") -> str:
    return (
        f'<IntReg Name="{name}Register"><Address>0x{address:x}</Address><Length>4</Length>'
        f"<AccessMode>{mode}</AccessMode><pPort>{port}</pPort><Cachable>NoCache</Cachable>"
        "<Sign>Unsigned</Sign><Endianess>BigEndian</Endianess></IntReg>"
    )


def _integer(name: str, *, mode: str = "RW", limits: str = "", locked: bool = False) -> str:
    lock = "<pIsLocked>TLParamsLocked</pIsLocked>" if locked else ""
    return (
        f'<Integer Name="{name}" NameSpace="Standard">{lock}<pValue>{name}Register</pValue>{limits}</Integer>'
        + _register(name, FEATURES[name], mode)
    )


def _float(name: str, thousandths: str, unit: str, low: float, high: float) -> str:
    """Kept in thousandths of its unit."""
    return (
        f'<Float Name="{name}" NameSpace="Standard"><pValue>{name}Converter</pValue>'
        f"<Min>{low}</Min><Max>{high}</Max><Unit>{unit}</Unit></Float>"
        f'<Converter Name="{name}Converter"><FormulaTo>(FROM * 1000)</FormulaTo>'
        f"<FormulaFrom>(TO / 1000.0)</FormulaFrom><pValue>{thousandths}</pValue></Converter>"
    ) + _register(name, FEATURES[name])


def _enumeration(name: str, entries: dict[str, int], mode: str = "RW") -> str:
    listed = "".join(
        f'<EnumEntry Name="{entry}" NameSpace="Standard"><Value>{value}</Value></EnumEntry>'
        for entry, value in entries.items()
    )
    return (
        f'<Enumeration Name="{name}" NameSpace="Standard">{listed}'
        f"<pValue>{name}Register</pValue></Enumeration>"
    ) + _register(name, FEATURES[name], mode)


def _boolean(name: str) -> str:
    return (
        f'<Boolean Name="{name}" NameSpace="Standard"><pValue>{name}Register</pValue>'
        "<OnValue>1</OnValue><OffValue>0</OffValue></Boolean>"
    ) + _register(name, FEATURES[name])


def _command(name: str) -> str:
    return (
        f'<Command Name="{name}" NameSpace="Standard"><pValue>{name}Register</pValue>'
        "<CommandValue>1</CommandValue></Command>"
    ) + _register(name, FEATURES[name], "WO")


def _text(name: str, mode: str) -> str:
    place, size = TEXTS[name]
    return (
        f'<StringReg Name="{name}" NameSpace="Standard"><Address>0x{place:x}</Address><Length>{size}</Length>'
        f"<AccessMode>{mode}</AccessMode><pPort>Device</pPort></StringReg>"
    )


def _chunk(name: str) -> str:
    return (
        f'<Integer Name="{name}" NameSpace="Standard"><pValue>{name}Register</pValue></Integer>'
        f'<Port Name="{name}Port"><ChunkID>{CHUNKS[name]:x}</ChunkID></Port>'
    ) + _register(name, 0, "RO", f"{name}Port")


def describe() -> bytes:
    """The whole description as XML."""
    span = "<Min>{}</Min><pMax>{}</pMax><Inc>{}</Inc>"
    formats = {name: code for name, (code, *_) in FORMATS.items()}
    categories = {
        "DeviceControl": [*TEXTS, "DeviceScanType"],
        "ImageFormatControl": ["Width", "Height", "WidthMax", "HeightMax", "PixelFormat"],
        "AcquisitionControl": [
            *("AcquisitionMode", "AcquisitionStart", "AcquisitionStop"),
            *("AcquisitionLineRate", "ExposureTime"),
        ],
        "EncoderControl": ["EncoderValue", "EncoderReset"],
        "DigitalIOControl": [
            *("LineSelector", "LineMode", "LineSource", "UserOutputSelector", "UserOutputValue"),
        ],
        "TransportLayerControl": ["PayloadSize", "TLParamsLocked"],
        "ChunkDataControl": ["ChunkModeActive", *CHUNKS],
    }
    named = "".join(f"<pFeature>{category}</pFeature>" for category in categories)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><RegisterDescription ModelName="SimLine"'
        ' VendorName="Plumbline" StandardNameSpace="GEV" SchemaMajorVersion="1"'
        ' SchemaMinorVersion="1" SchemaSubMinorVersion="0"'
        ' MajorVersion="1" MinorVersion="0" SubMinorVersion="0" ToolTip="" ProductGuid="0" VersionGuid="0"'
        ' xmlns="http://www.genicam.org/GenApi/Version_1_1">'
        f'<Category Name="Root" NameSpace="Standard">{named}</Category>'
        + "".join(
            f'<Category Name="{category}" NameSpace="Standard">'
            + "".join(f"<pFeature>{name}</pFeature>" for name in names)
            + "</Category>"
            for category, names in categories.items()
        )
        + "".join(_text(name, "RW" if name == "DeviceUserID" else "RO") for name in TEXTS)
        + _enumeration("DeviceScanType", {"Areascan": 0, "Linescan": 1}, "RO")
        + _integer("Width", limits=span.format(16, "WidthMax", WIDTH_STEP), locked=True)
        + _integer("Height", limits=span.format(1, "HeightMax", 1), locked=True)
        + _integer("WidthMax", mode="RO")
        + _integer("HeightMax", mode="RO")
        + _enumeration("PixelFormat", formats)
        + _enumeration("AcquisitionMode", {"Continuous": 0})
        + _command("AcquisitionStart")
        + _command("AcquisitionStop")
        + _float("AcquisitionLineRate", "AcquisitionLineRateRegister", "Hz", 1, 200_000)
        + _float("ExposureTime", "ExposureTimeRegister", "us", 1, 100_000)
        + _integer("EncoderValue", mode="RO")
        + _command("EncoderReset")
        + _enumeration("LineSelector", {"Line0": 0, "Line1": 1, "Line2": 2})
        + _enumeration("LineMode", {"Input": 0, "Output": 1})
        + _enumeration("LineSource", {"Off": 0, **USER_OUTPUTS})
        + _enumeration("UserOutputSelector", USER_OUTPUTS)
        + _boolean("UserOutputValue")
        + _boolean("ChunkModeActive")
        + _integer("PayloadSize", mode="RO")
        + _integer("TLParamsLocked")
        + "".join(_chunk(name) for name in CHUNKS)
        + '<Port Name="Device" NameSpace="Standard"></Port></RegisterDescription>'
    ).encode()
