"""What documents tell people to type works in a fresh folder, and what is not tried here says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent.bundle.bundle import open_bundle
from agent.settings import settings
from tests.brokers import HOST, Mosquitto
from tests.documents.blocks import DOCUMENTS, ROOT, Block, blocks

ALL = [block for name in DOCUMENTS for block in blocks(name)]
RUN = [block for block in ALL if block.language == "sh" and block.not_run is None]


def of_tree(folder: Path) -> Path:
    """A fresh folder in which the tree's files stand, and nothing else."""
    for name in ("agent", "config", "deploy", "models"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_every_block_says_what_it_is_and_every_document_has_one_that_runs() -> None:
    assert {block.language for block in ALL} <= {"sh", "yaml", "json", "text"}
    assert {block.place.partition(":")[0] for block in RUN} == set(DOCUMENTS)


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN, ids=[block.place for block in RUN])
def test_a_block_runs_in_a_fresh_folder_with_a_bare_environment(
    block: Block, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    words = block.text.replace("--host BROKER", f"--host {HOST} --port {mosquitto.port}")
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", words],
        cwd=of_tree(folder),
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"


def stations() -> list[Block]:
    return [block for block in ALL if block.language == "yaml" and "identity" in block.text]


@pytest.mark.parametrize("block", stations(), ids=lambda block: block.place)
def test_the_station_of_a_document_is_short_and_good(block: Block, tmp_path: Path) -> None:
    assert len(block.text.splitlines()) <= 12
    folder = of_tree(tmp_path)
    (folder / "pictures").mkdir()
    (folder / "station.yaml").write_text(block.text, encoding="utf-8")
    loaded = settings.load(folder / "station.yaml")
    assert set(yaml.safe_load(block.text)) <= set(type(loaded).model_fields)
    assert open_bundle(loaded.bundle).manifest
    assert {camera.source.kind for camera in loaded.cameras} == {"folder"}


@pytest.mark.parametrize("block", stations(), ids=lambda block: block.place)
def test_the_station_of_a_document_is_validated_by_the_command(block: Block, tmp_path: Path) -> None:
    folder = of_tree(tmp_path)
    (folder / "pictures").mkdir()
    (folder / "pictures" / "1.png").write_bytes((ROOT / "tests/browser/page.jpg").read_bytes())
    (folder / "station.yaml").write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "agent", "validate", "station.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
