"""Folders of pictures: MVTec-AD's layout, or a plain folder of good parts with the bad ones beside them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from agent.cameras import images
from agent.contract.label import GOOD_WORDS
from agent.foreign import shown
from models.data.items import BAD_WORDS, SPLITS, DataError, DataSet, Item, is_hidden, key

MASKS = frozenset({"ground_truth", "groundtruth"})
UNNAMED = "beside the folders of good and defective parts"


def is_mvtec(root: Path) -> bool:
    """True where a folder is named as a split; its sub-folders name the defects."""
    return any(SPLITS.get(key(folder.name)) in ("train", "test") for folder in _folders(root))


def from_mvtec(root: Path) -> DataSet:
    """Masks are named as their images, with `_mask` at the end (MVTec-AD) or without (PCB-Bank).

    Folders below a defect's are its lots or cameras; masks lie in folders of the same names. Raises DataError
    for a mask without its image, and for a folder that good parts might be in under another name.
    """
    left_out: Counter[str] = Counter()
    masks: dict[tuple[str, str], Path] = {}
    items = []
    for folder in _folders(root):
        role = "masks" if key(folder.name) in MASKS else SPLITS.get(key(folder.name))
        for path in _pictures(folder, left_out):
            inside = path.relative_to(folder)
            defect, name = inside.parts[0], Path(*inside.with_suffix("").parts[1:]).as_posix()
            if role is None:
                left_out["in folders beside train and test"] += 1
            elif len(inside.parts) == 1:
                left_out[UNNAMED] += 1
            elif role == "masks":
                masks[defect, name] = path
            elif role == "validation":
                left_out["of the validation split, which is neither trained on nor judged"] += 1
            else:
                _ask_about(folder / defect)
                items.append((Item(image=path, split=role, defect=defect), name))
    pictured = {(item.defect, name + end) for item, name in items for end in ("_mask", "")}
    for (defect, name), path in masks.items():
        if (defect, name) in pictured:
            continue
        if (defect, Path(name).parent.as_posix()) in pictured:  # MVTec LOCO: several for one image
            left_out["masks in a folder of their image"] += 1
            continue
        wanted = root / "test" / defect / name.removesuffix("_mask")
        raise DataError(f"{path}: a mask without its image {wanted}.*; add the image or remove the mask")
    return DataSet(
        items=[
            Item(
                image=item.image,
                split=item.split,
                defect=item.defect,
                mask=masks.get((item.defect, f"{name}_mask"), masks.get((item.defect, name))),
            )
            for item, name in items
        ],
        left_out=left_out,
    )


def from_plain(root: Path) -> DataSet:
    """Pictures of good parts, in `root` or a folder named good; those of a folder named bad are judged."""
    left_out: Counter[str] = Counter()
    items = []
    for path in _pictures(root, left_out):
        inside = path.relative_to(root).parts
        name = key(inside[0]) if len(inside) > 1 else "good"
        if name in GOOD_WORDS:
            items.append(Item(image=path, split="train", defect="good"))
        elif name in BAD_WORDS:
            items.append(Item(image=path, split="test", defect=inside[0]))
        else:
            left_out[f"in {shown(inside[0])}, a folder that says neither good nor bad"] += 1
    return DataSet(items=items, left_out=left_out)


def _ask_about(folder: Path) -> None:
    if folder.name != "good" and key(folder.name) in GOOD_WORDS:
        raise DataError(
            f"{folder}: are these good parts? then rename it to {folder.parent.name}/good; if not, "
            "give it the name of a defect"
        )


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))


def _pictures(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Every picture below `folder`, in path order; counts all other files by reason."""
    for place, below, files in os.walk(folder, onerror=_refuse):
        hidden = [name for name in below if is_hidden(name)]
        for name in hidden:
            left_out["hidden"] += sum(len(found) for *_, found in os.walk(Path(place) / name))
        below[:] = sorted(set(below) - set(hidden))
        for name in sorted(files):
            suffix = Path(name).suffix.lower()
            if is_hidden(name):
                left_out["hidden"] += 1
            elif suffix not in images.SUFFIXES:
                left_out[f"of kind {shown(suffix) or 'without a suffix'}, which is not read"] += 1
            else:
                yield Path(place) / name


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions")
