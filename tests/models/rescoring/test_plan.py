"""A plan has every file once, in one order, and copies of an entry are never parted."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rescoring.archives import File, Survey
from models.rescoring.plan import LARGEST, PARTS, SMALLEST, cuts, made, read, size_of

IDS = st.lists(st.sampled_from(["", *(f"id{number:02}" for number in range(40))]), max_size=300).map(sorted)


@given(IDS)
def test_parts_cover_everything_once_and_part_no_copies(ids: list[str]) -> None:
    found = cuts(ids)
    assert [index for begin, end in found for index in range(begin, end)] == list(range(len(ids)))
    for (_, end), (begin, _) in pairwise(found):
        assert end == begin and (ids[end] == "" or ids[end] != ids[end - 1])


@given(st.integers(1, 50_000_000))
def test_parts_grow_with_the_archive_between_bounds(files: int) -> None:
    size = size_of(files)
    assert SMALLEST <= size <= LARGEST
    assert size in (SMALLEST, LARGEST) or -(-files // size) <= PARTS


def file(number: int, folder: int) -> File:
    return File(kind="entry", folder=folder, name=f"2026-11-24/id{number}.png", id=f"id{number}")


def survey(files: list[File]) -> Survey:
    return Survey(folders=("/a", "/b\udcff"), archives=2, files=files)


def test_the_order_in_which_files_are_found_makes_no_difference_and_a_plan_is_read_as_it_was_made() -> None:
    files = [file(number, folder) for number in range(100) for folder in (0, 1)]
    first = made(survey(files), bundle="small", bundle_sha256="ab", named=("/a",))
    random.Random(0).shuffle(files)
    assert made(survey(files), bundle="small", bundle_sha256="ab", named=("/a",)) == first
    plan = read(first)
    assert (plan.bundle, plan.bundle_sha256, plan.named, plan.folders) == (
        "small",
        "ab",
        ("/a",),
        ("/a", "/b\udcff"),
    )
    parts = list(plan.parts())
    assert [one.number for one in parts] == list(range(len(parts))) and len(parts) == 200 // SMALLEST + 1
    assert sum(len(one.files) for one in parts) == 200


def test_what_is_no_plan_is_told_from_one() -> None:
    whole = made(survey([file(1, 0)]), bundle="small", bundle_sha256="ab", named=())
    for data in (b"", b"PAR1", whole[:-20], whole[:4] + b"\0" * 40 + whole[44:]):
        with pytest.raises(ValueError, match="it is no plan"):
            read(data)
