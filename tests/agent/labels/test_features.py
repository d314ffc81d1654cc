"""Features alone are those of the whole explaining form; and learning by command, with the sample bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.bundle.bundle import open_bundle
from agent.explain.form import GRAPH, MAX_GRAPH_BYTES, CannotExplain
from agent.labels.features import Plain, open_features

BUNDLE = Path(__file__).resolve().parents[3] / "models" / "bundles" / "elpv"


def test_a_bundle_without_an_explaining_form_is_refused_in_words() -> None:
    bundle = open_bundle(BUNDLE)
    files = {name: data for name, data in bundle.files.items() if not name.startswith("explain/")}
    with pytest.raises(CannotExplain, match="cannot explain its scores"):
        open_features(replace(bundle, files=files))


def test_a_graph_that_is_too_large_is_not_read() -> None:
    bundle = open_bundle(BUNDLE)
    files = {**bundle.files, GRAPH: bytes(MAX_GRAPH_BYTES + 1)}
    with pytest.raises(CannotExplain, match="larger than"):
        open_features(replace(bundle, files=files))


@pytest.mark.slow
def test_what_is_left_out_of_the_form_changes_no_feature() -> None:
    bundle = open_bundle(BUNDLE)
    tile = bundle.golden()[0][0]
    alone, whole = open_features(bundle), Plain(bundle)
    assert (alone.grid, alone.coarsest) == (whole.grid, whole.coarsest)
    found, wanted = alone.of(tile), whole.of(tile)
    assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()


@pytest.mark.slow
def test_labels_are_learned_listed_and_shown_by_command(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, size in (("dots", 6), ("patches", 60)):
        (tmp_path / "marked" / label).mkdir(parents=True)
        for number in range(5):
            picture = rng.normal(120, 4, (300, 300)).astype(np.uint8)
            x, y = rng.integers(20, 200, 2)
            picture[y : y + size, x : x + size] = 250 if size < 10 else 30
            cv2.imwrite(str(tmp_path / "marked" / label / f"{number}.png"), picture)
    there = tmp_path / "marked" / "dots"
    (there / "4.png").rename(there / os.fsdecode(b"4\xe9.png"))  # as Latin-1 writes it
    (tmp_path / "agent.yaml").write_text(f"version: 1\nbundle: {BUNDLE}\n")

    def told(*words: str) -> dict[str, object]:
        station = ["-c", str(tmp_path / "agent.yaml"), "--json"]
        asked = [sys.executable, "-m", "agent", "labels", *words, *station]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        content: dict[str, object] = json.loads(done.stdout)
        return content

    learned = told("learn", "--from", str(tmp_path / "marked"))
    assert learned["classes"] == {"dots": 5, "patches": 5} and learned["accuracy"] == 1.0
    sha256 = str(learned["sha256"])
    sets = told("list")["sets"]
    assert isinstance(sets, list)
    assert [(one["sha256"], one["in_settings"]) for one in sets] == [(sha256, False)]
    assert told("show", sha256[:8])["sources"] == {
        "dots": ["0.png", "1.png", "2.png", "3.png", "4?.png"],
        "patches": [f"{number}.png" for number in range(5)],
    }
