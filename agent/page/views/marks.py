"""What people said of results, beside those results; and the labels that they used last."""

from __future__ import annotations

from collections.abc import Sequence

from agent.marks.file import MarksError
from agent.marks.file import Wanted as WantedMarks
from agent.page.sources import Json, Sources

LABELS = 9  # a digit each


def marked(sources: Sources, result_ids: Sequence[str]) -> dict[str, Json]:
    """The mark that holds of each that has one; none where the file fails: health says what is wrong."""
    if sources.behind.marks is None or not result_ids:
        return {}
    try:
        found = sources.behind.marks.find(WantedMarks(results=result_ids))
    except MarksError:
        return {}
    return {
        one.result_id: {
            "says": one.says,
            "truth": one.truth,
            "label": one.label,
            "who": one.who,
            "way": one.way,
            "created": one.created,
            "sequence": one.sequence,
        }
        for one in found.marks
    }


def labels(sources: Sources) -> list[str]:
    """Those used last, at most LABELS, in the order of their digits."""
    try:
        return [] if sources.behind.marks is None else sources.behind.marks.labels(LABELS)
    except MarksError:
        return []
