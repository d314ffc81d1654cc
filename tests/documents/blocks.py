"""The fenced blocks of a document, and why one of them is not run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "INTEGRATING.md")
NOT_RUN = re.compile(r"<!-- not run: (.{5,}) -->")


class Block(NamedTuple):
    place: str  # file:line
    language: str
    text: str
    not_run: str | None  # the reason


def blocks(name: str) -> Iterator[Block]:
    """Of the document `name`, in order."""
    before, opened, text = "", 0, []
    language = ""
    for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            if opened:
                text.append(line)
            else:
                before = line
        elif opened:
            reason = NOT_RUN.fullmatch(before)
            yield Block(f"{name}:{opened}", language, "\n".join(text), reason and reason[1])
            opened, text = 0, []
        else:
            opened, language = number, line.removeprefix("```")
