"""What the demo prints: the page's address, a running line, and one screen at the end."""

from __future__ import annotations

import threading
from collections import Counter

from rich.console import Console
from rich.table import Table

from agent.demo.demo import Demo
from agent.status.health import grounds_words, share_words
from agent.status.snapshot import Latency, Snapshot

EVERY_S = 1.0


def show(demo: Demo, console: Console, duration_s: float | None) -> None:
    """Run the demo with a summary each second, then the report."""
    ended = threading.Event()
    teller = threading.Thread(target=_tell, args=(demo, console, ended), name="summary", daemon=True)
    teller.start()
    try:
        demo.run(duration_s)
    finally:
        ended.set()
        teller.join()
    console.print(report(demo))


def line(snapshot: Snapshot) -> str:
    """One running line: the four verdicts add up to the frames; why frames are not judged, in words."""
    counts, recorded = snapshot.counts, snapshot.capture_to_recorded
    columns = "  ".join(f"{name} {counts[name]:4}" for name in counts)
    told = (
        f"frames {sum(counts.values()):5} = {columns}  "
        f"judged {_judged(snapshot):>5}, of those rejected {_rejected(snapshot):>5}  "
        f"latency p50 {_ms(recorded.p50_ms)} p99 {_ms(recorded.p99_ms)}  outbox {snapshot.outbox.rows} rows"
    )
    return "; ".join((told, *_why_not(snapshot)))


def report(demo: Demo) -> Table:
    """Counts, latency, delivery and agreement with the experts."""
    snapshot, truth, heard = demo.app.parts.board.snapshot(), demo.truth(), demo.heard
    counts = snapshot.counts
    table = Table("what", "value", title="Plumbline demo")
    rows = {
        "frames": str(sum(counts.values())),
        **{f"  {name}": str(count) for name, count in counts.items()},
        "judged": "; ".join((_judged(snapshot), *_why_not(snapshot))),
        "rejected of those judged": _rejected(snapshot),
        "defective cells rejected": f"{truth.defective_rejected} of {truth.defective}",
        "good cells rejected": f"{truth.good_rejected} of {truth.good}",
        "infer": _latency(snapshot.infer),
        "capture to recorded": _latency(snapshot.capture_to_recorded),
        "received by the subscriber": f"{heard.verdicts} verdicts, {heard.crops} crops, {heard.gaps} gaps",
        "left in the outbox": f"{snapshot.outbox.rows} rows",
        "engine": _engine(snapshot),
        "model": f"{snapshot.serving.bundle} {snapshot.serving.bundle_sha256[:12]}"
        if snapshot.serving
        else "-",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    return table


def _judged(snapshot: Snapshot) -> str:
    """The share of all frames that got a decision."""
    counts = snapshot.counts
    total = sum(counts.values())
    return share_words((counts["pass"] + counts["fail"]) / total) if total else "-"


def _rejected(snapshot: Snapshot) -> str:
    """The share of the decisions that are rejects."""
    judged = snapshot.counts["pass"] + snapshot.counts["fail"]
    return share_words(snapshot.counts["fail"] / judged) if judged else "-"


def _engine(snapshot: Snapshot) -> str:
    """That judged last: when the report is made none serves any more."""
    newest = [camera.strip[0].verdict for camera in snapshot.cameras if camera.strip]
    return newest[-1].model.engine if newest else "-"


def _why_not(snapshot: Snapshot) -> list[str]:
    """Causes of what was undecided or skipped in the last minute, without details."""
    unjudged = sum((Counter(one.work.tally.unjudged) for one in snapshot.cameras), Counter[str]())
    return [
        f"{count} of the last minute not judged: {grounds_words({reason: ''})}"
        for reason, count in unjudged.most_common()
    ]


def _tell(demo: Demo, console: Console, ended: threading.Event) -> None:
    page = demo.app.page
    while page is not None and page.port == 0 and not ended.wait(0.05):
        pass  # a free port is known once it is bound
    if page is not None:
        console.print(f"Plumbline demo: {page.url} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
    while not ended.wait(EVERY_S):
        console.print(line(demo.app.parts.board.snapshot()), highlight=False, soft_wrap=True)


def _latency(latency: Latency) -> str:
    return f"p50 {_ms(latency.p50_ms)}, p99 {_ms(latency.p99_ms)}, last {latency.count} frames"


def _ms(value: float | None) -> str:
    if value is None:
        return "    - ms"
    return f"{value:5.1f} ms" if value < 999.95 else f"{value / 1e3:5.1f} s "
