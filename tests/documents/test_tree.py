"""Documents name what is there and nothing else: rooms, README's tree, relative links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents.blocks import ROOT, blocks, documents

README_LINES = 160
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def rooms() -> list[str]:
    """Folders with Python files directly below agent/ and models/."""
    found = {path.parent for top in ("agent", "models") for path in (ROOT / top).glob("*/*.py")}
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def tree() -> list[str]:
    """The paths that README's tree names: two spaces for each level, what it is two or more behind."""
    (block,) = [block for block in blocks("README.md") if block.language == "text"]
    named: list[str] = []
    above: list[str] = []
    for line in block.text.splitlines():
        level = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        above = [*above[:level], name.rstrip("/")]
        named.append("/".join(above))
    return named


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Of the headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_a_stranger_reads_the_readme_in_one_sitting() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


@pytest.mark.parametrize("room", rooms())
def test_every_room_stands_in_the_tree_and_in_the_architecture(room: str) -> None:
    assert room in tree()
    assert f"`{room}/`" in text_of("ARCHITECTURE.md")


@pytest.mark.parametrize("top", ["agent", "models"])
def test_the_rooms_of_the_architecture_go_from_the_ground_up_as_imports_do(top: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (layers,) = re.findall(rf'containers = \["{top}"\].*?\nlayers = (\[.*?\])\n', text, re.DOTALL)
    height = {
        room: -number
        for number, layer in enumerate(re.findall(r'"(.+?)"', layers))
        for room in layer.split(" | ")
    }
    told = re.findall(rf"^\| `{top}/(\w+)/`", text_of("ARCHITECTURE.md"), re.MULTILINE)
    heights = [height[room] for room in told if room in height]
    assert heights == sorted(heights) and len(heights) > 6


def test_the_tree_names_nothing_twice_and_nothing_that_is_not_there() -> None:
    assert len(set(tree())) == len(tree())
    assert [path for path in tree() if not (ROOT / path).exists()] == []


def test_the_architecture_names_no_file_or_folder_that_is_not_there() -> None:
    text = FENCED.sub("", text_of("ARCHITECTURE.md"))
    named = re.findall(r"`((?:agent|models|tests|config|deploy)/[\w./-]*)`", text)
    assert len(named) > 100
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_room_says_which_files_of_it_to_read_first() -> None:
    rows = re.findall(
        r"^\| ((?:`[\w/]+/`(?:, )?)+) \|.*\| (.+) \|$", text_of("ARCHITECTURE.md"), re.MULTILINE
    )
    assert len(rows) > 30
    for cell, files in rows:
        folders = [ROOT / folder for folder in re.findall(r"`([\w/]+/)`", cell)]
        for file in re.findall(r"`([\w./]+)`", files):
            assert any((folder / file).exists() for folder in folders), f"{cell}: {file}"


@pytest.mark.parametrize("name", documents())
def test_every_relative_link_of_a_document_leads_somewhere(name: str) -> None:
    text = text_of(name)
    for path, anchor in LINK.findall(FENCED.sub("", text)):
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {path}"
        if anchor and Path(target).suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{name}: {path}{anchor}"
