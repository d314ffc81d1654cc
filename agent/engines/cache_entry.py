"""What a cached engine is kept under, and its bytes on disk: pure.

    PLUMBLINE-ENGINE/1
    sha256 of the next line
    {"key": {...}, "build_s": 41.2, "parts": [{"name": "batch-1", "bytes": 123, "sha256": "..."}, ...]}
    the parts, one after the other

The key holds everything that could make a compiled engine wrong here: another bundle, graph, runtime,
device, driver, precision, batch size or flag has another key, so what was built elsewhere is not found.
No pickle: parts are the runtime's own serialised engines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from agent.bundle.bundle import MODEL, Bundle
from agent.engines.engine import BATCHES, EngineError
from agent.foreign import shown

MAGIC = b"PLUMBLINE-ENGINE/1\n"
LONGEST_BUILD_S = 1e7


class EntryDamaged(EngineError):
    """A cache entry is torn, changed or of something else; it has to be built anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Everything that a compiled engine depends on."""

    engine: str  # kind, as in the settings
    bundle: str  # name, for people
    bundle_sha256: str
    graph_sha256: str
    runtime: str  # name and version
    device: str
    capability: str  # compute capability of a GPU, instruction sets of a CPU
    driver: str
    precision: str
    batches: tuple[int, ...]
    flags: tuple[str, ...]  # of the builder

    def digest(self) -> str:
        return hashlib.sha256(_canonical(asdict(self)).encode()).hexdigest()

    def file_name(self) -> str:
        return f"{self.engine}-{self.digest()[:32]}.engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A serialised engine: its parts by name, and the seconds that building it took."""

    parts: Mapping[str, bytes]
    build_s: float


def key_of(
    bundle: Bundle,
    *,
    engine: str,
    runtime: str,
    device: str,
    capability: str,
    driver: str,
    precision: str,
    flags: tuple[str, ...],
) -> Key:
    """The key of this bundle's graph for one engine on one device, in the batch sizes of the line."""
    return Key(
        engine=engine,
        bundle=bundle.manifest.name,
        bundle_sha256=bundle.sha256,
        graph_sha256=hashlib.sha256(bundle.files[MODEL]).hexdigest(),
        runtime=runtime,
        device=device,
        capability=capability,
        driver=driver,
        precision=precision,
        batches=BATCHES,
        flags=flags,
    )


def encode(key: Key, entry: Entry) -> bytes:
    """The file's bytes."""
    header = {
        "key": asdict(key),
        "build_s": entry.build_s,
        "parts": [
            {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in entry.parts.items()
        ],
    }
    line = _canonical(header).encode()
    digest = hashlib.sha256(line).hexdigest().encode()
    return b"".join((MAGIC, digest, b"\n", line, b"\n", *entry.parts.values()))


def decode(data: bytes, key: Key) -> Entry:
    """The entry in `data`. Raises EntryDamaged unless every byte is there, unchanged, and of this key."""
    header, rest = _split(data)
    if header["key"] != json.loads(_canonical(asdict(key))):
        raise EntryDamaged("it is of another bundle, runtime or device")
    parts: dict[str, bytes] = {}
    start = 0
    for part in header["parts"]:
        found = rest[start : start + part["bytes"]]
        if hashlib.sha256(found).hexdigest() != part["sha256"]:
            raise EntryDamaged(f"its part {shown(part['name'])} is cut short or was changed")
        parts[part["name"]] = found
        start += part["bytes"]
    if start != len(rest):
        raise EntryDamaged(f"{len(rest) - start} bytes follow its last part")
    return Entry(parts=parts, build_s=header["build_s"])


def read_header(head: bytes) -> tuple[dict[str, Any], int]:
    """The header from the beginning of a file, and the size that the whole file has. Raises EntryDamaged."""
    header, rest = _split(head)
    return header, len(head) - len(rest) + sum(part["bytes"] for part in header["parts"])


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    if not data.startswith(MAGIC):
        raise EntryDamaged("it does not begin as an engine of this version does")
    digest, found, rest = data[len(MAGIC) :].partition(b"\n")
    line, ended, parts = rest.partition(b"\n")
    if not found or not ended or hashlib.sha256(line).hexdigest().encode() != digest:
        raise EntryDamaged("its header is cut short or was changed")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        raise EntryDamaged("its header is no JSON") from None
    if not _is_header(header):
        raise EntryDamaged("its header is not one that this version writes")
    return header, parts


def _is_header(header: Any) -> bool:
    """Whoever wrote the header could hash it too, so its digest says nothing of its shape."""
    if not isinstance(header, dict) or set(header) != {"key", "build_s", "parts"}:
        return False
    key, build_s, parts = header["key"], header["build_s"], header["parts"]
    return (
        isinstance(key, dict)
        and set(key) == {field.name for field in fields(Key)}
        and all(isinstance(key[name], list if name in ("batches", "flags") else str) for name in key)
        and type(build_s) in (int, float)
        and 0 <= build_s < LONGEST_BUILD_S
        and isinstance(parts, list)
        and all(_is_part(part) for part in parts)
        and len({part["name"] for part in parts}) == len(parts)
    )


def _is_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and set(part) == {"name", "bytes", "sha256"}
        and isinstance(part["name"], str)
        and type(part["bytes"]) is int
        and part["bytes"] >= 0
        and isinstance(part["sha256"], str)
    )


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
