"""The pictures of one result, as JPEG: from the board while it has them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from agent.page.sources import Sources
from agent.status.picture import Picture

Kind: TypeAlias = Literal["thumb", "input", "restored", "heat"]


def jpeg(sources: Sources, result_id: str, kind: str) -> bytes | None:
    """None where there is no such picture, or none any more."""
    found = _of_board(sources, result_id, kind)
    return None if found is None else found.jpeg()


def _of_board(sources: Sources, result_id: str, kind: str) -> Picture | None:
    frame, reject = sources.shown.frame(result_id), sources.shown.reject(result_id)
    small = None if frame is None else frame.picture
    if kind == "thumb":
        return small or (reject.input if reject else None)
    if reject is None:
        return small if kind == "input" else None
    return {"input": reject.input, "restored": reject.restored, "heat": reject.heat}.get(kind)
