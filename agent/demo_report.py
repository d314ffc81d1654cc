"""What the demo prints: the page's address, a running line, and one screen at the end."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.table import Table

from agent.demo import Demo
from agent.status.board import Latency, Snapshot

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
    """One running line."""
    counts, recorded = snapshot.counts, snapshot.capture_to_recorded
    return (
        f"frames {sum(counts.values()):5}  pass {counts['pass']:5}  fail {counts['fail']:4}  "
        f"latency p50 {_ms(recorded.p50_ms)} p99 {_ms(recorded.p99_ms)}  outbox {snapshot.outbox.rows} rows"
    )


def report(demo: Demo) -> Table:
    """Counts, latency, delivery and agreement with the experts."""
    snapshot, truth, heard = demo.app.board.snapshot(), demo.truth(), demo.heard
    counts = snapshot.counts
    table = Table("what", "value", title="Plumbline demo")
    rows = {
        "frames": str(sum(counts.values())),
        "pass / fail": f"{counts['pass']} / {counts['fail']}",
        "undecided / skipped": f"{counts['undecided']} / {counts['skipped']}",
        "defective cells rejected": f"{truth.defective_rejected} of {truth.defective}",
        "good cells rejected": f"{truth.good_rejected} of {truth.good}",
        "infer": _latency(snapshot.infer),
        "capture to recorded": _latency(snapshot.capture_to_recorded),
        "received by the subscriber": f"{heard.verdicts} verdicts, {heard.crops} crops, {heard.gaps} gaps",
        "left in the outbox": f"{snapshot.outbox.rows} rows",
        "engine": snapshot.serving.engine if snapshot.serving else "-",
        "model": f"{snapshot.serving.bundle} {snapshot.serving.bundle_sha256[:12]}"
        if snapshot.serving
        else "-",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    return table


def _tell(demo: Demo, console: Console, ended: threading.Event) -> None:
    page = demo.app.page
    while page is not None and page.port == 0 and not ended.wait(0.05):
        pass  # a free port is known once it is bound
    if page is not None:
        console.print(f"Plumbline demo: {page.url} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
    while not ended.wait(EVERY_S):
        console.print(line(demo.app.board.snapshot()), highlight=False, soft_wrap=True)


def _latency(latency: Latency) -> str:
    return f"p50 {_ms(latency.p50_ms)}, p99 {_ms(latency.p99_ms)}, last {latency.count} frames"


def _ms(value: float | None) -> str:
    return "    - ms" if value is None else f"{value:6.1f} ms"
