"""Five steps of one product: cut anywhere it goes on, and what is not whole is not in force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import durable
from agent.errors import PlumblineError
from agent.messages import Pixels
from agent.teach import collect
from agent.teach.flow import Flow, Means
from agent.teach.part_set import PartSet, PartSetError
from agent.teach.state import STEPS, FlowError, State
from agent.teach.threshold import ThresholdError
from tests.agent.teach.good import parts, plate, write
from tests.odd_files import no_regular_files

COUNT = 40
USUAL = np.mean([plate(number)[..., 0] for number in range(COUNT)], axis=0).astype(np.float32)


def contrast(image: Pixels) -> float:
    """A judge that sees what differs from the usual part by more than its grain does."""
    apart = np.abs(image[..., 0].astype(np.float32) - USUAL)
    return 1 + 1000 * float(np.mean(apart > 30)) + float(apart.mean()) / 100


@dataclass
class Station:
    """Takes a threshold, or refuses it."""

    refuses: str | None = None
    thresholds: list[float] = field(default_factory=list)

    def activate(self, threshold: float) -> dict[str, Any]:
        if self.refuses is not None:
            raise PlumblineError(self.refuses)
        self.thresholds.append(threshold)
        return {"code": 200, "message": "done"}


def means(source: Path, station: Station, *, judge: Any = contrast, bundle: str = "ab" * 32) -> Means:
    def collected(own: PartSet, wanted: int) -> Iterator[collect.Got]:
        return collect.from_folder(own, source, wanted)

    return Means(collect=collected, judge=judge, bundle_sha256=bundle, activate=station.activate)


def begun(folder: Path, *, target: float = 0.05, wanted: int = COUNT) -> Flow:
    flow = Flow(folder)
    flow.open(State(product="plate", source="folder", wanted=wanted, target=target))
    return flow


def finish(flow: Flow, by: Means, **how: Any) -> State:
    while True:
        going = flow.do(by, **how)
        while True:
            try:
                next(going)
            except StopIteration as ended:
                state: State = ended.value
                break
        if state.step == "done":
            return state


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return parts(tmp_path / "source", COUNT)


def test_the_five_steps_end_with_a_threshold_in_force(tmp_path: Path, source: Path) -> None:
    station = Station()
    state = finish(begun(tmp_path / "plate"), means(source, station))
    assert station.thresholds == [state.promised["threshold"]]
    assert not state.promised["provisional"] and state.promised["frames"] == COUNT
    assert state.promised["sees"] > 0.5 and state.activated["code"] == 200
    assert finish(begun(tmp_path / "plate"), means(source, station)) == state, "nothing is done twice"
    assert len(station.thresholds) == 1


@pytest.mark.parametrize(("where", "is_told"), [("folder", False), ("passed", True), ("archive", True)])
def test_what_passed_alone_says_that_the_threshold_in_force_has_chosen(
    tmp_path: Path, source: Path, where: str, is_told: bool
) -> None:
    flow = Flow(tmp_path / "plate")
    flow.open(State(product="plate", source=where, wanted=COUNT, target=0.05))
    words = finish(flow, means(source, Station())).promised["words"]
    assert any("the threshold in force rejects" in one for one in words) is is_told


def test_it_goes_on_from_every_picture_at_which_it_was_killed(tmp_path: Path, source: Path) -> None:
    station = Station()
    by = means(source, station)
    for number in range(1, 80):
        flow = begun(tmp_path / "plate")
        going = flow.do(by)
        try:
            for _ in range(1 + 17 * number % 50):
                next(going)
            going.close()
        except StopIteration as ended:
            if ended.value.step == "done":
                break
    state = Flow(tmp_path / "plate").state()
    assert state is not None and state.step == "done"
    once = finish(begun(tmp_path / "plate"), by)
    other = finish(begun(tmp_path / "other"), means(source, Station()))
    assert once.promised == other.promised and len(station.thresholds) == 1


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_disk_that_takes_nothing_at_any_write_leaves_it_to_be_gone_on_with(
    tmp_path: Path, source: Path, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    station, writes, real = Station(), [0], durable.replace_file

    def full(path: Path, pieces: Any) -> None:
        writes[0] += 1
        if writes[0] == cut * 4:
            raise OSError(28, "No space left on device")
        real(path, pieces)

    monkeypatch.setattr(durable, "replace_file", full)
    try:
        flow = begun(tmp_path / "plate")
        finish(flow, means(source, station))
    except (FlowError, PartSetError) as error:
        assert "again" in str(error)
    monkeypatch.setattr(durable, "replace_file", real)
    state = finish(begun(tmp_path / "plate"), means(source, station))
    assert state.step == "done" and station.thresholds[-1] == state.promised["threshold"]


def test_defects_among_the_good_are_shown_and_taken_out_or_kept(tmp_path: Path, source: Path) -> None:
    bad = plate(900)
    bad[40:60, 40:80] = 5
    write(source, "part005-scratch.png", bad)
    flow, by = begun(tmp_path / "plate", wanted=COUNT + 1), means(source, Station())
    with pytest.raises(FlowError, match="1 of 41 parts should be looked at"):
        finish(flow, by)
    state = flow.state()
    assert state is not None and state.step == "check"
    (finding,) = state.checked["findings"]
    assert finding["kind"] == "defect" and finding["name"].endswith("part005-scratch.png")
    assert finish(flow, by, flagged="take_out").promised["frames"] == COUNT
    assert (tmp_path / "plate" / "aside" / finding["name"]).exists()


def test_what_was_taken_out_by_mistake_is_put_back_and_kept(tmp_path: Path, source: Path) -> None:
    odd = plate(900)
    odd[40:60, 40:80] = 5
    write(source, "part005-odd.png", odd)
    flow, by = begun(tmp_path / "plate", wanted=COUNT + 1), means(source, Station())
    with pytest.raises(FlowError, match="should be looked at"):
        finish(flow, by)
    name = flow.begun().checked["findings"][0]["name"]
    flow.sort(take_out=[name])
    assert flow.parts.count() == COUNT and [one.name for one in flow.parts.aside()] == [name]
    with pytest.raises(FlowError, match="not taken out"):
        flow.sort(put_back=["../state.json"])
    assert name in flow.sort(put_back=[name]).kept
    assert flow.parts.count() == COUNT + 1 and not flow.parts.aside()
    assert finish(flow, by).promised["frames"] == COUNT + 1
    with pytest.raises(FlowError, match="its check is over"):
        flow.sort(put_back=[name])


def test_too_few_parts_promise_nothing_and_are_not_activated(tmp_path: Path, source: Path) -> None:
    station = Station()
    flow = begun(tmp_path / "plate", target=0.005)
    with pytest.raises(FlowError, match=r"from 40 parts, only 2.44%: collect 159 more"):
        finish(flow, means(source, station))
    assert station.thresholds == []
    state = finish(begun(tmp_path / "plate", target=0.05), means(source, station))
    assert state.step == "done", "another target is enough"


def test_a_bundle_that_is_blind_on_this_product_is_not_activated(tmp_path: Path, source: Path) -> None:
    station = Station()
    blind = means(source, station, judge=lambda image: 1.0 + float(image[0, 0, 0]) / 1e4)
    with pytest.raises(FlowError, match="of made-up defects on plate"):
        finish(begun(tmp_path / "plate"), blind)
    assert station.thresholds == []


def test_another_bundle_meanwhile_is_checked_again(tmp_path: Path, source: Path) -> None:
    station = Station(refuses="the station does not answer")
    flow = begun(tmp_path / "plate")
    with pytest.raises(PlumblineError, match="does not answer"):
        finish(flow, means(source, station))
    station.refuses = None
    other = means(source, station, bundle="cd" * 32)
    with pytest.raises(FlowError, match="another bundle"):
        finish(flow, other)
    assert finish(flow, other).bundle == "cd" * 32


def test_no_good_part_a_target_of_nothing_and_a_folder_of_another_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    write(empty, "x.png", plate(1)).write_bytes(b"")
    flow = begun(tmp_path / "plate")
    with pytest.raises(FlowError, match="there is no picture of a good part"):
        finish(flow, means(empty, Station()))
    with pytest.raises(ThresholdError, match="cannot be promised by any number"):
        begun(tmp_path / "none", target=0.0)
    assert not (tmp_path / "none").exists()
    with pytest.raises(FlowError, match="was begun for plate"):
        Flow(tmp_path / "plate").open(State(product="cup", source="folder", wanted=1, target=0.1))


@given(
    key=st.sampled_from(["product", "source", "wanted", "target", "camera", "step", "checked", "taught"]),
    value=st.sampled_from([None, [], {"a": {}}, "fly", 1.5, True]),
)
def test_a_state_that_was_changed_by_hand_is_refused_or_right(key: str, value: object) -> None:
    with TemporaryDirectory() as made:
        flow = begun(Path(made) / "plate")
        path = flow.folder / "teach.json"
        path.write_text(json.dumps({**json.loads(path.read_bytes()), key: value}))
        try:
            state = flow.state()
        except FlowError as refused:
            assert "cannot be read; remove that folder" in str(refused)
        else:
            assert state is not None and getattr(state, key) == value and state.step in STEPS


@pytest.mark.parametrize("name", ["teach.json", "measured.json"])
def test_files_of_its_own_that_were_damaged_are_refused_at_once(
    tmp_path: Path, source: Path, name: str
) -> None:
    flow, station = begun(tmp_path / "plate"), Station()
    while (state := flow.state()) is not None and state.step != "threshold":
        list(flow.do(means(source, station)))
    path = flow.folder / name
    for text in ("{", "[1]", "[" * 20_000, '{"bundle": "", "parts": 3}', '{"parts": {"a": [1]}}', "null"):
        path.write_text(text)
        with pytest.raises(FlowError, match="cannot be read"):
            finish(flow, means(source, station))
    for odd in no_regular_files(tmp_path):
        path.unlink()
        path.symlink_to(odd)
        with pytest.raises(FlowError, match="cannot be read"):
            finish(flow, means(source, station))
    assert station.thresholds == []
