"""What a data set is made of, and the words that its labels, splits and folders may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import PlumblineError

BAD_WORDS = frozenset(
    {"1", "1.0", "bad", "ng", "nok", "anomaly", "anomalous", "anomalies", "abnormal"}
) | frozenset(
    {"defect", "defects", "defective", "fail", "failed", "reject"}
)  # "true" is in neither: some mean "is good" by it, others "is defective"
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
HIDDEN = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "#recycle", "lost+found"})


class DataError(PlumblineError):
    """The data set cannot be used; says which file and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture of a data set."""

    image: Path
    split: str  # train or test
    defect: str  # "good" or the defect's name
    mask: Path | None = None
    folder: Path = Path()  # of its data set
    product: str = ""  # the name of that folder, or the list's own word for it

    @property
    def is_good(self) -> bool:
        return self.defect == "good"


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Every picture that is read, and how many files are not, by reason."""

    items: list[Item]
    left_out: Mapping[str, int] = field(default_factory=dict)


def is_hidden(name: str) -> bool:
    """True for what editors, systems and storage boxes leave behind."""
    return name.startswith((".", "@")) or name.casefold() in HIDDEN


def key(word: str) -> str:
    """The word as it stands in the tables above."""
    return word.strip().casefold()
