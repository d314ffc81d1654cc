"""`plumbline demo` shows the whole product: a page that a person can read, and a report at the end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.browser import Browser, find_chromium
from tests.gige.aravis import needs_aravis

START_TIMEOUT_S = 120


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "demo", "--port", "0"], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_page_of_a_running_demo_shows_a_reject(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    chromium = find_chromium()
    assert chromium, "chromium is not installed: apt-get install chromium"
    assert demo.stdout is not None
    first_line = demo.stdout.readline()
    address = re.search(r"http://\S+", first_line)
    assert address, first_line
    with Browser(chromium, tmp_path / "profile") as browser:
        browser.resize(1280, 1000)
        browser.open(address.group())
        browser.wait_for(".sign svg")
        browser.open(f"{address.group().rstrip('/')}/#/rejects")
        browser.wait_for(".wall li img")
        browser.wait_for_pictures()
        browser.screenshot(tmp_path / "page.png")
        assert browser.errors == []
    demo.send_signal(signal.SIGINT)
    report, _ = demo.communicate(timeout=START_TIMEOUT_S)
    assert demo.returncode == 0
    assert "0 gaps" in report
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.slow
def test_a_bounded_demo_ends_by_itself_with_a_report() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "demo", "--duration", "6", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "defective cells rejected" in done.stdout
    frames = re.search(r"frames\s+│\s+(\d+)", done.stdout)
    assert frames and int(frames.group(1)) > 10
    assert re.search(r"engine\s+│\s+openvino", done.stdout), "that judged, though none serves any more"


@pytest.mark.slow
@needs_aravis
def test_the_same_cells_come_through_a_gige_vision_camera() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "demo", "--camera", "gige", "--duration", "15", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (judged,) = re.findall(r"good cells rejected\D*\d+ of (\d+)", done.stdout)
    assert int(judged) > 10 and "0 gaps" in done.stdout
