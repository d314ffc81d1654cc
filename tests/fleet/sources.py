"""Where simulated stations get a bundle's bytes from; a source may lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Lie: TypeAlias = Literal["none", "truncated", "other_bytes", "endless"]
PIECE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Ware:
    """A bundle, as far as a simulated station looks at it: its bytes, and their digest for the manifest's."""

    id: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def content(self, url: str = "https://files.example/") -> dict[str, object]:
        """What a document says of it."""
        return {
            "target": {"id": self.id, "sha256": self.sha256, "size_bytes": len(self.data)},
            "sources": [{"kind": "https", "url": f"{url}{self.id}"}],
        }


@dataclass(slots=True, kw_only=True)
class Sources:
    """By digest; `lies` is what all of them do."""

    wares: dict[str, Ware] = field(default_factory=dict)
    lie: Lie = "none"

    def add(self, *wares: Ware) -> None:
        self.wares |= {one.sha256: one for one in wares}

    def pieces(self, sha256: str) -> Iterator[bytes]:
        data = self.wares[sha256].data
        if self.lie == "truncated":
            data = data[: len(data) // 2]
        if self.lie == "other_bytes":
            data = bytes(len(data))
        for at in range(0, len(data), PIECE):
            yield data[at : at + PIECE]
        while self.lie == "endless":
            yield bytes(PIECE)


def ware(id_: str) -> Ware:
    return Ware(id=id_, data=id_.encode() * 2000)
