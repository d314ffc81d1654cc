"""The fenced blocks of every document of the repository, and why one of them is not run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MADE = {"build", "dist", "runs", "sample-data"}  # by people who work here, and no part of the repository
FENCE = re.compile(r"\s*(```|~~~)")
MARK = re.compile(r"<!--\s*(?P<word>not run|file)\b.*")
NOT_RUN = re.compile(r"<!-- not run: (.{5,}) -->")
FILE = re.compile(r"<!-- file: ([a-z0-9.-]+) -->")


class Block(NamedTuple):
    place: str  # file:line
    language: str
    text: str
    not_run: str | None  # the reason
    file: str | None  # what the reader is told to save it as


def documents() -> list[str]:
    """Every Markdown file of the repository, from its root."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(path.as_posix() for path in found if not _left_out(path))


def _left_out(path: Path) -> bool:
    return path.parts[0] in MADE or any(part.startswith(".") for part in path.parts)


def blocks(name: str) -> Iterator[Block]:
    """Of the document `name`, in order."""
    return blocks_of(name, (ROOT / name).read_text(encoding="utf-8"))


def blocks_of(name: str, document: str) -> Iterator[Block]:
    """Of the text of a document that is called `name`."""
    before, opened, text = "", 0, []
    language = ""
    for number, line in enumerate(document.splitlines(), 1):
        if not line.startswith("```"):
            if opened:
                text.append(line)
            else:
                before = line
        elif opened:
            reason, file = NOT_RUN.fullmatch(before), FILE.fullmatch(before)
            yield Block(f"{name}:{opened}", language, "\n".join(text), reason and reason[1], file and file[1])
            opened, text, before = 0, [], ""
        else:
            opened, language = number, line.removeprefix("```")
    if opened:
        yield Block(f"{name}:{opened}", "without an end", "\n".join(text), None, None)


def faults(name: str, document: str) -> list[str]:
    """Blocks that no runner would find, and marks that belong to no block or give no reason."""
    found = list(blocks_of(name, document))
    told = [
        f"{block.place}: {block.language!r} is none of sh, yaml, json and text"
        for block in found
        if block.language not in {"sh", "yaml", "json", "text"}
    ]
    told += [
        f"{b.place}: only sh runs, so only sh is marked" for b in found if b.not_run and b.language != "sh"
    ]
    told += [f"{b.place}: sh is run, not saved" for b in found if b.file and b.language == "sh"]
    inside = False
    lines = document.splitlines()
    for number, line in enumerate(lines, 1):
        if FENCE.match(line) and not line.startswith("```"):
            told.append(f"{name}:{number}: a fence starts with three backticks in the first column")
        if line.startswith("```"):
            inside = not inside
        mark = None if inside else MARK.match(line.strip())
        if mark is None:
            continue
        if not (NOT_RUN if mark["word"] == "not run" else FILE).fullmatch(line):
            told.append(f"{name}:{number}: the mark has no reason, or no file")
        if not (number < len(lines) and lines[number].startswith("```")):
            told.append(f"{name}:{number}: no block begins in the line after the mark")
    return told
