"""The page is small: what a slow tablet has to load before it shows a verdict is counted in bytes."""

from __future__ import annotations

import re
from pathlib import Path

from agent.page.assets import ASSETS, FIRST_VIEW, STATIC

FIRST_BYTES = 60_000
ALL_BYTES = 150_000


def size_of(addresses: tuple[str, ...]) -> int:
    return sum((STATIC / ASSETS[address][0]).stat().st_size for address in addresses)


def test_the_first_view_and_all_of_it_stay_within_their_bytes() -> None:
    for address in sorted(ASSETS, key=lambda one: -size_of((one,))):
        print(f"{address:<24} {size_of((address,)):>7,}{'  first view' if address in FIRST_VIEW else ''}")
    first, every = size_of(FIRST_VIEW), size_of(tuple(ASSETS))
    print(f"first view {first:,} of {FIRST_BYTES:,}, all {every:,} of {ALL_BYTES:,}")
    assert size_of(FIRST_VIEW) < FIRST_BYTES
    assert size_of(tuple(ASSETS)) < ALL_BYTES


def imports_of(file: Path) -> set[Path]:
    text = file.read_text()
    names = re.findall(r'^import .* from "([^"]+)";$', text, re.MULTILINE)
    assert len(names) == len(re.findall(r"^import ", text, re.MULTILINE)), file
    return {(file.parent / name).resolve() for name in names}


def test_the_first_view_names_all_that_its_modules_load() -> None:
    files = {(STATIC / ASSETS[address][0]).resolve() for address in FIRST_VIEW}
    for file in [one for one in files if one.suffix == ".js"]:
        assert imports_of(file) <= files, file


def test_every_file_is_served_and_every_import_leads_to_one() -> None:
    served = {(STATIC / name).resolve() for name, _ in ASSETS.values()}
    assert served == {file.resolve() for file in STATIC.rglob("*") if file.is_file()}
    for file in served:
        if file.suffix == ".js":
            assert imports_of(file) <= served, file


def test_no_file_makes_markup_or_code_out_of_text() -> None:
    unsafe = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(\"style"
    )
    for name, _ in ASSETS.values():
        text = (STATIC / name).read_text()
        assert not re.search(unsafe, text), name
        assert not re.search(r"<[a-z]+[^>]* (style|on[a-z]+)=", text), name
