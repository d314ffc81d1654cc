"""Lists of pictures: a manifest.csv or VisA's split csv, as other people's machines write them."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.contract.label import GOOD_WORDS
from agent.foreign import shown
from models.data.items import BAD_WORDS, SPLITS, DataError, DataSet, Item, key

NAMED_ROWS = 3  # of all that are wrong
NO_DEFECT = GOOD_WORDS | {"", "none", "-"}
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class _Wrong(Exception):
    """What is wrong in one row."""

    column: str
    value: str
    remedy: str


def from_manifest(root: Path) -> DataSet:
    """The pictures that `manifest.csv` names. Raises DataError for anything that it cannot mean."""
    return _listed(root, root / "manifest.csv", ("split", "label", "defect", "image", "mask"))


def from_visa(root: Path) -> DataSet:
    """The pictures of VisA's split csv, each object a product. Raises DataError."""
    return _listed(root, root / "split_csv" / "1cls.csv", ("split", "label", "image", "mask"))


def _listed(root: Path, path: Path, wanted: Sequence[str]) -> DataSet:
    items: list[Item] = []
    wrong: list[str] = []
    left_out: Counter[str] = Counter()
    for line, row in read_rows(path, wanted):
        try:
            item = _item(root, row)
        except _Wrong as error:
            wrong.append(f"row {line}, {error.column}: {shown(error.value)!r}: {error.remedy}")
            continue
        if item.split == "validation":
            left_out["of the validation split, which is neither trained on nor judged"] += 1
        else:
            items.append(item)
    if wrong:
        more = f" (and {len(wrong) - NAMED_ROWS} rows more)" if len(wrong) > NAMED_ROWS else ""
        raise DataError(f"{path}: {len(wrong)} rows are wrong: {'; '.join(wrong[:NAMED_ROWS])}{more}")
    _refuse_contradictions(path, items)
    return DataSet(items=items, left_out=left_out)


def _item(root: Path, row: dict[str, str]) -> Item:
    split, label = SPLITS.get(key(row["split"])), key(row["label"])
    if split is None:
        raise _Wrong("split", row["split"], f"write one of {', '.join(SPLITS)}")
    if label not in GOOD_WORDS | BAD_WORDS:
        words = ", ".join(sorted(GOOD_WORDS)), ", ".join(sorted(BAD_WORDS))
        raise _Wrong("label", row["label"], f"write one of {words[0]} for good, {words[1]} for defective")
    defect = row.get("defect", "").strip()
    if (label in GOOD_WORDS) != (key(defect) in NO_DEFECT) and defect:
        raise _Wrong("defect", defect, f"contradicts the label {shown(row['label'])!r}; correct one of them")
    if not row["image"].strip():
        raise _Wrong("image", row["image"], "name a picture")
    return Item(
        image=_inside(root, row["image"], "image"),
        split=split,
        defect="good" if label in GOOD_WORDS else defect or "anomaly",
        mask=_inside(root, row["mask"], "mask") if row["mask"].strip() else None,
        product=row.get("object", "").strip(),
    )


def _inside(root: Path, text: str, column: str) -> Path:
    """The file that a list names, with either slash. Raises _Wrong for one outside of the set."""
    name = text.strip()
    if "\0" in name:
        raise _Wrong(column, text, "is no file name")
    if "\\" in name and not os.path.lexists(root / name):
        name = name.replace("\\", "/")
    path = Path(os.path.normpath(root / name))
    if not path.is_relative_to(os.path.normpath(root)):
        raise _Wrong(column, text, "lies outside of the set; give a path below its folder")
    try:
        path.is_file()
    except OSError as error:
        raise _Wrong(column, text, f"cannot be looked up ({error.strerror})") from error
    return path


def read_rows(path: Path, wanted: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Each row with the line that it ends on; the columns' names are lower case.

    Commas, semicolons or tabs; UTF-8, or UTF-16 with its mark. Raises DataError.
    """
    text = _decoded(path)
    first, _, rest = text.partition("\n")
    skipped = 0
    delimiter = max(",;\t", key=first.count)
    hint = first.rstrip("\r")
    if hint.casefold().startswith("sep=") and len(hint) == 5:  # as Excel writes it
        delimiter, text, skipped = hint[4], rest, 1
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        header = next((values for values in reader if any(values)), [])
        names = [name.strip().casefold() for name in header]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; the first line must name {', '.join(wanted)}"
            )
        twice = [name for name in wanted if names.count(name) > 1]
        if twice:
            raise DataError(f"{path}: column {', '.join(twice)} stands twice; remove one of them")
        rows = []
        for values in reader:
            line = reader.line_num + skipped
            if not any(value.strip() for value in values):
                continue
            if any(value.strip() for value in values[len(names) :]):
                raise DataError(
                    f"{path}: row {line}: {len(values)} fields for {len(names)} columns; put quotes around a "
                    f"name that holds {delimiter!r}"
                )
            rows.append((line, dict(zip(names, [*values, *[""] * len(names)], strict=False))))
        return rows
    except (csv.Error, TypeError, ValueError) as error:
        raise DataError(f"{path}: is no CSV ({error}); write it again as CSV UTF-8") from error


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file") from error
    encoding = "utf-16" if content.startswith(UTF_16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not {encoding.removesuffix('-sig').upper()} at byte {error.start}, perhaps Latin-1 "
            "or UTF-16 without its mark; save it as CSV UTF-8"
        ) from error
    if "\0" in text:
        raise DataError(
            f"{path}: is not UTF-8 text, perhaps UTF-16 without its byte-order mark; save it as CSV UTF-8"
        )
    return text


def _refuse_contradictions(path: Path, items: Sequence[Item]) -> None:
    known: dict[Path, Item] = {}
    for item in items:
        other = known.setdefault(item.image, item)
        if other.is_good != item.is_good:
            raise DataError(
                f"{path}: {shown(str(item.image))} is listed as good and as defective; remove one row"
            )
