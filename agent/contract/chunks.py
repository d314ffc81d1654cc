"""Bundles in pieces through the broker: what a station asks for, and what it gets.

A request is JSON. An answer is a line of JSON, a line feed, and the bytes: the same in MQTT 5 and 3.1.1.
Requests and answers are QoS 0: what was lost is asked for again.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.contract import strict_json
from agent.contract.strict_json import LARGEST_INTEGER

MAX_CHUNK_BYTES = 100_000
MAX_HEADER_BYTES = 2048

_Digest: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Bytes: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
_RequestId: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class ChunkRequest(_Part):
    """`plumbline.chunk-request/1`: one piece of one file of a bundle."""

    schema_: Literal["plumbline.chunk-request/1"] = Field(
        "plumbline.chunk-request/1", alias="schema", description="name and major version of this message"
    )
    request: _RequestId = Field(description="stands in the answer; random, another one for each request")
    bundle: _Digest = Field(description="SHA-256 of its manifest")
    file: str = Field(min_length=1, max_length=200, description="its name in the bundle")
    offset: _Bytes = Field(description="of the first byte that is wanted")
    count: int = Field(
        ge=1, le=MAX_CHUNK_BYTES, description="bytes that are wanted; the answer may have fewer"
    )


class Chunk(_Part):
    """`plumbline.chunk/1`: the first line of an answer; the bytes follow it."""

    schema_: Literal["plumbline.chunk/1"] = Field(
        "plumbline.chunk/1", alias="schema", description="name and major version of this message"
    )
    request: _RequestId = Field(description="that it answers")
    bundle: _Digest = Field(description="SHA-256 of its manifest")
    file: str = Field(min_length=1, max_length=200, description="its name in the bundle")
    offset: _Bytes = Field(description="of the first byte")
    sha256: _Digest = Field(description="of the bytes that follow the line")
    size_bytes: _Bytes = Field(description="of the whole file")
    fin: _Digest | None = Field(None, description="SHA-256 of the whole file, with its last bytes")


class ChunkRefusal(_Part):
    """`plumbline.chunk-refusal/1`: an answer without bytes."""

    schema_: Literal["plumbline.chunk-refusal/1"] = Field(
        "plumbline.chunk-refusal/1", alias="schema", description="name and major version of this message"
    )
    request: _RequestId = Field(description="that it answers")
    code: Literal[404, 416, 429] = Field(
        description="404: no such bundle or file; 416: the file ends before; 429: ask again later"
    )
    message: str = Field(max_length=400, description="one sentence for people")


def encode_chunk(header: Chunk, content: bytes) -> bytes:
    """An answer as it travels."""
    return header.model_dump_json(by_alias=True).encode() + b"\n" + content


def read_request(payload: bytes) -> ChunkRequest | None:
    """None for what is none."""
    found = _parsed(payload[:MAX_HEADER_BYTES], ChunkRequest)
    return found if isinstance(found, ChunkRequest) and len(payload) <= MAX_HEADER_BYTES else None


def read_answer(payload: bytes) -> tuple[Chunk | ChunkRefusal, bytes] | None:
    """None for what is none."""
    line, _, _ = payload[: MAX_HEADER_BYTES + 1].partition(b"\n")
    if len(line) > MAX_HEADER_BYTES:
        return None
    head = _parsed(line, Chunk) or _parsed(line, ChunkRefusal)
    if isinstance(head, Chunk | ChunkRefusal):
        return head, payload[len(line) + 1 :]
    return None


def _parsed(data: bytes, model: type[_Part]) -> _Part | None:
    try:
        return model.model_validate_json(json.dumps(strict_json.parse(data)))
    except (ValidationError, strict_json.StrictJsonError):
        return None
