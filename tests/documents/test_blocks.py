"""What documents tell people to type works in a fresh folder, and what is not tried here says why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from agent.bundle.bundle import open_bundle
from agent.messages import Samples
from agent.settings import settings
from tests.agent.engines.small_bundle import write_small
from tests.brokers import HOST, Mosquitto, free_port
from tests.documents.blocks import ROOT, Block, blocks, documents, faults

ALL = {name: list(blocks(name)) for name in documents()}
RUN = {
    name: [block for block in found if block.language == "sh" and block.not_run is None]
    for name, found in ALL.items()
}
STATIONS = [
    block
    for found in ALL.values()
    for block in found
    if block.language == "yaml" and "identity" in block.text
]
SMALL_MODEL = {"OPERATING.md"}  # most of its commands open an engine, which is what they would compute for
BLOCK_TIMEOUT_S = 480  # models/README.md trains; it takes 40 s alone, and ten times that beside eight others


def of_tree(folder: Path) -> Path:
    """A fresh folder in which the tree's files stand, and a reader's own pictures and parts."""
    for name in ("agent", "config", "deploy", "models"):
        (folder / name).symlink_to(ROOT / name)
    rng = np.random.default_rng(0)
    write(folder / "pictures", [rng.integers(90, 110, (300, 300), dtype=np.uint8) for _ in range(3)])
    write(folder / "parts/train/good", [part(rng) for _ in range(60)])
    write(folder / "parts/test/good", [part(rng) for _ in range(4)])
    write(folder / "parts/test/scratch", [scratched(part(rng), row) for row in range(20, 60, 10)])
    return folder


def with_small_model(folder: Path) -> None:
    """In place of the sample model, whose own numbers the blocks of README.md and tests/golden look at."""
    (folder / "models").unlink()
    (folder / "models/bundles").mkdir(parents=True)
    write_small(folder / "models/bundles/elpv")


def part(rng: np.random.Generator) -> Samples:
    """A piece of woven ground, each a little different."""
    clouds = cv2.GaussianBlur(rng.normal(0, 1, (96, 96)).astype(np.float32), (0, 0), 3) * 60
    threads = 20 * np.sin(np.arange(96) / 9)
    return np.clip(128 + clouds + threads, 0, 255).astype(np.uint8)


def scratched(good: Samples, row: int) -> Samples:
    return np.asarray(cv2.line(good, (10, row), (80, row + 20), 255, 3))


def write(folder: Path, pictures: Sequence[Samples]) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{number:03}.png"), picture)


@pytest.mark.parametrize("name", ALL)
def test_every_block_of_a_document_is_found_and_every_mark_has_its_block_and_its_reason(name: str) -> None:
    assert faults(name, (ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("```bash\nls\n```\n", "'bash' is none of"),
        ("```\nls\n```\n", "'' is none of"),
        ("```sh\nls\n", "'without an end' is none of"),
        ("- item\n  ```sh\n  ls\n  ```\n", "first column"),
        ("~~~sh\nls\n~~~\n", "first column"),
        ("<!-- not run -->\n```sh\nls\n```\n", "no reason"),
        ("<!-- not run: -->\n```sh\nls\n```\n", "no reason"),
        ("<!--not run: it takes minutes-->\n```sh\nls\n```\n", "no reason"),
        ("<!-- not run: it takes minutes -->\n\n```sh\nls\n```\n", "no block begins"),
        ("<!-- not run: it takes minutes -->\n", "no block begins"),
        ("<!-- not run: it takes minutes -->\n```yaml\na: 1\n```\n", "only sh is marked"),
        ("<!-- file: -->\n```yaml\na: 1\n```\n", "no file"),
        ("<!-- file: a.sh -->\n```sh\nls\n```\n", "not saved"),
    ],
)
def test_a_block_that_would_be_overlooked_is_told(document: str, told: str) -> None:
    assert any(told in fault for fault in faults("a.md", document))


def test_a_marked_block_a_file_and_a_block_that_runs_are_no_faults() -> None:
    document = (
        "<!-- not run: it takes minutes -->\n```sh\nls\n```\n"
        "<!-- file: a.yaml -->\n```yaml\na: 1\n```\n```sh\n<!-- not run\nls\n```\n"
    )
    assert faults("a.md", document) == []


@pytest.mark.slow
@pytest.mark.timeout(2 * BLOCK_TIMEOUT_S)
@pytest.mark.parametrize("name", [name for name, found in RUN.items() if found])
def test_the_blocks_of_a_document_run_one_after_the_other_in_one_fresh_folder_with_a_bare_environment(
    name: str, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    of_tree(folder)
    if name in SMALL_MODEL:
        with_small_model(folder)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",  # nets this small are slowed by more on a busy machine
        "PLUMBLINE_MQTT__PORT": str(mosquitto.port),
        "PLUMBLINE_PAGE__PORT": str(free_port()),
    }
    for block in ALL[name]:
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        if block not in RUN[name]:
            continue
        words = block.text.replace("--host BROKER", f"--host {HOST} --port {mosquitto.port}")
        done = subprocess.run(
            ["/bin/sh", "-eu", "-c", words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"


def test_there_is_a_station_to_copy() -> None:
    assert {block.place.partition(":")[0] for block in STATIONS} >= {"README.md", "OPERATING.md"}


@pytest.mark.parametrize("block", STATIONS, ids=[block.place for block in STATIONS])
def test_the_station_of_a_document_is_short_and_good(block: Block, tmp_path: Path) -> None:
    assert len(block.text.splitlines()) <= 12
    folder = of_tree(tmp_path)
    (folder / "station.yaml").write_text(block.text, encoding="utf-8")
    loaded = settings.load(folder / "station.yaml")
    assert set(yaml.safe_load(block.text)) <= set(type(loaded).model_fields)
    assert open_bundle(loaded.bundle).manifest
    assert {camera.source.kind for camera in loaded.cameras} == {"folder"}
