"""Every number that a station counts, in one table.

Counters start at zero with the process. A drop, retry, reconnect or eviction without a line
here is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from agent.contract.verdict import REASONS, LabelReason
from agent.messages import VerdictName

UNJUDGED = tuple(REASONS)
SKIPPED = ("overload", "camera_error", "lost_lines", "stopped", "paused")  # of triggers without a picture
VERDICTS: tuple[VerdictName, ...] = ("pass", "fail", "undecided", "skipped")
UNLABELLED: tuple[str, ...] = get_args(LabelReason)

# Of one judged frame, each from the end of the one before: together they are capture_to_recorded_seconds.
STAGES = {
    "queue": "waiting in the ring, from the last line to the line's taking it",
    "prepare": "cutting it into tiles",
    "infer": "the engine, with tiles put together again",
    "judge": "from its answer to the verdict",
    "record": "labels, crops and the record, with a wait for a defect that goes on in the next window",
    "commit": "until the record is durable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`name` without the plumbline_ prefix; Prometheus adds _total to counters."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


METRICS: tuple[Metric, ...] = (
    Metric(
        name="info",
        kind="gauge",
        help="1 for what runs: version, model bundle.",
        labels=("version", "bundle"),
    ),
    Metric(
        name="state",
        kind="gauge",
        help="1 for the state that the station is in, else 0: starting, running or degraded.",
        labels=("state",),
    ),
    Metric(name="frames", kind="counter", help="Triggers that reached the line.", labels=("camera",)),
    Metric(
        name="verdicts", kind="counter", help="Records written, by verdict.", labels=("camera", "verdict")
    ),
    Metric(
        name="skipped", kind="counter", help="Records without a judgement, by reason.", labels=("reason",)
    ),
    Metric(
        name="unjudged",
        kind="counter",
        help="Records that are undecided or skipped, by reason.",
        labels=("camera", "reason"),
    ),
    Metric(
        name="unjudged_ratio",
        kind="gauge",
        help="Share of the last minute's records that are undecided or skipped.",
        labels=("camera",),
    ),
    Metric(
        name="stage_seconds",
        kind="histogram",
        help=f"Time that one stage of a judged frame took: {', '.join(STAGES)}.",
        labels=("camera", "stage"),
    ),
    Metric(name="inspect_seconds", kind="histogram", help="Time the engine took for one frame."),
    Metric(
        name="capture_to_recorded_seconds",
        kind="histogram",
        help="Time from the last line of a frame to its durable record.",
    ),
    Metric(
        name="ring_waiting",
        kind="gauge",
        help="Triggers that wait for the line, pictures and faults.",
        labels=("camera",),
    ),
    Metric(
        name="ring_pushed_out",
        kind="counter",
        help="Frames whose place a newer one took before the line was free; their records follow, skipped.",
        labels=("camera",),
    ),
    Metric(
        name="engine_serving",
        kind="gauge",
        help="1 for the engine that judges, 0 for those that may.",
        labels=("engine",),
    ),
    Metric(
        name="engine_failures",
        kind="counter",
        help="Engines that could not be opened or were taken down, by engine.",
        labels=("engine",),
    ),
    Metric(name="outbox_rows", kind="gauge", help="Rows that wait for the broker."),
    Metric(name="outbox_bytes", kind="gauge", help="Bytes that wait for the broker."),
    Metric(name="outbox_oldest_seconds", kind="gauge", help="Age of the first waiting row; 0 for none."),
    Metric(
        name="outbox_reader_rows",
        kind="gauge",
        help="Rows that wait for the broker (mqtt) or a gateway, by its name.",
        labels=("reader",),
    ),
    Metric(
        name="outbox_reader_oldest_seconds",
        kind="gauge",
        help="Age of the first row that waits for the broker or a gateway; 0 for none.",
        labels=("reader",),
    ),
    Metric(
        name="outbox_reader_refused",
        kind="gauge",
        help="Rows that the broker or a gateway did not take.",
        labels=("reader",),
    ),
    Metric(
        name="outbox_reader_skipped",
        kind="counter",
        help="Rows that were deleted at the outbox's bounds before a gateway had come to them.",
        labels=("reader",),
    ),
    Metric(
        name="gateway_failures",
        kind="counter",
        help="Tries of a gateway that failed, deliveries and single rows; they are tried again.",
        labels=("reader",),
    ),
    Metric(
        name="outbox_rows_lost", kind="counter", help="Rows that could not be saved from a damaged outbox."
    ),
    Metric(
        name="drift_psi",
        kind="gauge",
        help="How far a number of the newest frames is from that of the first good parts: population"
        " stability index, less what chance gives.",
        labels=("camera", "recipe", "number"),
    ),
    Metric(
        name="drift_active",
        kind="gauge",
        help="1 while a change of this kind goes on, else 0.",
        labels=("camera", "kind"),
    ),
    Metric(
        name="drift_episodes",
        kind="counter",
        help="Changes that were told, by kind.",
        labels=("camera", "kind"),
    ),
    Metric(name="broker_connected", kind="gauge", help="1 while the broker is connected, else 0."),
    Metric(name="published", kind="counter", help="Messages handed to the broker, retries included."),
    Metric(name="acknowledged", kind="counter", help="Messages the broker acknowledged with success."),
    Metric(name="refused", kind="counter", help="Messages the broker did not take; they are tried again."),
    Metric(name="crops_cut", kind="counter", help="Crops that were cut.", labels=("camera",)),
    Metric(
        name="crops_left_out",
        kind="counter",
        help="Defects of which no crop was cut: beyond crops.max_per_verdict, strongest first.",
        labels=("camera",),
    ),
    Metric(
        name="crops_reencoded",
        kind="counter",
        help="Times that a crop was encoded once more, poorer or smaller, to stay within crops.max_bytes.",
        labels=("camera",),
    ),
    Metric(
        name="defects_left_out",
        kind="counter",
        help="Defects that a verdict does not name: beyond 16, strongest first.",
        labels=("camera",),
    ),
    Metric(
        name="defects_unlabelled",
        kind="counter",
        help=f"Defects that the recipe's label set did not name, by why: {', '.join(UNLABELLED)}.",
        labels=("camera", "reason"),
    ),
    Metric(name="crops_evicted", kind="counter", help="Crops deleted undelivered, each with an event."),
    Metric(name="archive_written", kind="counter", help="Judged frames that were put into the archive."),
    Metric(
        name="archive_dropped",
        kind="counter",
        help="Frames that the archive should have and has not: its queue is full, its folder fails,"
        " what is kept longer holds the room, the frame is no picture.",
        labels=("reason",),
    ),
    Metric(name="archive_evicted", kind="counter", help="Frames that left the archive to make room."),
    Metric(
        name="archive_failures", kind="counter", help="Times that the archive's folder took nothing any more."
    ),
    Metric(name="archive_entries", kind="gauge", help="Judged frames in the archive."),
    Metric(name="archive_bytes", kind="gauge", help="Bytes in the archive, its index included."),
    Metric(name="outbox_full", kind="gauge", help="1 while the outbox can take no more, else 0."),
    Metric(name="outbox_unconfirmed", kind="gauge", help="Delivered verdicts the MES has not confirmed."),
    Metric(name="dead_letters", kind="gauge", help="Rows that somebody did not take."),
    Metric(name="commands", kind="counter", help="Commands that were performed."),
    Metric(
        name="commands_refused", kind="counter", help="Commands not performed, by kind.", labels=("kind",)
    ),
    Metric(name="responses_lost", kind="counter", help="Answers to commands that nobody has got."),
    Metric(
        name="rollouts",
        kind="counter",
        help="Bundles that were wanted, by outcome: applied, rolled_back, unable_to_roll_back, failed,"
        " superseded, cancelled, or rejected where nothing was begun.",
        labels=("outcome",),
    ),
    Metric(
        name="rollout_probation",
        kind="gauge",
        help="1 while a new bundle serves that can still be taken back, else 0.",
    ),
    Metric(name="bindings_unused", kind="counter", help="Part ids for which no trigger came in time."),
    Metric(
        name="parts",
        kind="counter",
        help="Parts that several cameras saw, by part rule and verdict.",
        labels=("rule", "verdict"),
    ),
    Metric(
        name="parts_undecided",
        kind="counter",
        help="Parts without a decision, by part rule and reason.",
        labels=("rule", "reason"),
    ),
    Metric(
        name="part_seconds",
        kind="histogram",
        help="Time from the record of a part's last view to that of the part; of parts with all views.",
        labels=("rule",),
    ),
    Metric(name="parts_open", kind="gauge", help="Parts that wait for views.", labels=("rule",)),
    Metric(
        name="part_views_lost",
        kind="counter",
        help="Verdicts that could not be looked at for their parts: the outbox had deleted them.",
    ),
    Metric(
        name="roll_maps_failed",
        kind="counter",
        help="Roll maps that could not be written.",
        labels=("camera",),
    ),
    Metric(
        name="output_actuations",
        kind="counter",
        help="What outputs did or failed to do for single parts, with why.",
        labels=("output", "action", "cause"),
    ),
    Metric(
        name="output_lateness_seconds",
        kind="histogram",
        help="Time from a part's being at the gate to the gate's answer.",
        labels=("output",),
    ),
    Metric(
        name="output_passed",
        kind="counter",
        help="Good parts that went by a shut gate.",
        labels=("output",),
    ),
    Metric(name="output_under_way", kind="gauge", help="Parts between camera and gate.", labels=("output",)),
    Metric(
        name="output_reachable",
        kind="gauge",
        help="1 while what moves the gate answers, else 0.",
        labels=("output",),
    ),
    Metric(
        name="output_failures",
        kind="counter",
        help="Requests that it did not answer, or refused.",
        labels=("output",),
    ),
    Metric(
        name="output_encoder_resets",
        kind="counter",
        help="Resets of the encoder that parts are tracked by.",
        labels=("output",),
    ),
    Metric(name="inbound_dropped", kind="counter", help="Messages to us that were too large or too many."),
    Metric(name="reconnects", kind="counter", help="Connections to the broker after the first one."),
    Metric(
        name="log_lines_left_out",
        kind="counter",
        help="Log lines that were not written because others of their kind were.",
    ),
    Metric(
        name="page_turned_away",
        kind="counter",
        help="Connections to the page that were closed for holding one without asking, or to make room.",
    ),
    Metric(
        name="camera_streaming",
        kind="gauge",
        help="1 while the camera gives frames, else 0.",
        labels=("camera",),
    ),
    Metric(name="camera_received", kind="counter", help="Frames or blocks of lines.", labels=("camera",)),
    Metric(
        name="camera_reconnects",
        kind="counter",
        help="Opens that succeeded, but the first.",
        labels=("camera",),
    ),
    Metric(
        name="camera_stalls", kind="counter", help="Times it was given up for silence.", labels=("camera",)
    ),
    Metric(name="camera_losses", kind="counter", help="Times it was lost with an error.", labels=("camera",)),
    Metric(
        name="camera_late",
        kind="counter",
        help="Frames of a connection that had been given up; nobody judges them.",
        labels=("camera",),
    ),
    Metric(
        name="camera_open_failures",
        kind="counter",
        help="Opens that failed: absent, in_use by another client, or settings it does not bear.",
        labels=("camera", "reason"),
    ),
    Metric(
        name="camera_driver",
        kind="counter",
        help="What the camera's driver counts, such as packets that were sent again.",
        labels=("camera", "name"),
    ),
    Metric(
        name="camera_lines_lost",
        kind="counter",
        help="Lines missing from the web or frames.",
        labels=("camera",),
    ),
    Metric(
        name="camera_lines_unseen",
        kind="counter",
        help="Lines that were lost between parts, where no record tells of them.",
        labels=("camera",),
    ),
    Metric(
        name="camera_lines_dropped",
        kind="counter",
        help="Lines seen again, or while the belt stood or turned.",
        labels=("camera",),
    ),
    Metric(
        name="camera_faults",
        kind="counter",
        help="Triggers that gave no judgeable picture, by reason.",
        labels=("camera", "reason"),
    ),
)
