"""The public solar cells are split so that no cell of a training run is ever judged."""

from __future__ import annotations

from collections import Counter

import pytest

from agent.demo.cells import RUN_OF_CELLS, Cell, for_development, load_cells


@pytest.fixture(scope="module")
def cells() -> tuple[Cell, ...]:
    return load_cells()


def test_every_cell_has_its_place(cells: tuple[Cell, ...]) -> None:
    assert Counter(cell.split for cell in cells) == {
        "train/good": 1029,
        "test/good": 479,
        "test/defective": 227,
        "development": 488,
        "uncertain": 401,
    }


def test_a_run_of_60_cells_never_lies_on_both_sides(cells: tuple[Cell, ...]) -> None:
    assert RUN_OF_CELLS == 60
    for start in range(0, len(cells), 60):
        sides = {cell.split.partition("/")[0] for cell in cells[start : start + 60]} & {"train", "test"}
        assert len(sides) <= 1, f"run at {start}"


def test_only_what_the_experts_were_sure_of_is_used(cells: tuple[Cell, ...]) -> None:
    for cell in cells:
        sure = {0.0: {"train/good", "test/good"}, 1.0: {"test/defective", "development"}}
        assert cell.split in sure.get(cell.probability, {"uncertain"})


def test_every_picture_is_there_once(cells: tuple[Cell, ...]) -> None:
    assert all(cell.image.is_file() for cell in cells)
    assert len({cell.image for cell in cells}) == 2624
    assert {cell.kind for cell in cells} == {"mono", "poly"}


@pytest.mark.parametrize("fold", range(4))
def test_choices_are_made_on_whole_runs_that_no_test_and_no_training_has(
    cells: tuple[Cell, ...], fold: int
) -> None:
    chosen = for_development(cells, fold)
    held_back = {cell.image for cell in cells if cell.split.startswith("test")}
    assert not held_back & {cell.image for cell in chosen}
    trained = {cell.run for cell in chosen if cell.split == "train/good"}
    judged = {cell.run for cell in chosen if cell.split.startswith("test")}
    assert trained and judged and not trained & judged
    assert {cell.split for cell in chosen} == {"train/good", "test/good", "test/defective"}


def test_each_cell_is_judged_in_one_fold_of_development(cells: tuple[Cell, ...]) -> None:
    judged = [
        cell.image
        for fold in range(4)
        for cell in for_development(cells, fold)
        if cell.split.startswith("test")
    ]
    assert len(judged) == len(set(judged)) == 1029 + 488
