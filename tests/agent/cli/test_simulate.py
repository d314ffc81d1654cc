"""`plumbline simulate` says what it told, and what waits."""

from __future__ import annotations

from pathlib import Path

from tests.agent.cli.calling import Plumbline
from tests.brokers import free_port


def test_simulate_says_what_it_told_and_what_waits(plumbline: Plumbline, tmp_path: Path) -> None:
    words = ("simulate", "--hours", "0.05", "--rate-hz", "0.2", "--port", str(free_port()), "--outbox")
    ended = plumbline(*words, tmp_path / "outbox.sqlite3")
    assert ended.code == 1 and f"stay in {tmp_path}" in ended.err
    first, second = ended.out.splitlines()
    assert " verdicts: " in first and second.startswith("sequence 1 to ") and " rows waiting" in second


def test_simulate_with_an_id_that_cannot_stand_in_a_topic_says_so(plumbline: Plumbline) -> None:
    ended = plumbline("simulate", "--station", "Cell 3")
    assert ended.code == 2 and "station: 'Cell 3' cannot stand in a topic" in ended.complaint()
