"""What a process of ours says, line by line, and what it said last before it died."""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterator
from typing import IO

from agent.errors import PlumblineError
from agent.foreign import shown

LOOK_S = 0.25
LAST_WORDS = 300  # characters


def lines_of(pipe: IO[bytes], most_bytes: int, too_much: PlumblineError) -> Iterator[bytes | None]:
    """Until it says nothing more; None for each moment of silence. Raises `too_much` for a longer line."""
    unread = b""
    with selectors.DefaultSelector() as waits:
        waits.register(pipe, selectors.EVENT_READ)
        while True:
            if not waits.select(LOOK_S):
                yield None
                continue
            data = os.read(pipe.fileno(), 65_536)
            if not data:
                return
            *lines, unread = (unread + data).split(b"\n")
            if max(map(len, (unread, *lines))) > most_bytes:
                raise too_much
            yield from lines


def last_line(last_words: IO[bytes], program: str = "") -> str:
    """The last line of a file, to be told behind other words; empty where nothing was said."""
    last_words.seek(0)
    lines = last_words.read().decode(errors="replace").strip().splitlines()
    said = lines[-1].removeprefix(f"{program}: ") if lines else ""
    return f": {shown(said)[:LAST_WORDS]}" if said else ""
