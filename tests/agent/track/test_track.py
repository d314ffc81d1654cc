"""The settings say which steps a camera's lines take; all of them together keep places and depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.clock import ManualClock
from agent.line.prepare import prepare
from agent.messages import Frame, Samples
from agent.settings import web as web_settings
from agent.settings.camera import Camera, LinescanSimSource
from agent.track.calibration import Provenance, save
from agent.track.depth import eight_bits
from agent.track.flatfield import FlatFieldError
from agent.track.track import make_track
from agent.track.windows import Item
from tests.agent.track.blocks import NOON
from tests.agent.track.strips import AITEX, fixed_pattern
from tests.fakes import spec


def camera(flat: web_settings.FlatField | None = None, **web: object) -> Camera:
    return Camera(
        name="top",
        source=LinescanSimSource(path=Path("x")),
        web=web_settings.Web.model_validate(web),
        flat_field=flat or web_settings.FlatField(),
    )


def lines(
    picture: Samples, *, height: int, ticks: int = 4, bit_depth: int = 8, status: int = 0
) -> list[Frame]:
    return [
        Frame(
            camera="top",
            frame_id=number,
            image=picture[top : top + height],
            captured_ns=number,
            captured_at=NOON,
            first_line=top,
            encoder=top * ticks,
            line_status=status,
            bit_depth=bit_depth,
        )
        for number, top in enumerate(range(0, len(picture), height))
    ]


def through(one: Camera, blocks: Sequence[Frame]) -> list[Frame]:
    track = make_track(one)
    items: list[Item] = [item for block in blocks for item in track.push(block)] + track.flush()
    return [item for item in items if isinstance(item, Frame)]


def noise(lines: int, width: int, channels: int, full: int = 255) -> Samples:
    values = np.random.default_rng(1).integers(0, full + 1, (lines, width, channels))
    return values.astype(np.uint8 if full == 255 else np.uint16)


def test_an_area_camera_passes_untouched() -> None:
    (frame,) = lines(noise(8, 5, 3), height=8)
    assert through(camera(), [frame]) == [frame]


def test_every_step_together_gives_windows_of_square_pixels_in_register() -> None:
    """A tri-linear sensor sees bands of grey with lines twice as long as its pixels are wide."""
    y = np.arange(400)[:, np.newaxis] + np.zeros((1, 6))
    rows = [120 + 60 * np.sin((y + moved) / 11) for moved in (-1.5, 0, 1.5)]
    seen = np.stack(rows, axis=2).round().astype(np.uint8)
    one = camera(
        window_lines=100,
        encoder={"ticks_per_line": 4.0},
        colour_shift_lines=1.5,
        mm_per_px=0.5,
        mm_per_line=1.0,
        square_pixels=True,
    )
    windows = through(one, lines(seen, height=37))
    assert [window.first_line for window in windows] == [100 * n for n in range(8)]
    picture = np.concatenate([window.image for window in windows])[10:-10].astype(int)
    assert np.abs(picture[:, :, 0] - picture[:, :, 1]).max() <= 2
    wanted = 120 + 60 * np.sin(((np.arange(800) + 0.5) / 2 - 0.5) / 11)
    assert np.abs(picture[:, 0, 1] - wanted[10:-10]).max() <= 2
    # Two counts for each of the shorter lines, that begin half of one before the first.
    assert all(abs((window.encoder or 0) - 2 * window.first_line) <= 2 for window in windows)


@pytest.mark.parametrize("kind", ["trigger", "line_status", "gate"])
def test_parts_are_cut_as_the_settings_say(kind: str) -> None:
    picture = np.full((40, 6, 1), 200, np.uint8)
    one = camera(parts={"kind": kind, "max_lines": 1000})
    found = through(one, lines(picture, height=20, status=1))
    assert [len(frame.image) for frame in found] == ([20, 20] if kind == "trigger" else [40])


@pytest.mark.parametrize("bit_depth", [10, 12, 16])
def test_deep_pixels_stay_exact_through_flat_field_and_web_and_are_rounded_once(
    bit_depth: int, tmp_path: Path
) -> None:
    full = (1 << bit_depth) - 1
    file = tmp_path / "flat.npz"
    white = np.full((40, 1), full * 0.5, np.float32)
    white[::2] *= 0.5
    provenance = Provenance(
        camera="top",
        created="2026-01-01T00:00:00Z",
        author="a",
        source="s",
        bit_depth=bit_depth,
        dark_lines=0,
        white_lines=1000,
    )
    save(file, None, white, provenance)
    raw = noise(64, 40, 1, full)
    one = camera(web_settings.FlatField(file=file), window_lines=32)
    windows = through(one, lines(raw, height=20, bit_depth=bit_depth))
    picture = np.concatenate([window.image for window in windows])[:64]
    gain = np.median(white) / white[:, 0]
    wanted = np.minimum(np.rint(raw[:, :, 0] * gain), full).astype(int)
    assert picture.dtype == np.uint16 and all(window.bit_depth == bit_depth for window in windows)
    assert np.abs(picture[:, :, 0] - wanted).max() <= 1
    prepared = prepare(windows[0], spec(), ManualClock())
    exact = np.floor(windows[0].image[:32, :32].astype(float) * 255 / full + 0.5).astype(np.uint8)
    assert np.array_equal(prepared.tiles[0], exact)


@pytest.mark.parametrize("bit_depth", range(9, 17))
def test_eight_bits_are_shares_of_full_scale_rounded(bit_depth: int) -> None:
    full = (1 << bit_depth) - 1
    values = np.arange(full + 1, dtype=np.uint16)
    shown = eight_bits(values, bit_depth)
    plain = [(int(value) * 255 * 2 + full) // (2 * full) for value in values[:: max(1, full // 999)]]
    assert shown[:: max(1, full // 999)].tolist() == plain
    assert (shown[0], shown[-1]) == (0, 255) and np.all(np.diff(shown.astype(int)) >= 0)


def test_a_calibration_of_another_depth_names_camera_file_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "flat.npz"
    provenance = Provenance(
        camera="top",
        created="2026-01-01T00:00:00Z",
        author="a",
        source="s",
        bit_depth=12,
        dark_lines=0,
        white_lines=999,
    )
    save(file, None, np.full((6, 1), 900, np.float32), provenance)
    words = r"camera top: .*flat\.npz: it is 6 px .* of 12 bits, .* of 8 bits; calibrate this camera anew"
    with pytest.raises(FlatFieldError, match=words):
        through(camera(web_settings.FlatField(file=file)), lines(noise(4, 6, 1), height=4))


def test_lines_that_any_step_drops_are_counted() -> None:
    blocks = lines(noise(30, 4, 1), height=10)
    track = make_track(camera(window_lines=20, encoder={"ticks_per_line": 4.0}))
    for encoder, block in zip([0, 40, 0, 40, 80], [*blocks, *blocks], strict=False):
        track.push(replace(block, encoder=encoder))
    # The belt ran back by a block: that block is of no use, and the next is seen again.
    assert track.lines_dropped == 20


def test_a_new_epoch_closes_the_window_and_begins_another_web() -> None:
    blocks = lines(noise(30, 4, 1), height=10)
    again = [replace(block, epoch=1) for block in blocks]
    windows = through(camera(window_lines=20), [*blocks, *again])
    assert [(one.first_line, one.lines_lost, one.epoch) for one in windows] == [
        (0, 0, 0),
        (20, 10, 0),
        (0, 0, 1),
        (20, 10, 1),
    ]


@pytest.mark.skipif(not AITEX.exists(), reason="needs the AITEX strips")
@pytest.mark.parametrize("fabric", ["fabric00", "fabric06"])
def test_the_fixed_pattern_of_real_strips_falls_at_least_fivefold(fabric: str) -> None:
    before, after = fixed_pattern(fabric)
    assert before > 5 * after, (before, after)
