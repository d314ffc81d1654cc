"""The part of the AsyncAPI document about bundles that come through the broker in pieces."""

from __future__ import annotations

import hashlib
from typing import Any

from agent.contract.chunks import MAX_CHUNK_BYTES, Chunk, ChunkRefusal, ChunkRequest, encode_chunk
from agent.contract.payloads import JSON
from agent.contract.topics import TOPICS
from agent.schemas import examples

MODELS = (ChunkRequest, Chunk, ChunkRefusal)
PARAMETERS = ("site", "area", "line", "station")

Json = dict[str, Any]


def channels(prefix: str) -> Json:
    """`prefix` is that of a station's topics."""
    return {
        "bundle_get": _channel(f"{prefix}/bundle/get", "chunk_request"),
        "bundle_data": _channel(f"{prefix}/bundle/data", "chunk", "chunk_refusal"),
    }


def operations() -> Json:
    return {
        "send_bundle_get": {
            **_operation("send", "bundle_get", "chunk_request"),
            "summary": "Ask for a piece of a bundle that an instruction names with a source of kind mqtt.",
            "reply": {
                "channel": {"$ref": "#/channels/bundle_data"},
                "messages": [
                    {"$ref": f"#/channels/bundle_data/messages/{name}"} for name in ("chunk", "chunk_refusal")
                ],
            },
        },
        "receive_bundle_data": _operation("receive", "bundle_data", "chunk", "chunk_refusal"),
    }


def messages() -> Json:
    content = b"one"
    request = ChunkRequest(
        request="0123456789abcdef",
        bundle=hashlib.sha256(b"manifest").hexdigest(),
        file="model.onnx",
        offset=0,
        count=MAX_CHUNK_BYTES,
    )
    chunk = Chunk(
        request=request.request,
        bundle=request.bundle,
        file=request.file,
        offset=request.offset,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        fin=hashlib.sha256(content).hexdigest(),
    )
    refusal = ChunkRefusal(request=request.request, code=404, message="there is no such bundle here")
    return {
        "chunk_request": {
            "name": "plumbline.chunk-request/1",
            "contentType": JSON,
            "summary": "A piece of a file is wanted.",
            "payload": {"$ref": "#/components/schemas/ChunkRequest"},
            "examples": [{"payload": examples.plain(request)}],
        },
        "chunk": {
            "name": "plumbline.chunk/1",
            "contentType": "application/octet-stream",
            "summary": "A piece of a file.",
            "description": _CHUNK,
            "payload": {"type": "string", "format": "binary"},
            "examples": [{"payload": encode_chunk(chunk, content).decode()}],
        },
        "chunk_refusal": {
            "name": "plumbline.chunk-refusal/1",
            "contentType": "application/octet-stream",
            "summary": "There is no such piece, or not now.",
            "payload": {"$ref": "#/components/schemas/ChunkRefusal"},
            "examples": [{"payload": examples.plain(refusal)}],
        },
    }


def _channel(address: str, *names: str) -> Json:
    return {
        "address": address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS},
    }


def _operation(action: str, channel: str, *names: str) -> Json:
    delivery = TOPICS["bundle_get" if channel == "bundle_get" else "bundle_data"]
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
        "bindings": {
            "mqtt": {"qos": delivery.qos, "retain": delivery.retain, "bindingVersion": "0.2.0"},
        },
    }


_CHUNK = f"""
The first line is JSON, #/components/schemas/Chunk; a line feed ends it, and the bytes follow, at most
{MAX_CHUNK_BYTES} and at most as many as were asked for. Fewer are good, too: the station asks for the rest.
A station takes what has the `request` of one of its own and begins where it asked, and asks again for what
does not come. The last bytes of a file come with `fin`, and an offset at its end gets `fin` alone, however
often it is asked. What belongs into a file is decided by the digests in the bundle's signed manifest.
""".strip()
