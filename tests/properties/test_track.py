"""Lines keep their places whatever belt, camera and blocks do; every line sent is given, lost or dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Frame, Samples
from agent.track.aspect import Aspect, resampled, resampled_plain, source_of
from agent.track.belt import Clocked, Triggered
from agent.track.blocks import TrackError
from agent.track.colour import ColourShift, shifted, shifted_plain
from agent.track.gate import Gate, StatusLine, latched, latched_plain
from agent.track.parts import EachBlock, Parts
from agent.track.track import Stage, Track
from agent.track.windows import Item, Web
from tests.agent.track.blocks import block, numbers

TICKS = 4.0


def cuts(draw: st.DrawFn, lines: int) -> list[int]:
    """Heights of blocks that sum up to `lines`."""
    heights: list[int] = []
    while sum(heights) < lines:
        heights.append(draw(st.integers(1, min(40, lines - sum(heights)))))
    return heights


@st.composite
def cut_twice(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    lines = draw(st.integers(1, 150))
    return cuts(draw, lines), cuts(draw, lines)


def texture(first: int, lines: int, *, channels: int = 3, width: int = 5) -> Samples:
    """Lines that depend on their number alone."""
    rows = [np.random.default_rng(first + n).integers(0, 256, (width, channels)) for n in range(lines)]
    return np.array(rows, np.uint8)


def through(stage: Stage, heights: list[int], *, first: int = 1000, channels: int = 3) -> list[Frame]:
    frames, line = [], first
    for number, height in enumerate(heights):
        image = texture(line, height, channels=channels)
        frames += stage.push(replace(block(line, height, number), image=image, encoder=round(line * TICKS)))
        line += height
    return frames + stage.flush()


def joined(frames: list[Frame]) -> tuple[int, Samples, np.ndarray]:
    """First line, picture and validity of frames that follow each other without a gap."""
    line = frames[0].first_line
    for frame in frames:
        assert frame.first_line == line
        line += len(frame.image)
    valid = [np.ones(len(f.image), np.bool_) if f.valid is None else f.valid for f in frames]
    return frames[0].first_line, np.concatenate([f.image for f in frames]), np.concatenate(valid)


@given(cut_twice(), st.sampled_from([-7.25, -2.0, -0.5, 0.3, 1.0, 3.5]))
def test_colour_rows_come_together_wherever_blocks_are_cut(
    heights: tuple[list[int], list[int]], shift: float
) -> None:
    one, other = (joined(through(ColourShift(shift, TICKS), cut)) for cut in heights)
    assert one[0] == other[0] == 1000
    assert np.array_equal(one[1], other[1]) and np.array_equal(one[2], other[2])
    total, reach = sum(heights[0]), int(np.ceil(abs(shift)))
    assert len(one[1]) == total
    if total > 2 * reach:
        plain = shifted_plain(texture(1000, total), shift)
        assert np.abs(one[1][reach : total - reach].astype(int) - plain).max() <= 1
    assert one[2][reach : total - reach].all()
    # Whole lines need no neighbour, so an end of the web may be seen in all colours up to a line.
    assert not one[2][: max(0, min(reach, total) - 1)].any()


@given(st.sampled_from([-5.5, -1.0, 0.25, 2.0]), st.integers(0, 99))
def test_the_shift_undoes_what_a_tri_linear_sensor_does(shift: float, seed: int) -> None:
    y = np.arange(200)[:, np.newaxis] + np.random.default_rng(seed).uniform(0, 9, (1, 3))
    rows = [100 + 80 * np.sin((y + moved) / 9) for moved in (-shift, 0, shift)]
    seen = np.stack(rows, axis=2).round().astype(np.uint8)
    fixed = shifted(seen, shift).astype(int)
    assert np.abs(fixed[:, :, 0] - fixed[:, :, 1]).max() <= 2
    assert np.abs(fixed[:, :, 2] - fixed[:, :, 1]).max() <= 2


def test_mono_lines_have_no_colour_rows_to_shift() -> None:
    one = block(0, 4, 0)
    assert ColourShift(2.0, TICKS).push(one) == [one]


def test_a_gap_in_the_web_is_invalid_in_all_that_is_made_of_its_lines() -> None:
    stage = ColourShift(2.0, TICKS)
    frames = stage.push(replace(block(0, 20, 0), image=texture(0, 20)))
    frames += stage.push(replace(block(23, 20, 1), image=texture(23, 20))) + stage.flush()
    first, _, valid = joined(frames)
    assert (first, len(valid)) == (0, 43)
    assert np.flatnonzero(~valid).tolist() == [0, 1, *range(18, 25), 41, 42]


@given(cut_twice(), st.sampled_from([0.25, 0.5, 0.93, 1.0, 1.37, 4.0]))
def test_lines_at_another_pitch_do_not_depend_on_the_cutting(
    heights: tuple[list[int], list[int]], stretch: float
) -> None:
    frames = [through(Aspect(stretch, TICKS), cut, channels=1) for cut in heights]
    if not frames[0]:
        assert sum(len(f.image) for f in frames[1]) == 0
        return
    one, other = joined(frames[0]), joined(frames[1])
    assert one[0] == other[0] and np.array_equal(one[1], other[1]) and one[2].all()
    total = sum(heights[0])
    assert abs(len(one[1]) - total * stretch) <= stretch + 1
    positions = source_of(np.arange(one[0], one[0] + len(one[1])), stretch) - 1000
    plain = resampled_plain(texture(1000, total, channels=1), positions)
    assert np.abs(one[1].astype(int) - plain).max() <= 1


def test_resampling_writes_deep_pixels_too() -> None:
    image = np.array([[[0]], [[1000]], [[4000]]], np.uint16)
    drawn, valid = resampled(image, np.array([True, False, True]), np.array([0.0, 0.5, 1.5, 2.0]))
    assert drawn.ravel().tolist() == [0, 500, 2500, 4000] and drawn.dtype == np.uint16
    assert valid.tolist() == [True, False, False, True]


def test_a_circle_on_a_web_with_long_lines_becomes_round() -> None:
    y, x = np.mgrid[0:100, 0:200]
    oval = (((y - 50) * 2) ** 2 + (x - 100) ** 2 < 60**2)[..., np.newaxis].astype(np.uint8) * 255
    stage = Aspect(2.0, 0)
    (frame,) = stage.push(replace(block(0, 100, 0), image=oval))
    rows, columns = np.nonzero(frame.image[:, :, 0] > 127)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2


# The belt moves and the camera takes a line for each `TICKS` counts forward (or in both directions).


def belt(path: list[int], *, height: int, drop: frozenset[int] = frozenset()) -> list[Frame]:
    """Blocks of a belt that stands at line `path[n]` when its n-th line is taken; lines in `drop` are not."""
    taken = [(line, n) for n, line in enumerate(path) if n not in drop]
    frames = []
    for number, start in enumerate(range(0, len(taken) - height + 1, height)):
        part = [line for line, _ in taken[start : start + height]]
        image = np.concatenate([block(line, 1, 0).image for line in part])
        frames.append(replace(block(start, height, number), image=image, encoder=round(part[0] * TICKS)))
    return frames


def placed_lines(frames: list[Frame]) -> list[tuple[int, int]]:
    """Coordinate and shown number of every valid line."""
    return [
        (frame.first_line + row, shown)
        for frame in frames
        for row, shown in enumerate(numbers(frame.image))
        if frame.valid is None or frame.valid[row]
    ]


def run_belt(frames: list[Frame]) -> tuple[list[tuple[int, int]], Triggered]:
    stage = Triggered(TICKS)
    out = [one for frame in frames for one in stage.push(frame)] + stage.flush()
    return placed_lines(out), stage


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 1000))
def test_a_belt_that_only_goes_forward_keeps_every_line(height: int, blocks: int, first: int) -> None:
    frames = belt(list(range(first, first + height * blocks)), height=height)
    lines, stage = run_belt(frames)
    assert [shown for _, shown in lines] == list(range(first, first + height * blocks))
    assert [place for place, _ in lines] == list(range(height * blocks))
    assert stage.lines_dropped == 0


@given(st.sets(st.integers(0, 199), max_size=60), st.integers(5, 25))
def test_dropped_triggers_shift_nothing_for_longer_than_a_block(dropped: set[int], height: int) -> None:
    path = list(range(220))
    frames = belt(path, height=height, drop=frozenset(dropped))
    lines, stage = run_belt(frames)
    sent = sum(len(frame.image) for frame in frames)
    assert len(lines) + stage.lines_dropped == sent
    assert len({place for place, _ in lines}) == len(lines)
    origin = frames[0].image
    first = numbers(origin)[0]
    for place, shown in lines:
        in_block = len([n for n in dropped if shown - 2 * height - len(dropped) <= n < shown])
        assert 0 <= shown - first - place <= in_block + 1
    starts = {numbers(frame.image)[0] - first for frame in frames}
    at = dict(lines)
    assert all(abs(at[start] - first - start) <= 1 for start in starts if start in at)


@given(st.integers(1, 90), st.integers(0, 60), st.integers(4, 16), st.booleans())
def test_a_reverse_run_is_not_seen_twice_and_the_web_resumes_where_it_was(
    ahead: int, back: int, height: int, both_ways: bool
) -> None:
    turn = ahead + 60
    down = list(range(turn - 1, turn - 1 - back, -1)) if both_ways else []
    path = [*range(turn), *down, *range(turn - back, turn + 120)]
    frames = belt(path, height=height)
    lines, stage = run_belt(frames)
    places = [place for place, _ in lines]
    assert places == sorted(set(places))
    assert all(abs(place - shown) <= 1 for place, shown in lines)
    assert len(lines) + stage.lines_dropped == sum(len(frame.image) for frame in frames)
    assert places[-1] >= turn + 120 - 2 * height - 1
    # What is missing lies in the blocks in which the belt turned.
    missing = set(range(places[-1])) - set(places)
    assert all(turn - back - 2 * height <= line <= turn + 2 * height for line in missing)


def test_a_block_that_ended_early_is_no_loss_though_the_camera_counts_blocks() -> None:
    """A camera without a line counter says frame id x height; the belt stood after seven lines of ten."""
    stage = Triggered(TICKS)
    heights, line, out = [10, 7, 10, 10], 0, []
    for number, height in enumerate(heights):
        image = block(line, height, number).image
        one = replace(block(10 * number, height, number), image=image, encoder=round(line * TICKS))
        out += stage.push(one)
        line += height
    assert placed_lines(out + stage.flush()) == [(n, n) for n in range(37)]
    assert stage.lines_dropped == 0


def test_an_encoder_that_counts_down_and_wraps_is_a_belt_that_goes_forward() -> None:
    stage = Triggered(-2.0)
    frames = [replace(block(10 * n, 10, n), encoder=(5 - 20 * n) % (1 << 32)) for n in range(4)]
    out = [one for frame in frames for one in stage.push(frame)] + stage.flush()
    assert placed_lines(out) == [(n, n) for n in range(40)]


def test_an_encoder_that_is_reset_is_no_reverse_run() -> None:
    stage = Triggered(TICKS)
    counts = [*range(0, 2000, 40), *range(0, 200, 40)]
    frames = [replace(block(10 * n, 10, n), encoder=count) for n, count in enumerate(counts)]
    out = [one for frame in frames for one in stage.push(frame)] + stage.flush()
    assert placed_lines(out) == [(n, n) for n in range(10 * len(counts))]


def test_a_camera_without_encoder_is_one_clear_error() -> None:
    with pytest.raises(TrackError, match=r"camera top: block 3 brings no encoder .* set it to 0"):
        Triggered(TICKS).push(replace(block(0, 4, 3), encoder=None))


@given(st.lists(st.integers(5, 60), min_size=3, max_size=8), st.integers(0, 2))
def test_clocked_lines_lie_evenly_on_the_web_at_any_speed(moves: list[int], ticks: int) -> None:
    """A brightness that grows with the place on the belt is a straight ramp whatever the speed."""
    height, stage = 20, Clocked(2.0)
    place, frames = 0.0, []
    for number, move in enumerate([*moves, 20]):
        at = place + move * np.arange(height) / height
        image = np.rint(at * 20).astype(np.uint16)[:, np.newaxis, np.newaxis]
        frames.append(
            replace(
                block(height * number, height, number), image=image, encoder=round(place * 2), bit_depth=16
            )
        )
        place += move
    out = [one for frame in frames for one in stage.push(frame)]
    first, image, valid = joined(out)
    assert first == 0 and valid.all() and len(image) == sum(moves)
    assert np.abs(image[:, 0, 0].astype(float) - 20 * np.arange(len(image))).max() <= 2


def test_a_clocked_camera_over_a_belt_that_stands_gives_nothing() -> None:
    stage = Clocked(2.0)
    frames = [replace(block(10 * n, 10, n), encoder=7) for n in range(4)]
    assert [one for frame in frames for one in stage.push(frame)] == []
    assert stage.lines_dropped == 30


# Parts


@given(st.lists(st.floats(0, 1, width=32), max_size=60), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_the_gate_with_hysteresis_equals_its_plain_twin(
    levels: list[float], one: float, other: float, before: bool
) -> None:
    values = np.array(levels, np.float32)
    off, on = sorted((one, other))
    fast = latched(values, on=on, off=off, before=before)
    assert np.array_equal(fast, latched_plain(values, on=on, off=off, before=before))


def levels_of(lengths: list[tuple[int, int]]) -> list[int]:
    """The brightness of each line: gaps and parts in turn."""
    return [level for gap, part in lengths for level in [10] * gap + [200] * part]


@st.composite
def passing(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    lengths = draw(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=6))
    total = len(levels_of(lengths)) + 1
    return lengths, cuts(draw, total), cuts(draw, total)


def found_parts(levels: list[int], heights: list[int], max_lines: int) -> list[Item]:
    cutter = Parts(Gate(from_px=0, to_px=2, on=0.5, off=0.3), max_lines=max_lines, ticks_per_line=TICKS)
    items: list[Item] = []
    line = 0
    for number, height in enumerate(heights):
        image = np.array(levels[line : line + height], np.uint8)[:, np.newaxis, np.newaxis]
        image = np.repeat(image, 3, axis=1)
        items += cutter.push(replace(block(line, height, number), image=image, encoder=round(line * TICKS)))
        line += height
    return items + cutter.flush()


@given(passing(), st.integers(1, 40))
def test_parts_are_found_whole_wherever_blocks_are_cut(
    passed: tuple[list[tuple[int, int]], list[int], list[int]], max_lines: int
) -> None:
    lengths, one, other = passed
    levels = [*levels_of(lengths), 10]
    frames = [item for item in found_parts(levels, one, max_lines) if isinstance(item, Frame)]
    again = [item for item in found_parts(levels, other, max_lines) if isinstance(item, Frame)]
    bright = [line for line, level in enumerate(levels) if level == 200]
    assert [f.first_line + row for f in frames for row in range(len(f.image))] == bright
    assert all((frame.image == 200).all() and frame.encoder == frame.first_line * TICKS for frame in frames)
    assert [f.goes_on for f in frames] == [f.first_line + len(f.image) in bright for f in frames]
    told = [(f.frame_id, f.first_line, len(f.image), f.is_partial) for f in frames]
    assert told == [(f.frame_id, f.first_line, len(f.image), f.is_partial) for f in again]
    whole = [frame for frame in frames if not frame.is_partial]
    assert [len(frame.image) for frame in whole] == [part for _, part in lengths if part <= max_lines]


def test_a_part_that_had_begun_or_does_not_end_is_partial() -> None:
    items = found_parts([200] * 5 + [10] * 5 + [200] * 5, [4, 4, 7], 100)
    assert [(item.first_line, item.is_partial) for item in items if isinstance(item, Frame)] == [
        (0, True),
        (10, True),
    ]


def test_lines_lost_within_a_part_keep_their_places() -> None:
    cutter = Parts(Gate(from_px=0, to_px=1, on=0.5, off=0.3), max_lines=100, ticks_per_line=0)
    levels = {0: [10, 10, 200, 200], 7: [200, 200, 10, 10]}
    items: list[Item] = []
    for first, values in levels.items():
        image = np.array(values, np.uint8)[:, np.newaxis, np.newaxis]
        items += cutter.push(replace(block(first, 4, first), image=image))
    (part,) = items
    assert isinstance(part, Frame) and part.valid is not None
    assert (part.first_line, part.lines_lost, part.is_partial) == (2, 3, False)
    assert part.valid.tolist() == [True] * 2 + [False] * 3 + [True] * 2
    assert cutter.lines_unseen == 0


def test_a_part_that_may_have_begun_in_a_gap_is_partial() -> None:
    cutter = Parts(Gate(from_px=0, to_px=1, on=0.5, off=0.3), max_lines=100, ticks_per_line=0)
    levels = {0: [10] * 4, 7: [200, 200, 10, 200], 11: [200, 10, 10, 10]}
    items: list[Item] = []
    for number, (first, values) in enumerate(levels.items()):
        image = np.array(values, np.uint8)[:, np.newaxis, np.newaxis]
        items += cutter.push(replace(block(first, 4, number), image=image))
    told = [(item.first_line, item.is_partial) for item in items if isinstance(item, Frame)]
    assert told == [(7, True), (10, False)]
    assert cutter.lines_unseen == 3, "no record tells of them"


def test_a_coordinate_that_starts_again_ends_the_part_and_a_block_that_comes_twice_does_not() -> None:
    cutter = Parts(Gate(from_px=0, to_px=1, on=0.5, off=0.3), max_lines=100, ticks_per_line=0)
    bright = np.full((10, 4, 1), 200, np.uint8)
    blocks = [
        replace(block(first, 10, n), image=bright) for first, n in ((0, 0), (10, 1), (10, 1), (20, 2), (0, 3))
    ]
    items = [item for one in blocks for item in cutter.push(one)] + cutter.flush()
    told = [(item.first_line, len(item.image)) for item in items if isinstance(item, Frame)]
    assert told == [(0, 30), (0, 10)] and cutter.lines_repeated == 10


def test_a_light_barrier_cuts_parts_with_the_blocks_of_their_edges() -> None:
    cutter = Parts(StatusLine(1), max_lines=100, ticks_per_line=0)
    items: list[Item] = []
    for number, status in enumerate([0, 0, 2, 3, 1, 0]):
        items += cutter.push(replace(block(10 * number, 10, number), line_status=status))
    (part,) = items
    assert isinstance(part, Frame)
    assert (part.first_line, len(part.image), part.is_partial) == (10, 30, False)


def test_a_gate_beside_the_picture_and_a_barrier_that_is_not_told_are_clear_errors() -> None:
    with pytest.raises(TrackError, match="gate_to_px is 9, its lines have 4 px"):
        Gate(from_px=0, to_px=9, on=0.5, off=0.3).push(block(0, 4, 0))
    with pytest.raises(TrackError, match="brings no line status"):
        StatusLine(0).push(block(0, 4, 0))


def test_triggered_blocks_are_parts_and_short_ones_partial() -> None:
    cutter = EachBlock(10)
    items = [*cutter.push(block(0, 10, 0)), *cutter.push(block(0, 7, 1))]
    assert [(len(item.image), item.is_partial) for item in items if isinstance(item, Frame)] == [
        (10, False),
        (7, True),
    ]


def test_a_camera_that_comes_back_begins_a_web_of_its_own() -> None:
    track = Track(Web(10), flat_field=None, stages=[Triggered(TICKS)], joins_blocks=True)
    items = [item for n in range(3) for item in track.push(replace(block(10 * n, 10, n), encoder=40 * n))]
    items += track.push(replace(block(0, 10, 0), encoder=0, epoch=1)) + track.flush()
    assert [(item.first_line, item.lines_lost) for item in items] == [(0, 0), (10, 0), (20, 0), (0, 0)]
