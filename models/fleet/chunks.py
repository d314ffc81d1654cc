"""Bundles in pieces through the broker, for stations that ask for them; the other side of what they do.

A station asks on its topic `bundle/get` and hears on its `bundle/data`. Any number of stations may ask at a
time: what is asked while enough answers wait to leave is answered with 429, and asked again by the station.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from pathlib import Path
from typing import Literal, Protocol

from paho.mqtt.client import MQTTMessageInfo

from agent.bundle.bundle import MANIFEST, MAX_MANIFEST_BYTES, SIGNATURE, Manifest, parse_manifest
from agent.bundle.files import BundleError, open_files
from agent.contract.chunks import Chunk, ChunkRefusal, ChunkRequest, encode_chunk, read_request
from agent.contract.inbound import Inbound
from agent.contract.payloads import encode
from agent.contract.topics import TOPICS, Delivery

ASKED = "plumbline/v1/+/+/+/+/bundle/get"
BYTES = "application/octet-stream"
ON_WAY = 64  # answers that wait to leave
KEPT_BYTES = 256 * 1024 * 1024  # of files that were read
PACKET_OVERHEAD_BYTES = 2048  # of an answer, beside the bytes
_GET, _DATA = "/bundle/get", "/bundle/data"


class Way(Protocol):
    """A connection to the broker."""

    @property
    def maximum_packet_bytes(self) -> int | None: ...

    def publish(
        self, topic: str, payload: bytes, delivery: Delivery, content_type: str
    ) -> MQTTMessageInfo: ...


class Shelf:
    """The bundles in a folder, by the digests of their manifests; `.plumb` files, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, tuple[Path, Manifest]] = {}
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def content(self, bundle: str, file: str) -> bytes | None:
        """A file as its manifest has it; None where there is no such file, or it is damaged."""
        kept = self._kept.get((bundle, file))
        if kept is not None:
            self._kept.move_to_end((bundle, file))
            return kept
        if bundle not in self._places:
            self._look_around()
        if bundle not in self._places:
            return None
        path, manifest = self._places[bundle]
        wanted = bundle if file == MANIFEST else manifest.files.get(file)
        if wanted is None and file != SIGNATURE:
            return None
        try:
            with open_files(path) as there:
                content = there.read(file)
        except (BundleError, KeyError):
            return None
        if wanted not in (None, hashlib.sha256(content).hexdigest()):
            return None
        self._kept[bundle, file] = content
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return content

    def _look_around(self) -> None:
        self._places.clear()
        try:
            there = sorted(self._folder.iterdir())
        except OSError:  # it may come back
            return
        for path in there:
            try:
                with open_files(path) as bundle:
                    content = bundle.read(MANIFEST, MAX_MANIFEST_BYTES)
                    is_signed = SIGNATURE in bundle.sizes
                manifest = parse_manifest(content, name=MANIFEST)
            except (BundleError, KeyError):  # no bundle
                continue
            sha256 = hashlib.sha256(content).hexdigest()
            if is_signed or sha256 not in self._places:  # the one that it was signed from may lie beside it
                self._places[sha256] = path, manifest


class ChunkServer:
    """Answers from a shelf. For one thread."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._way: Way | None = None
        self._on_way: deque[MQTTMessageInfo] = deque()

    def hear(self, inbound: Inbound, way: Way) -> None:
        """Answer a message on `ASKED` by the connection that it came with; what is no request is left."""
        request = read_request(inbound.payload)
        if request is None or not inbound.topic.endswith(_GET):
            return
        if way is not self._way:  # what waited on another connection has gone with it
            self._way = way
            self._on_way.clear()
        while self._on_way and self._on_way[0].is_published():
            self._on_way.popleft()
        if len(self._on_way) >= 2 * ON_WAY:
            return  # who gets no answer asks again, too
        if len(self._on_way) >= ON_WAY:
            answer = _refusal(request, 429, "too many ask at once; ask again")
        else:
            answer = self._answer(request, way.maximum_packet_bytes)
        topic = inbound.topic.removesuffix(_GET) + _DATA
        self._on_way.append(way.publish(topic, answer, TOPICS["bundle_data"], BYTES))

    def _answer(self, request: ChunkRequest, packet_bytes: int | None) -> bytes:
        content = self._shelf.content(request.bundle, request.file)
        if content is None:
            return _refusal(request, 404, "there is no such bundle here, or no such file in it")
        if request.offset > len(content):
            return _refusal(request, 416, f"the file has {len(content)} bytes")
        count = request.count
        if packet_bytes is not None:
            count = max(1, min(count, packet_bytes - PACKET_OVERHEAD_BYTES))
        piece = content[request.offset : request.offset + count]
        is_last = request.offset + len(piece) == len(content)
        header = Chunk(
            request=request.request,
            bundle=request.bundle,
            file=request.file,
            offset=request.offset,
            sha256=hashlib.sha256(piece).hexdigest(),
            size_bytes=len(content),
            fin=hashlib.sha256(content).hexdigest() if is_last else None,
        )
        return encode_chunk(header, piece)


def _refusal(request: ChunkRequest, code: Literal[404, 416, 429], message: str) -> bytes:
    return encode(ChunkRefusal(request=request.request, code=code, message=message))
