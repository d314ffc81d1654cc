"""What a run found, for people: tables of a report, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.foreign import shown
from models.rescoring.report import BYS, Changes, Report
from models.rescoring.row import STATUSES
from models.rescoring.store import LEFT_OUT, ROWS

HEADS = (
    "frames",
    "fails",
    "to fail",
    "to pass",
    "undecided",
    "decided",
    "shift (worst)",
    "mended",
    "newly wrong",
    "same",
)
LONGEST_NAME = 60
MEANT = (
    "Fails are those of then and of now. To fail, to pass and undecided are flips: verdicts that were decided"
    " then and are others now; decided are those that were undecided then. Shift is the median move of scores"
    " in hundredths of the threshold, each by its own, above 0 where the new bundle is stricter, and the"
    " largest move in brackets. Of results that people have marked as right or wrong, mended would be right"
    " now, newly wrong would be wrong, and same are as right or wrong as they were. Counts are of frames that"
    " the archives kept, which is all that failed or were undecided and only a share of those that passed"
    " (archive.pass_share): they are no rates of the line."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """By one thing."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(report: Report) -> list[Table]:
    """All frames and then by product, by station and by week, each name a row."""
    found = [Table(title="all", heads=("", *HEADS), rows=(("all", *_cells(report.all)),))]
    for by in BYS:
        rows = [(_name(one.name), *_cells(one.changes)) for one in report.groups if one.by == by]
        found.append(Table(title=f"by {by}", heads=(by, *HEADS), rows=tuple(rows)))
    return found


def sentences(report: Report) -> Iterator[str]:
    """What has to be known beside the tables."""
    count = sum(report.files.values())
    yield (
        f"bundle {report.bundle} ({report.bundle_sha256[:12]}) judged {report.files.get('judged', 0)} of"
        f" {count} "
        f"files of {report.archives} archives, on {', '.join(report.engines) or 'no engine'}"
    )
    if len(report.engines) > 1:
        yield "more than one engine judged: machines differ, and so may scores by what the bundle allows"
    for status, words in STATUSES.items():
        if status != "judged" and report.files.get(status):
            yield f"{report.files[status]} {status}: {words}"
    if any(status != "judged" for status in report.files):
        yield f"each of them is named in {LEFT_OUT}, and by its status in {ROWS}/"
    if report.without_rules:
        yield (
            f"{report.without_rules} frames were kept by older versions without their rules: smallest"
            " defect and lost "
            "lines are judged by the defaults, and no region is ignored"
        )
    if report.bundle_sha256 in report.bundles_then:
        yield (
            f"{report.bundles_then[report.bundle_sha256]} frames were judged by this very bundle then:"
            " flips of them are"
            " of other rules, thresholds or engines"
        )
    if report.odd_frames:
        yield f"{report.odd_frames} frames are of another size than most of their camera; they were judged:"
    for one in report.odd_sizes:
        yield (
            f"  {_name(one.station)}, camera {_name(one.camera)}: {one.frames} of {one.width} px x"
            f" {one.channels}, "
            f"mostly {one.usual_width} px x {one.usual_channels}; first {shown(one.first_file)}"
        )


def markdown(report: Report) -> Iterator[str]:
    """`report.md`, line by line."""
    yield f"# Archives judged again by {report.bundle}"
    yield ""
    yield f"{report.at}. {MEANT}"
    yield ""
    yield from (f"- {_plain(sentence.strip())}" for sentence in sentences(report))
    for table in tables(report):
        yield from ("", f"## {table.title.capitalize()}", "")
        yield f"| {' | '.join(table.heads)} |"
        yield f"|---|{'---:|' * (len(table.heads) - 1)}"
        yield from (f"| {' | '.join(map(_plain, row))} |" for row in table.rows)


def _cells(changes: Changes) -> tuple[str, ...]:
    shift, marks, flips = changes.shift, changes.marks, changes.flips
    return (
        str(changes.frames),
        f"{changes.then.fails} > {changes.now.fails}",
        *map(str, (flips.to_fail, flips.to_pass, flips.to_undecided, changes.newly_decided)),
        "-" if shift is None else f"{shift.bias:+.1f} ({shift.worst:.1f})",
        *map(str, (marks.mended, marks.newly_wrong, marks.kept_right + marks.still_wrong)),
    )


def _name(name: str) -> str:
    return shown(name)[:LONGEST_NAME] or "(none)"


def _plain(text: str) -> str:
    """Foreign names are no Markdown."""
    return "".join(f"\\{one}" if one in "\\|`*_<>[]#" else one for one in text)
