"""What happens to a camera's frames before the ring: corrected, then cut into windows."""

from __future__ import annotations

from dataclasses import replace

from agent.messages import Frame
from agent.web.flatfield import FlatField
from agent.web.windows import Item, Web


class Corrected:
    """A web behind a flat field; `push` raises FlatFieldError when the correction does not fit the frame."""

    def __init__(self, web: Web, flat_field: FlatField | None) -> None:
        self.joins_blocks = web.window_lines > 0
        self._web = web
        self._flat_field = flat_field

    @property
    def lines_repeated(self) -> int:
        return self._web.lines_repeated

    def push(self, item: Item) -> list[Item]:
        if isinstance(item, Frame) and self._flat_field is not None:
            item = replace(item, image=self._flat_field.correct(item.image))
        return self._web.push(item)

    def flush(self) -> list[Item]:
        return self._web.flush()
